"""A running regression of what was told: good enough to choose by, and as fast after 50,000 trials as after 50."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from avatar_optuna.columns import Codes, Lattice, is_numeric
from avatar_optuna.hyperparameters import NAMES

Array = npt.NDArray[np.float64]

_DOUBT = 2.0
_PENALTIES = 10.0 ** np.arange(-10, 0)
_FEW = 8
"""Hyperparameters with at most so many values have one weight for each of them."""


class RunningRegression:
    """Bayesian ridge regression of one value on a configuration: a sum over hyperparameters, and products of some.

    How strongly the weights are held back is chosen by the evidence (MacKay 1992); products are held back more. The
    state is a few sums over what was told, so neither telling nor asking slows down with the number of trials.

    Args:
        lattice: Gives each hyperparameter its values.
        interacting: The hyperparameters whose numbers are multiplied with each other.
    """

    def __init__(self, lattice: Lattice, interacting: frozenset[str]) -> None:
        self._tables = [_table(name, axis) for name, axis in zip(NAMES, lattice.axes, strict=True)]
        ends = np.cumsum([1, *(table.shape[1] for table in self._tables)])
        self._blocks = [slice(start, end) for start, end in itertools.pairwise(ends)]
        numbers = [i for i, name in enumerate(NAMES) if name in interacting and is_numeric(name)]
        self._numbers = [(i, _scaled(axis)) for i, axis in enumerate(lattice.axes) if i in numbers and len(axis) > 1]
        pairs = len(self._numbers) * (len(self._numbers) - 1) // 2
        size = int(ends[-1]) + pairs
        self._count, self._squares = 0, 0.0
        self._gram, self._moments = np.zeros((size, size)), np.zeros(size)
        self._weights, self._spread = np.zeros(size), np.zeros((size, size))

    def features(self, codes: Codes) -> Array:
        """One, the features of each hyperparameter, products; shape (n, features)."""
        columns = [np.ones((len(codes), 1))]
        columns += [table[codes[:, i]] for i, table in enumerate(self._tables)]
        numbers = [axis[codes[:, i]] / _DOUBT for i, axis in self._numbers]
        columns += [(numbers[i] * numbers[j])[:, None] for i in range(len(numbers)) for j in range(i)]
        return np.concatenate(columns, axis=1)

    def tell(self, codes: Codes, values: Array) -> None:
        """Add configurations of shape (n, 13) with their values of shape (n,)."""
        if not len(codes):
            return
        features = self.features(codes)
        self._count += len(features)
        self._squares += float(values @ values)
        self._gram += features.T @ features
        self._moments += features.T @ values
        self._fit()

    def _fit(self) -> None:
        spectrum, axes = np.linalg.eigh(self._gram)
        spectrum, turned = np.maximum(spectrum, 0.0), axes.T @ self._moments
        best = -np.inf
        for penalty in _PENALTIES * max(float(spectrum[-1]), 1e-300):
            shrunk = turned / (spectrum + penalty)
            variance = max(self._squares - float(turned @ shrunk), 1e-12 * self._squares, 1e-300) / self._count
            evidence = -0.5 * (self._count * np.log(variance) + np.log1p(spectrum / penalty).sum())
            if evidence > best:
                best, self._weights = evidence, axes @ shrunk
                self._spread = axes * np.sqrt(variance / (spectrum + penalty))

    def drawn(self, rng: np.random.Generator) -> Array:
        """Weights drawn from what is believed of them, so that what is not known yet gets tried (Thompson sampling)."""
        return np.asarray(self._weights + self._spread @ rng.standard_normal(len(self._weights)))

    def least(self, index: int, weights: Array) -> int:
        """The code of one hyperparameter, outside of all products, that makes the value least under some weights."""
        return int((self._tables[index] @ weights[self._blocks[index]]).argmin())


def _table(name: str, axis: npt.NDArray[np.generic]) -> Array:
    """Features of each value of a hyperparameter; shape (values, features)."""
    if len(axis) == 1:
        return np.zeros((1, 0))
    if not is_numeric(name) or len(axis) <= _FEW:
        return np.eye(len(axis))
    numbers = _scaled(axis)
    return np.stack([numbers, numbers**2, numbers**3], axis=1)


def _scaled(axis: npt.NDArray[np.generic]) -> Array:
    """Numbers by their logarithm in [-1, 1], shape (values,)."""
    numbers = axis.astype(np.float64)
    logs = np.log(numbers) if numbers[0] > 0 else numbers
    span = logs[-1] - logs[0]
    return np.asarray(2 * (logs - logs[0]) / span - 1 if span > 0 else logs * 0.0)
