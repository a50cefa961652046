"""Which of many candidates would add most to the volume that a front dominates."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from avatar_optuna.pareto import Values

Array = npt.NDArray[np.float64]

_PLACES = 1_600
_MARGIN = 0.1
_BLOCK = 128


def most_valuable(front: Values, candidates: Values, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of the candidates that together add most volume to a front, the most valuable first.

    Volume is a sum of columns along the first objective, exact in their height, over places spread evenly in the rest.

    Args:
        front: Shape (points, objectives), minimised: what is there.
        candidates: Shape (n, objectives).
        count: How many to choose at most; candidates that add nothing are not chosen.
        rng: Draws the places.
    """
    everything = np.concatenate([front, candidates])
    low, high = everything.min(axis=0), everything.max(axis=0)
    margin = _MARGIN * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    places = low[1:] + _even(front.shape[1] - 1, rng) * (high - low)[1:]
    floor = np.full(len(places), high[0])  # the least that the front reaches at these costs
    for block in _blocks(front):
        floor = np.minimum(floor, _heights(block, places).min(axis=0))
    gains = np.concatenate(
        [np.zeros(0), *(_above(floor, _heights(block, places)).sum(axis=1) for block in _blocks(candidates))]
    )
    chosen: list[int] = []
    heights: dict[int, Array] = {}  # of the candidates that were looked at again
    heap = [(-gain, index) for index, gain in enumerate(gains.tolist()) if gain > 0]
    heapq.heapify(heap)
    while heap and len(chosen) < count:  # what a candidate adds only shrinks: look again at the first alone
        _, index = heapq.heappop(heap)
        if index not in heights:
            heights[index] = _heights(candidates[index : index + 1], places)[0]
        gain = float(_above(floor, heights[index]).sum())
        if heap and -heap[0][0] > gain:
            if gain > 0:
                heapq.heappush(heap, (-gain, index))
        elif gain > 0:
            chosen.append(index)
            floor = np.minimum(floor, heights[index])
    return np.asarray(chosen, dtype=np.int64)


def _blocks(values: Values) -> Iterator[Values]:
    """Few enough points at a time that what is computed of them stays in the processor's cache."""
    return (values[start : start + _BLOCK] for start in range(0, len(values), _BLOCK))


def _heights(values: Values, places: Array) -> Array:
    """The first objective of each point where it costs at most so much, else infinity; shape (points, places)."""
    heights = np.repeat(values[:, :1], len(places), axis=1)
    for objective in range(places.shape[1]):
        np.copyto(heights, np.inf, where=values[:, 1 + objective, None] > places[None, :, objective])
    return heights


def _above(floor: Array, heights: Array) -> Array:
    """How far each height lies below the floor, or 0."""
    return np.asarray(np.maximum(floor - heights, 0.0))


def _even(dimensions: int, rng: np.random.Generator) -> Array:
    """Places in the unit cube, one at random in each cell of a grid of about `_PLACES` cells."""
    cells = max(round(_PLACES ** (1 / max(dimensions, 1))), 2)
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * dimensions, indexing="ij"), axis=-1).reshape(-1, dimensions)
    return np.asarray((grid + rng.random(grid.shape)) / cells)
