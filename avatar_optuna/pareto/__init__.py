"""Pareto fronts: of points, and of the whole space under a fitted indicator."""

from avatar_optuna.pareto._exact import ExactFront, exact_front
from avatar_optuna.pareto._pareto import (
    Values,
    crowding_distances,
    fronts,
    greedy_hypervolume_subset,
    hypervolume,
    non_dominated,
)

__all__ = [
    "ExactFront",
    "Values",
    "crowding_distances",
    "exact_front",
    "fronts",
    "greedy_hypervolume_subset",
    "hypervolume",
    "non_dominated",
]
