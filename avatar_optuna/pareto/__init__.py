"""Pareto fronts of points; `pareto.exact`, which needs the solver, has that of the whole space."""

from avatar_optuna.pareto._cost_grid import CostGrid
from avatar_optuna.pareto._pareto import (
    Values,
    crowding_distances,
    front_order,
    fronts,
    greedy_hypervolume_subset,
    hypervolume,
    non_dominated,
)
