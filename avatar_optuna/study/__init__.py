"""A study: created or resumed, and searched."""

from avatar_optuna.study._hypervolume_share import HypervolumeShare, hypervolume_share
from avatar_optuna.study._numbers import meaning
from avatar_optuna.study._open import (
    AvatarStudy,
    create_study,
    require_same_settings,
    store_cost_model,
    stored_cost_models,
    stored_indicator,
)
from avatar_optuna.study._policies import (
    AsynchronousHalving,
    FinalModel,
    Policy,
    RandomPolicy,
    RoundsPolicy,
    SuccessiveHalving,
)
from avatar_optuna.study._search import (
    choose_students,
    measured_students,
    pareto_indices,
    search,
    searched,
    starting_students,
)
from avatar_optuna.study._time_budget import (
    PAUSE_S,
    Pace,
    TimeBudget,
    TrainingTime,
    seconds_at_work,
    student_name,
    training_times,
)
from avatar_optuna.study._trainings import Prices, Step, Trainings
