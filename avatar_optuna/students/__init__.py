"""Students: the registry of their families, and the configuration of one student of any family."""

from avatar_optuna.manifest import DEFAULT_FAMILY
from avatar_optuna.students._family import FAMILIES, REQUIRED_NAMES, StudentFamily
from avatar_optuna.students._hyperparameter import Divides, Hyperparameter
from avatar_optuna.students._precision import FULL_PRECISION, PRECISION, PRECISIONS, WeightShapes
from avatar_optuna.students._reading import Configuration, Reading, UncheckedConfiguration
