"""The effectiveness indicator: a student's effectiveness, predicted from its configuration alone.

A Bayesian ridge regression (the paper's choice) on features that fit: sizes and the learning rate by their logarithm,
width and learning rate with their squares (too small learns nothing, too large falls apart), categories as categories
that weigh half, everything scaled by the space rather than by the few samples. Effectiveness is a fraction, so the
regression works on its logit. A student that fell apart in training counts less than one that learnt: samples far from
the regression weigh less (Huber's weights). It adds up over hyperparameters, on which the exact front relies.
Scikit-learn's home; a fitted indicator is plain numbers and is stored as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.configurations import ConfigurationTable, Lattice
from avatar_optuna.exceptions import StudyError
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, Configuration

Array = npt.NDArray[np.float64]

_FORMAT = 1
_CATEGORY_SCALE = 2.0  # a category is told from half the others by chance alone: it is believed later than a size
_CLIP = 0.005
"""Effectiveness is kept this far from 0 and 1, where the logit has no end."""
_HUBER = 1.345  # 95 % as efficient as least squares where nothing stands out
_LEAST_SPREAD = 0.05  # of the samples' own: a regression that goes through half of its samples is no measure
_REWEIGHTINGS = 8
_EQUAL = 1e-9  # logits closer than this are told apart by rounding alone
_MIN_SAMPLES = 4
_ONE_SIDED_95, _TWO_SIDED_95 = 1.645, 1.96


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the regression.

    Args:
        name: Of the hyperparameter.
        category: The value whose presence it tells, or None for a number.
        centre: Taken off.
        scale: Divided by.
        degree: Power that the scaled number is raised to.
    """

    name: str
    category: str | None
    centre: float
    scale: float
    degree: int = 1

    def of(self, columns: ConfigurationTable) -> Array:
        """Its values; shape (n,)."""
        raw = getattr(columns, self.name)
        if self.category is not None:
            values = (raw == self.category).astype(np.float64)
        else:
            values = _scaled(raw, columns.family.by_name[self.name].is_logarithmic)
        return np.asarray(((values - self.centre) / self.scale) ** self.degree)


