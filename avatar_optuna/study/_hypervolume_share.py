"""How far a search is from the best it could have found, under the indicator that it was given."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.feasibility import StudyFeasibility
from avatar_optuna.indicator import StudyIndicator
from avatar_optuna.pareto import hypervolume, non_dominated
from avatar_optuna.pareto.exact import exact_front
from avatar_optuna.schema import SearchResult
from avatar_optuna.students import StudentFamily


@dataclass(frozen=True, kw_only=True)
class HypervolumeShare(Stored):
    """The share of the attainable hypervolume that a search reached.

    Args:
        share: Of the volume that the lattice's exact front and the search's own front dominate together, in [0, 1].
        lattice_points: Feasible points of the lattice, all of which were looked at.
        front_points: Points of the lattice's exact front.
        seconds: Time that it took.
        method: How it was computed, in words.
    """

    share: float
    lattice_points: int
    front_points: int
    seconds: float
    method: str


def hypervolume_share(
    result: SearchResult,
    feasibility: StudyFeasibility,
    indicator: StudyIndicator,
    costs: Callable[[ConfigurationTable], npt.NDArray[np.float64]],
    *,
    cost_names: Collection[str],
    signs: npt.NDArray[np.float64],
) -> HypervolumeShare:
    """Compare a search with the exact front under its indicator.

    Args:
        result: The search.
        feasibility: What was searched.
        indicator: What it was searched with.
        costs: Every objective but effectiveness, of columns; shape (n, objectives - 1).
        cost_names: The hyperparameters that costs depend on.
        signs: Shape (objectives,): -1 where more is better, else 1.

    Volumes are taken after each objective is scaled to [0, 1] over the exact front, below the point (1.1, 1.1, ...).

    Raises:
        StudyError: The indicator does not add up over hyperparameters, so that no exact front can be computed.
    """
    begun = time.perf_counter()
    fronts = [
        exact_front(judge, indicator.rank_columns, lambda table: costs(table) * signs[1:], cost_names=cost_names)
        for judge in feasibility.members
    ]
    exact = np.concatenate([front.values for front in fronts])
    if len(fronts) > 1:
        exact = exact[non_dominated(exact)]
    own = result.values * signs
    low, high = exact.min(axis=0), exact.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    corner = np.full(len(low), 1.1)
    reached = hypervolume((own - low) / span, corner)
    best = hypervolume((np.concatenate([exact, own]) - low) / span, corner)
    return HypervolumeShare(
        share=reached / best if best > 0 else 1.0,
        lattice_points=sum(front.looked_at for front in fronts),
        front_points=len(exact),
        seconds=time.perf_counter() - begun,
        method=_method([judge.family for judge in feasibility.members]),
    )


def _method(families: Sequence[StudentFamily]) -> str:
    """Such as "all feasible points of a lattice: hidden_size by 16, the rest as they are"."""
    names: dict[int, list[str]] = {}
    for family in families:
        for spec in family.hyperparameters:
            if spec.exact_step > 1:
                name = spec.name if len(families) == 1 else f"{family.name}.{spec.name}"
                names.setdefault(spec.exact_step, []).append(name)
    steps = "".join(f"{' and '.join(listed)} by {step:,}, " for step, listed in names.items())
    return f"all feasible points of a lattice: {steps}the rest as they are"
