"""Pareto fronts and hypervolumes. Every objective is minimised here; turn the sign of what is to go up."""

from __future__ import annotations

import bisect

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
"""Shape (points, objectives), all minimised."""

_FIRST_BLOCK = 64


def non_dominated(values: Values) -> npt.NDArray[np.bool_]:
    """Which points no other point dominates: none is at most as large everywhere and smaller somewhere.

    Equal points dominate each other nowhere, so all of them stay. O(n log n) up to three objectives, else O(n^2).

    Args:
        values: Shape (n, m).

    Returns:
        Shape (n,).
    """
    n, m = values.shape
    if n == 0:
        return np.zeros(0, dtype=np.bool_)
    order = np.lexsort(values.T[::-1])  # by the first objective, then by the next
    ordered = values[order]
    first = np.ones(n, dtype=np.bool_)
    first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    unique = ordered[first]
    kept = _sweep(unique) if m <= 3 else _pairwise(unique)
    result = np.zeros(n, dtype=np.bool_)
    result[order] = kept[np.cumsum(first) - 1]
    return result


def front_order(values: Values) -> npt.NDArray[np.int64]:
    """Indices of the points that no other dominates, by the first objective, equal ones in their order."""
    front = np.flatnonzero(non_dominated(values))
    return np.asarray(front[np.argsort(values[front, 0], kind="stable")], dtype=np.int64)


def _sweep(values: Values) -> npt.NDArray[np.bool_]:
    """Points sorted by the first objective: one is dominated where an earlier one is at most as large in the rest.

    Blocks of points, each twice as large as the one before, are first held against the staircase of all blocks before.
    """
    kept = np.zeros(len(values), dtype=np.bool_)
    stairs = _Staircase()
    m = values.shape[1]
    xs = values[:, 1] if m > 1 else np.zeros(len(values))
    ys = values[:, 2] if m > 2 else np.zeros(len(values))
    start, size = 0, _FIRST_BLOCK
    while start < len(values):
        block = slice(start, start + size)
        left = start + np.flatnonzero(~stairs.covers(xs[block], ys[block]))
        start, size = start + size, 2 * size
        kept[left] = [stairs.add(x, y) for x, y in zip(xs[left].tolist(), ys[left].tolist(), strict=True)]
    return kept


class _Staircase:
    """The front of points in the plane: x goes up, y goes down."""

    def __init__(self) -> None:
        self.xs: list[float] = []
        self.ys: list[float] = []

    def covers(self, xs: Values, ys: Values) -> npt.NDArray[np.bool_]:
        """Which points a point that is there is at most as large as in both; shape (n,)."""
        if not self.xs:
            return np.zeros(len(xs), dtype=np.bool_)
        place = np.searchsorted(np.asarray(self.xs), xs, side="right")
        return np.asarray((place > 0) & (np.asarray(self.ys)[place - 1] <= ys))

    def add(self, x: float, y: float) -> bool:
        """Add a point unless one that is there is at most as large in both; says whether it was added."""
        place = bisect.bisect_right(self.xs, x)
        if place and self.ys[place - 1] <= y:
            return False
        start = place - 1 if place and self.xs[place - 1] == x else place
        end = start
        while end < len(self.xs) and self.ys[end] >= y:
            end += 1
        self.xs[start:end] = [x]
        self.ys[start:end] = [y]
        return True


def _pairwise(values: Values) -> npt.NDArray[np.bool_]:
    kept = np.ones(len(values), dtype=np.bool_)
    for index, point in enumerate(values):
        rivals = values[: index + 1][kept[: index + 1]]  # sorted: only an earlier one can dominate
        below = (rivals <= point).all(axis=1) & (rivals < point).any(axis=1)
        kept[index] = not below.any()
    return kept


def fronts(values: Values) -> npt.NDArray[np.int64]:
    """Rank of each point: 0 on the front, 1 on the front of what is left, and so on (NSGA-II's sorting).

    Returns:
        Shape (n,).
    """
    ranks = np.full(len(values), -1, dtype=np.int64)
    left = np.arange(len(values))
    rank = 0
    while len(left):
        kept = non_dominated(values[left])
        ranks[left[kept]] = rank
        left, rank = left[~kept], rank + 1
    return ranks


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
    """Volume that the points dominate below a reference point; points that are not below it add nothing.

    Exact, by slicing along the last objective; O(n^2) for three objectives and more beyond (While et al. 2006 give
    the recursion).

    Args:
        values: Shape (n, m).
        reference: Shape (m,).
    """
    corner = np.asarray(reference, dtype=np.float64)
    points = values[(values < corner).all(axis=1)]
    if not len(points):
        return 0.0
    points = np.unique(points[non_dominated(points)], axis=0)
    return _volume(points, corner)


def _volume(points: Values, corner: npt.NDArray[np.float64]) -> float:
    m = points.shape[1]
    if m == 1:
        return float(corner[0] - points.min())
    if m == 2:
        return _area(points, corner)
    order = np.argsort(points[:, -1], kind="stable")
    points = points[order]
    heights = np.append(points[:, -1], corner[-1])
    if m == 3:
        return _volume_3d(points, heights, corner)
    total = 0.0
    for index in range(len(points)):
        thickness = heights[index + 1] - heights[index]
        if thickness > 0:
            below = points[: index + 1, :-1]
            total += thickness * _volume(below[non_dominated(below)], corner[:-1])
    return total


def _area(points: Values, corner: npt.NDArray[np.float64]) -> float:
    stairs = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.minimum.accumulate(stairs[:, 1])
    widths = np.diff(np.append(stairs[:, 0], corner[0]))
    return float((widths * (corner[1] - lowest)).sum())


def _volume_3d(points: Values, heights: npt.NDArray[np.float64], corner: npt.NDArray[np.float64]) -> float:
    """Slices from the lowest third objective up; the area under the staircase is kept as points join it."""
    xs, ys = [-np.inf, float(corner[0])], [float(corner[1]), -np.inf]
    area = total = 0.0
    for (x, y, _), thickness in zip(points.tolist(), np.diff(heights).tolist(), strict=True):
        place = bisect.bisect_right(xs, x)
        if ys[place - 1] > y:
            left, end = x, place
            start = place - 1 if xs[place - 1] == x else place
            level = ys[place - 1]
            while True:  # walk over the steps that the point covers
                right = xs[end]
                area += (right - left) * (level - y)
                if ys[end] <= y:
                    break
                left, level, end = right, ys[end], end + 1
            xs[start:end], ys[start:end] = [x], [y]
        total += thickness * area
    return total


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