@dataclass(frozen=True, kw_only=True, eq=False)
class Indicator(Stored):
    """A fitted indicator.

    Args:
        family: Name of the family whose students it predicts.
        features: Columns of the regression.
        coefficients: Shape (features,).
        intercept: On the logit scale.
        covariance: Shape (features, features): of the coefficients.
        noise_variance: Of one measurement, on the logit scale.
        num_samples: How many students it was fitted on.
        leave_one_out_error: Root of the mean squared error of each sample predicted from all others, as a fraction.
        rank_correlation: Spearman's correlation of those predictions, each taken from the mean of the samples that it
            was made from, with what was measured; 0 where undefined.
        coverage: Share of those samples that lie in their 95 % interval.

    On few samples the regression is too sure of itself. Its variances are multiplied by the mean squared error of the
    samples left out, in units of their own standard deviation, where that is above 1.
    """

    family: str
    features: tuple[Feature, ...]
    coefficients: Array
    intercept: float
    covariance: Array
    noise_variance: float
    num_samples: int
    leave_one_out_error: float
    rank_correlation: float
    coverage: float

    def __post_init__(self) -> None:
        size, known = len(self.features), FAMILIES.get(self.family).by_name
        if unknown := sorted({feature.name for feature in self.features} - known.keys()):
            raise ValueError(f"Expected features of the family {self.family}, got {unknown}")
        if self.coefficients.shape != (size,) or self.covariance.shape != (size, size):
            raise ValueError(f"Expected {size} coefficients and their covariance, one for each feature")

    @classmethod
    def fit(cls, students: Sequence[Configuration], effectiveness: Sequence[float], *, space: SearchSpace) -> Indicator:
        """Fit on distilled samples; leaves each out in turn to say how far to trust it.

        Args:
            students: Configurations of the samples.
            effectiveness: What each reached, a fraction.
            space: Gives the features their centre and scale.

        Raises:
            StudyError: There are fewer than four samples, or one is no fraction.
        """
        measured = np.asarray(effectiveness, dtype=np.float64)
        if len(students) != len(measured) or len(measured) < _MIN_SAMPLES:
            raise StudyError(f"the indicator needs at least {_MIN_SAMPLES} distilled samples, got {len(measured)}")
        if not ((measured >= 0) & (measured <= 1)).all():
            raise StudyError("the indicator is fitted on effectiveness as fractions from 0 to 1")
        features = _features(space)
        matrix = _matrix(features, ConfigurationTable.from_students(students))
        error, correlation, coverage, inflation = _leave_one_out(matrix, measured)
        coefficients, intercept, covariance, noise = _regress(matrix, measured)
        return cls(
            family=space.family.name,
            features=features,
            coefficients=coefficients,
            intercept=intercept,
            covariance=covariance * inflation,
            noise_variance=noise * inflation,
            num_samples=len(measured),
            leave_one_out_error=error,
            rank_correlation=correlation,
            coverage=coverage,
        )

    def predict(self, students: Sequence[Configuration]) -> tuple[Array, Array]:
        """Predicted effectiveness and its standard deviation, as fractions; shape (students,) each.

        The deviation is half the width of the 95 % interval, which is taken on the logit scale and so stays between 0
        and 1, over 1.96.
        """
        logits, variance = self._logits(np.asarray([self._row(student) for student in students]))
        reach = _TWO_SIDED_95 * np.sqrt(variance)
        mean, high, low = _sigmoid(np.stack([logits, logits + reach, logits - reach]))
        return mean, (high - low) / (2 * _TWO_SIDED_95)

    def rank_columns(self, columns: ConfigurationTable) -> Array:
        """Predicted effectiveness alone, for millions of configurations; shape (n,)."""
        total = np.full(len(columns), self.intercept)
        for feature, coefficient in zip(self.features, self.coefficients, strict=True):
            if coefficient != 0:
                total += coefficient * feature.of(columns)
        return _sigmoid(total)

    def can_rank_neighbours(self, students: Sequence[Configuration]) -> npt.NDArray[np.bool_]:
        """For each student but the first, whether it is 95 % sure which of it and the one before is more effective."""
        matrix = _matrix(self.features, ConfigurationTable.from_students(students))
        steps = matrix[1:] - matrix[:-1]
        variance = np.maximum(np.einsum("ij,jk,ik->i", steps, self.covariance, steps), 1e-18)
        return np.asarray(np.abs(steps @ self.coefficients) >= _ONE_SIDED_95 * np.sqrt(variance))

    def rankable(self, students: Sequence[Configuration]) -> npt.NDArray[np.bool_]:
        """For each pair, whether it is 95 % sure which of the two is more effective; shape (students, students)."""
        matrix = _matrix(self.features, ConfigurationTable.from_students(students))
        scores = matrix @ self.coefficients
        shared = matrix @ self.covariance @ matrix.T
        own = np.diag(shared)
        variance = np.maximum(own[:, None] + own[None, :] - 2 * shared, 1e-18)
        return np.asarray(np.abs(scores[:, None] - scores[None, :]) >= _ONE_SIDED_95 * np.sqrt(variance))

    @property
    def rank_correlation_interval(self) -> tuple[float, float]:
        """95 % interval of the rank correlation, by Fisher's transformation (Fieller et al., 1957)."""
        if self.num_samples <= 4:
            return (-1.0, 1.0)
        middle = math.atanh(min(max(self.rank_correlation, -0.999), 0.999))
        half = _TWO_SIDED_95 * math.sqrt(1.06 / (self.num_samples - 3))
        return math.tanh(middle - half), math.tanh(middle + half)

    @property
    def ranks(self) -> bool:
        """Whether it ranked the samples it had not seen better than chance, as far as their number can tell (95 %)."""
        return self.rank_correlation_interval[0] > 0

    def _row(self, student: Configuration) -> list[float]:
        """Features of one student; a search asks for few values of each hyperparameter, again and again."""
        row: list[float] = []
        for name, features, known in self._groups:
            value = student.values[name]
            if value not in known:
                column = student.family.by_name[name].column([value])
                columns = ConfigurationTable(family=student.family, values={name: column})
                known[value] = [float(feature.of(columns)[0]) for feature in features]
            row += known[value]
        return row

    @cached_property
    def _groups(self) -> list[tuple[str, list[Feature], dict[Any, list[float]]]]:
        """Hyperparameters with their features, and those of the values that were asked for."""
        return [(name, list(features), {}) for name, features in groupby(self.features, key=lambda one: one.name)]

    def _logits(self, matrix: Array) -> tuple[Array, Array]:
        variance = self.noise_variance + np.einsum("ij,jk,ik->i", matrix, self.covariance, matrix)
        return matrix @ self.coefficients + self.intercept, variance

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; a feature is the list of its fields."""
        values = super().to_dict()
        return {"format": _FORMAT, **values, "features": [list(feature.values()) for feature in values["features"]]}

    @classmethod
    def _upgraded(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if values["format"] != _FORMAT:
            raise ValueError(f"the format must be {_FORMAT}")
        names = [field.name for field in fields(Feature)]
        features = [dict(zip(names, row, strict=False)) for row in values["features"]]  # the last field was added later
        return {"family": DEFAULT_FAMILY, **values, "features": features}


def _features(space: SearchSpace) -> tuple[Feature, ...]:
    """One feature a number that varies (two where it is curved), one a category value, scaled by the space's spread."""
    lattice = Lattice(space)
    features: list[Feature] = []
    for spec, axis in zip(space.hyperparameters, lattice.axes, strict=True):
        name = spec.name
        if spec.is_category:
            share = 1 / len(axis)
            features += [
                Feature(name=name, category=str(value), centre=share, scale=_CATEGORY_SCALE)
                for value in axis
                if len(axis) > 1
            ]
        else:
            values = _scaled(axis, spec.is_logarithmic)
            span = float(values.max() - values.min())
            if span > 0:
                centre = float(values.max() + values.min()) / 2
                degrees = (1, 2) if spec.is_curved else (1,)
                features += [
                    Feature(name=name, category=None, centre=centre, scale=span / 2, degree=degree)
                    for degree in degrees
                ]
    return tuple(features)


