"""Shrink a language model of code: a multi-objective study of distilled students, on Optuna."""

from avatar_optuna.exceptions import (
    AvatarError,
    DataError,
    DivergenceError,
    InfeasibleSpaceError,
    InputError,
    StudyError,
    StudyFileError,
)
from avatar_optuna.hyperparameters import Hyperparameters

__all__ = [
    "AvatarError",
    "DataError",
    "DivergenceError",
    "Hyperparameters",
    "InfeasibleSpaceError",
    "InputError",
    "StudyError",
    "StudyFileError",
]
__version__ = "0.1.0"
