"""Pareto fronts and hypervolumes, by moocore. Every objective is minimised here; turn the sign of what is to go up."""

from __future__ import annotations

import moocore
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""Shape (points, objectives), all minimised."""


def non_dominated(values: Values) -> npt.NDArray[np.bool_]:
    """Which points no other point dominates: none is at most as large everywhere and smaller somewhere.

    Equal points dominate each other nowhere, so all of them stay.

    Args:
        values: Shape (n, m).

    Returns:
        Shape (n,).
    """
    if not len(values):
        return np.zeros(0, dtype=np.bool_)
    return np.asarray(moocore.is_nondominated(values, keep_weakly=True), dtype=np.bool_)


def front_order(values: Values) -> npt.NDArray[np.int64]:
    """Indices of the points that no other dominates, by the first objective, equal ones in their order."""
    front = np.flatnonzero(non_dominated(values))
    return np.asarray(front[np.argsort(values[front, 0], kind="stable")], dtype=np.int64)


def fronts(values: Values) -> npt.NDArray[np.int64]:
    """Rank of each point: 0 on the front, 1 on the front of what is left, and so on (NSGA-II's sorting).

    Returns:
        Shape (n,).
    """
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    return np.asarray(moocore.pareto_rank(values), dtype=np.int64)


def crowding_distances(values: Values) -> npt.NDArray[np.float64]:
    """NSGA-II's crowding distance of each point among the points given (Deb et al. 2002); infinite at the ends."""
    n, m = values.shape
    distances = np.zeros(n)
    for objective in range(m):
        order = np.argsort(values[:, objective], kind="stable")
        column = values[order, objective]
        span = column[-1] - column[0] if n else 0.0
        distances[order[:1]] = distances[order[-1:]] = np.inf
        if span > 0 and n > 2:
            distances[order[1:-1]] += (column[2:] - column[:-2]) / span
    return distances


def hypervolume(values: Values, reference: npt.ArrayLike) -> float:
    """Volume that the points dominate below a reference point, exact; points that are not below it add nothing.

    Args:
        values: Shape (n, m).
        reference: Shape (m,).
    """
    return float(moocore.hypervolume(values, ref=np.asarray(reference, dtype=np.float64))) if len(values) else 0.0


def greedy_hypervolume_subset(
    values: Values, count: int, *, reference: npt.ArrayLike, first: int | None = None
) -> npt.NDArray[np.int64]:
    """Indices of `count` points that dominate much volume together, each chosen for what it adds.

    Greedy choice reaches at least 63 % of the best subset's volume (Guerreiro et al. 2016).

    Args:
        values: Shape (n, m).
        count: How many to choose, at most n.
        reference: Shape (m,).
        first: A point that is chosen whatever it adds.
    """
    chosen = [first] if first is not None else []
    left = [index for index in range(len(values)) if index != first]
    corner = np.asarray(reference, dtype=np.float64)
    while left and len(chosen) < count:
        base = hypervolume(values[chosen], corner) if chosen else 0.0
        gains = [hypervolume(values[[*chosen, index]], corner) - base for index in left]
        chosen.append(left.pop(int(np.argmax(gains))))
    return np.asarray(chosen[:count], dtype=np.int64)
