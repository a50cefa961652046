"""The sampler: NSGA-II whose every child is feasible."""

from avatar_optuna.sampler._evolution import Evolution, survivors
from avatar_optuna.sampler._sampler import FeasibleNSGAIISampler
