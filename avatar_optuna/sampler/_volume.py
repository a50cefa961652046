"""Which of many candidates would add most to the volume that a front dominates."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from avatar_optuna.pareto import Values

Array = npt.NDArray[np.float64]

_PLACES = 1_600
_MARGIN = 0.1
_BLOCK = 128


class Volume:
    """What candidates would add to a front.

    Volume is a sum of columns along the first objective, exact in their height, over places spread evenly in the rest.

    Args:
        front: Shape (points, objectives), minimised: what is there.
        candidates: Shape (n, objectives).
        rng: Draws the places.
    """

    def __init__(self, front: Values, candidates: Values, rng: np.random.Generator) -> None:
        everything = np.concatenate([front, candidates])
        low, high = everything.min(axis=0), everything.max(axis=0)
        margin = _MARGIN * np.where(high > low, high - low, 1.0)
        low, high = low - margin, high + margin
        self._places = low[1:] + _even(front.shape[1] - 1, rng) * (high - low)[1:]
        self._floor = np.full(len(self._places), high[0])  # the least that the front reaches at these costs
        for start in range(0, len(front), _BLOCK):
            self._floor = np.minimum(self._floor, self._heights(front[start : start + _BLOCK]).min(axis=0))

        self._heights_of_candidates = self._heights(candidates)

    def most_valuable(self, count: int) -> npt.NDArray[np.int64]:
        """Indices of the candidates that together add most, the most valuable first.

        Args:
            count: How many to choose at most; candidates that add nothing are not chosen.
        """
        heights, floor = self._heights_of_candidates, self._floor.copy()
        gains = np.maximum(floor - heights, 0.0).sum(axis=1)
        chosen: list[int] = []
        heap = [(-gain, index) for index, gain in enumerate(gains.tolist()) if gain > 0]
        heapq.heapify(heap)
        while heap and len(chosen) < count:  # what a candidate adds only shrinks: look again at the first alone
            _, index = heapq.heappop(heap)
            gain = float(np.maximum(floor - heights[index], 0.0).sum())
            if heap and -heap[0][0] > gain:
                if gain > 0:
                    heapq.heappush(heap, (-gain, index))
            elif gain > 0:
                chosen.append(index)
                floor = np.minimum(floor, heights[index])
        return np.asarray(chosen, dtype=np.int64)

    def _heights(self, values: Values) -> Array:
        """The first objective of each point where it costs at most so much, else infinity; shape (points, places)."""
        above = np.ones((len(values), len(self._places)), dtype=np.bool_)
        for objective in range(self._places.shape[1]):
            above &= values[:, 1 + objective, None] <= self._places[None, :, objective]
        return np.where(above, values[:, :1], np.inf)


def _even(dimensions: int, rng: np.random.Generator) -> Array:
    """Places in the unit cube, one at random in each cell of a grid of about `_PLACES` cells."""
    cells = max(round(_PLACES ** (1 / max(dimensions, 1))), 2)
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    return np.asarray((grid + rng.random(grid.shape)) / cells)
