"""Which of many children are worth an evaluation: costs are known by formula, effectiveness by a running regression.

NSGA-II evaluates every child it breeds. Most children of a good population are dominated, and their costs say so before
anything is evaluated; a regression on what was told so far says the rest well enough to choose by. What is chosen is
what adds most volume to the front, counted on random points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avatar_optuna.columns import Lattice, is_numeric
from avatar_optuna.front import Values
from avatar_optuna.hyperparameters import NAMES

Array = npt.NDArray[np.float64]

_RIDGE = 1e-4
_POINTS = 12_000


class RunningRegression:
    """Ridge regression of one value on a quadratic of a configuration, updated as values are told.

    Its state is a sum over what was told, so its cost does not grow with the number of trials.

    Args:
        lattice: Gives each hyperparameter its scale.
    """

    def __init__(self, lattice: Lattice) -> None:
        self._axes = [_scaled_axis(name, axis) for name, axis in zip(NAMES, lattice.axes, strict=True)]
        self._count = 0
        self._gram: Array | None = None
        self._moments: Array | None = None

    def tell(self, codes: npt.NDArray[np.int64], values: Array) -> None:
        """Add configurations of shape (n, 13) with their values of shape (n,)."""
        if not len(codes):
            return
        features = self._features(codes)
        self._count += len(features)
        if self._gram is None or self._moments is None:
            self._gram, self._moments = np.zeros((features.shape[1],) * 2), np.zeros(features.shape[1])
        self._gram += features.T @ features
        self._moments += features.T @ values
        penalty = _RIDGE * np.eye(len(self._gram)) * self._count
        self._weights = np.linalg.solve(self._gram + penalty, self._moments)

    def predict(self, codes: npt.NDArray[np.int64]) -> Array:
        """Values of configurations of shape (n, 13); shape (n,)."""
        return np.asarray(self._features(codes) @ self._weights)

    def _features(self, codes: npt.NDArray[np.int64]) -> Array:
        """One, numbers, their squares and products, categories; shape (n, features)."""
        numbers = [axis[codes[:, i]] for i, axis in enumerate(self._axes) if axis.ndim == 1 and len(axis) > 1]
        parts = [np.ones(len(codes)), *numbers]
        parts += [numbers[i] * numbers[j] for i in range(len(numbers)) for j in range(i, len(numbers))]
        columns = [part[:, None] for part in parts]
        columns += [axis[codes[:, i]] for i, axis in enumerate(self._axes) if axis.ndim == 2]
        return np.concatenate(columns, axis=1)


def _scaled_axis(name: str, axis: npt.NDArray[np.generic]) -> Array:
    """Numbers by their logarithm in [-1, 1], shape (values,); categories one-hot, shape (values, values)."""
    if not is_numeric(name):
        return np.eye(len(axis))
    numbers = axis.astype(np.float64)
    logs = np.log(numbers) if numbers[0] > 0 else numbers
    span = logs[-1] - logs[0]
    return np.asarray(2 * (logs - logs[0]) / span - 1 if span > 0 else logs * 0.0)


def most_valuable(expected: Values, front: Values, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Indices of the candidates that together dominate most of what the front does not.

    Volume is counted on random points of the box that the front and the candidates span, so the choice costs the same
    for any number of objectives.

    Args:
        expected: Shape (candidates, objectives), minimised.
        front: Shape (points, objectives): what is there.
        count: How many to choose at most; candidates that add nothing are not chosen.
        rng: Draws the points.
    """
    everything = np.concatenate([front, expected])
    low, high = everything.min(axis=0), front.max(axis=0)
    span = np.where(high > low, high - low, 1.0)
    points = low + rng.random((_POINTS, len(low))) * span * 1.1
    points = points[~_dominated(points, front)]
    covers = np.ones((len(expected), len(points)), dtype=np.bool_)
    for objective in range(len(low)):
        covers &= expected[:, objective, None] <= points[None, :, objective]
    covers = covers[:, covers.any(axis=0)]
    chosen: list[int] = []
    open_points = np.ones(covers.shape[1], dtype=np.bool_)
    while len(chosen) < count and open_points.any():
        gains = covers[:, open_points].sum(axis=1)
        best = int(gains.argmax())
        if gains[best] == 0:
            break
        chosen.append(best)
        open_points &= ~covers[best]
    return np.asarray(chosen, dtype=np.int64)


def _dominated(points: Values, front: Values) -> npt.NDArray[np.bool_]:
    result = np.zeros(len(points), dtype=np.bool_)
    for start in range(0, len(front), 64):
        left = np.flatnonzero(~result)
        block = front[start : start + 64]
        below = np.ones((len(left), len(block)), dtype=np.bool_)
        for objective in range(front.shape[1]):
            below &= block[None, :, objective] <= points[left, objective, None]
        result[left] = below.any(axis=1)
    return result
