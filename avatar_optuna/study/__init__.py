"""A study: created or resumed, searched, and read as a front."""

from avatar_optuna.study._cost_models import store_cost_model, stored_cost_models
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
from avatar_optuna.study._hypervolume_share import HypervolumeShare, hypervolume_share
from avatar_optuna.study._open import AvatarStudy, create_study
from avatar_optuna.study._samples import measured_students
from avatar_optuna.study._search import SearchResult, pareto_indices, search, searched

__all__ = [
    "HypervolumeShare",
    "AvatarStudy",
    "SearchResult",
    "Student",
    "hypervolume_share",
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
    "store_cost_model",
    "stored_cost_models",
    "teacher_record",
]
