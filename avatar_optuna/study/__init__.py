"""A study: created or resumed, searched, and read as a front."""

from avatar_optuna.study._attained import Attained, attained
from avatar_optuna.study._front import (
    Student,
    choose_students,
    compared_latency_ms,
    distilled_students,
    fitted_indicator,
    predicted_students,
    ratios,
    teacher_record,
)
from avatar_optuna.study._open import AvatarStudy, create_study
from avatar_optuna.study._predictors import store_predictor, stored_predictors
from avatar_optuna.study._samples import measured_students
from avatar_optuna.study._search import Searched, pareto_indices, search, searched

__all__ = [
    "Attained",
    "AvatarStudy",
    "Searched",
    "Student",
    "attained",
    "choose_students",
    "compared_latency_ms",
    "create_study",
    "distilled_students",
    "fitted_indicator",
    "measured_students",
    "pareto_indices",
    "predicted_students",
    "ratios",
    "search",
    "searched",
    "store_predictor",
    "stored_predictors",
    "teacher_record",
]
