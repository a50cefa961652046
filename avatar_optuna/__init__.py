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
from avatar_optuna.students import Configuration

__all__ = [
    "AvatarError",
    "DataError",
    "DivergenceError",
    "Configuration",
    "InfeasibleSpaceError",
    "InputError",
    "StudyError",
    "StudyFileError",
]
__version__ = "0.1.0"
