"""A running regression of what was told: good enough to choose by, and as fast after 50,000 trials as after 50."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes, Lattice

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
        self._tables = [
            _table(axis, is_number) for axis, is_number in zip(lattice.axes, lattice.is_numeric, strict=True)
        ]
        ends = np.cumsum([1, *(table.shape[1] for table in self._tables)])
        self._blocks = [slice(start, end) for start, end in itertools.pairwise(ends)]
        numbers = [i for i, name in enumerate(lattice.names) if name in interacting and lattice.is_numeric[i]]
        self._numbers = [(i, _scaled(axis)) for i, axis in enumerate(lattice.axes) if i in numbers and len(axis) > 1]
        pairs = len(self._numbers) * (len(self._numbers) - 1) // 2
        size = int(ends[-1]) + pairs
        self._count, self._gram = 0, np.zeros((size, size))
        self._scales = [_Scale(size=size), _FractionScale(size=size)]
        self._scale = self._scales[0]
        self._weights, self._spread = np.zeros(size), np.zeros((size, size))

    def features(self, codes: Codes) -> Array:
        """One, the features of each hyperparameter, products; shape (n, features)."""
        columns = [np.ones((len(codes), 1))]
        columns += [table[codes[:, i]] for i, table in enumerate(self._tables)]
        numbers = [axis[codes[:, i]] / _DOUBT for i, axis in self._numbers]
        columns += [(numbers[i] * numbers[j])[:, None] for i in range(len(numbers)) for j in range(i)]
        return np.concatenate(columns, axis=1)

    def set_code(self, features: Array, index: int, code: int) -> None:
        """Give all rows of `features` one value of a hyperparameter outside of all products."""
        features[:, self._blocks[index]] = self._tables[index][code]

    def tell(self, codes: Codes, values: Array) -> None:
        """Add configurations of shape (n, 13) with their values of shape (n,)."""
        if not len(codes):
            return
        features = self.features(codes)
        self._count += len(features)
        self._gram += features.T @ features
        for scale in self._scales:
            scale.tell(features, values)
        self._fit()

    def _fit(self) -> None:
        spectrum, axes = np.linalg.eigh(self._gram)
        spectrum, best = np.maximum(spectrum, 0.0), -np.inf
        for scale in self._scales:
            if not scale.fits:
                continue
            turned = axes.T @ scale.moments
            for penalty in _PENALTIES * max(float(spectrum[-1]), 1e-300):
                shrunk = turned / (spectrum + penalty)
                residual = max(scale.squares - float(turned @ shrunk), 1e-12 * scale.squares, 1e-300)
                variance = residual / self._count
                evidence = scale.stretch - 0.5 * (self._count * np.log(variance) + np.log1p(spectrum / penalty).sum())
                if evidence > best:
                    best, self._scale, self._weights = evidence, scale, axes @ shrunk
                    self._spread = axes * np.sqrt(variance / (spectrum + penalty))

    def expected(self, features: Array, weights: Array) -> Array:
        """Values of configurations under some weights, on the scale that they were told on; shape (n,)."""
        return self._scale.back(features @ weights)

    def drawn(self, rng: np.random.Generator) -> Array:
        """Weights drawn from what is believed of them, so that what is not known yet gets tried (Thompson sampling)."""
        return np.asarray(self._weights + self._spread @ rng.standard_normal(len(self._weights)))

    def least(self, index: int, weights: Array) -> int:
        """The code of one hyperparameter, outside of all products, that makes the value least under some weights."""
        return int((self._tables[index] @ weights[self._blocks[index]]).argmin())


class _Scale:
    """Sums over what was told, on the scale that it was told on."""

    def __init__(self, *, size: int) -> None:
        self.fits = True
        self.moments, self.squares = np.zeros(size), 0.0
        self.stretch = 0.0  # logarithm of how much the scale stretches what was told, so that evidence compares

    def tell(self, features: Array, values: Array) -> None:
        """Add features of shape (n, features) with values of shape (n,)."""
        self.moments += features.T @ values
        self.squares += float(values @ values)

    def back(self, values: Array) -> Array:
        """From this scale to the one that values are told on; shape (n,)."""
        return values


class _FractionScale(_Scale):
    """The same by the logit, for fractions that are to go up (told as negative numbers): no sum leaves [0, 1]."""

    def tell(self, features: Array, values: Array) -> None:
        self.fits = self.fits and bool(((values > -1) & (values < 0)).all())
        if self.fits:
            super().tell(features, np.log1p(values) - np.log(-values))
            self.stretch -= float(np.log(-values * (1 + values)).sum())

    def back(self, values: Array) -> Array:
        return np.asarray(-1 / (1 + np.exp(values)))


def _table(axis: npt.NDArray[np.generic], is_number: bool) -> Array:
    """Features of each value of a hyperparameter; shape (values, features)."""
    if len(axis) == 1:
        return np.zeros((1, 0))
    if not is_number or len(axis) <= _FEW:
        return np.eye(len(axis))
    numbers = _scaled(axis)
    return np.stack([numbers, numbers**2, numbers**3], axis=1)


def _scaled(axis: npt.NDArray[np.generic]) -> Array:
    """Numbers by their logarithm in [-1, 1], shape (values,)."""
    numbers = axis.astype(np.float64)
    logs = np.log(numbers) if numbers[0] > 0 else numbers
    span = logs[-1] - logs[0]
    return np.asarray(2 * (logs - logs[0]) / span - 1 if span > 0 else logs * 0.0)