def _scaled(values: npt.NDArray[Any], is_logarithmic: bool) -> Array:
    return np.asarray(np.log2(np.maximum(values, 1e-12)) if is_logarithmic else values.astype(np.float64))


def _matrix(features: Sequence[Feature], columns: ConfigurationTable) -> Array:
    if not features:
        return np.zeros((len(columns), 0))
    return np.stack([feature.of(columns) for feature in features], axis=1)


def _logit(effectiveness: Array) -> Array:
    clipped = np.clip(effectiveness, _CLIP, 1 - _CLIP)
    return np.log(clipped / (1 - clipped))


def _sigmoid(logits: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))


def _regress(matrix: Array, measured: Array) -> tuple[Array, float, Array, float]:
    """Coefficients, intercept, covariance of the coefficients, noise variance."""
    from sklearn.linear_model import BayesianRidge

    logits = _logit(measured)
    if matrix.shape[1] == 0 or np.ptp(logits) == 0:
        size = matrix.shape[1]
        return np.zeros(size), float(logits.mean()), np.zeros((size, size)), float(logits.var()) + 1e-9
    weights = np.ones(len(logits))
    for _ in range(_REWEIGHTINGS + 1):
        model = BayesianRidge(max_iter=1000).fit(matrix, logits, sample_weight=weights)
        weights = _huber_weights(logits - model.predict(matrix), floor=_LEAST_SPREAD * float(logits.std()))
    return (
        np.asarray(model.coef_, dtype=np.float64),
        float(model.intercept_),
        np.asarray(model.sigma_, dtype=np.float64),
        float(1 / model.alpha_),
    )


def _huber_weights(residuals: Array, *, floor: float) -> Array:
    """1 for residuals within 1.345 robust standard deviations, less the farther out (Huber, 1964); shape (n,)."""
    spread = max(1.4826 * float(np.median(np.abs(residuals))), floor)
    return np.asarray(1 / np.maximum(1.0, np.abs(residuals) / (_HUBER * spread)))


def _leave_one_out(matrix: Array, measured: Array) -> tuple[float, float, float, float]:
    """Error, rank correlation, coverage and inflation of variances: each sample predicted by all others."""
    from scipy.stats import spearmanr

    means, stds = np.zeros(len(measured)), np.zeros(len(measured))
    for index in range(len(measured)):
        others = np.arange(len(measured)) != index
        coefficients, intercept, covariance, noise = _regress(matrix[others], measured[others])
        row = matrix[index]
        means[index] = row @ coefficients + intercept
        stds[index] = math.sqrt(noise + float(row @ covariance @ row))
    logits = _logit(measured)
    error = float(np.sqrt(np.mean((_sigmoid(means) - measured) ** 2)))
    # A regression that knows nothing predicts the mean of the others, which falls as the one left out rises.
    above_others = means - (logits.sum() - logits) / (len(logits) - 1)
    defined = np.ptp(above_others) > _EQUAL and np.ptp(measured) > 0
    correlation = float(spearmanr(above_others, measured).statistic) if defined else 0.0
    surprises = (logits - means) / stds
    inflation = max(float(np.mean(surprises**2)), 1.0)
    covered = float(np.mean(np.abs(surprises) <= _TWO_SIDED_95 * math.sqrt(inflation)))
    return error, correlation, covered, inflation
