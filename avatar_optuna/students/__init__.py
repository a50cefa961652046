"""Students: the registry of their families, and the configuration of one student of any family."""

from avatar_optuna.students._family import REQUIRED_NAMES, StudentFamily
from avatar_optuna.students._hyperparameter import Divides, Hyperparameter
from avatar_optuna.students._reading import Configuration, Reading, UncheckedConfiguration
from avatar_optuna.students._registry import DEFAULT_FAMILY, FAMILIES

__all__ = [
    "Configuration",
    "DEFAULT_FAMILY",
    "Divides",
    "FAMILIES",
    "Hyperparameter",
    "REQUIRED_NAMES",
    "Reading",
    "StudentFamily",
    "UncheckedConfiguration",
]
