"""The effectiveness indicator: a student's effectiveness, predicted from its configuration alone.

A Bayesian ridge regression (the paper's choice) on features that fit: sizes and the learning rate by their logarithm,
width and learning rate with their squares (too small learns nothing, too large falls apart), categories as categories
that weigh half, everything scaled by the space rather than by the few samples. Effectiveness is a fraction, so the
regression works on its logit. A student that fell apart in training is taken for three robust standard deviations from
what the others predict of it at most. It adds up over hyperparameters, on which the exact front relies. A fitted
indicator is plain numbers and is stored as JSON.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import groupby
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.exceptions import StudyError
from avatar_optuna.indicator._features import Array, Feature, features_of, matrix_of
from avatar_optuna.indicator._logit import logit, logit_variance, sigmoid
from avatar_optuna.indicator._regression import Block, Posterior, Regression
from avatar_optuna.indicator._trust import left_out_trust, without_outliers
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, Configuration

_FORMAT = 1
MIN_SAMPLES = 4
"""Fewer distilled samples are refused."""
_ONE_SIDED_95, _TWO_SIDED_95 = 1.645, 1.96
FEATURE_PRECISIONS = tuple(np.geomspace(0.3, 3e4, 11).tolist())
"""From coefficients twice as large as the noise to none."""
_NOISE_STD = 0.3
"""Of logits, before any sample: 1.5 points at 95 % effectiveness, 7.5 points at 50 %."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Indicator(Stored):
    """A fitted indicator.

    Args:
        family: Name of the family whose students it predicts.
        features: Columns of the regression.
        coefficients: Shape (features,).
        intercept: On the logit scale.
        covariance: Shape (features, features): of the coefficients.
        noise_variance: Of one measurement and of the regression's level, on the logit scale.
        num_samples: How many students it was fitted on.
        leave_one_out_error: Root of the mean squared error of each sample predicted from all others, as a fraction.
        rank_correlation: Spearman's correlation of those predictions, each taken from the mean of the samples that it
            was made from, with what was measured; 0 where undefined.
        coverage: Share of those samples that lie in their 95 % interval.
        centre: Means of the features over the samples, where the regression is surest; shape (features,). None in
            what an earlier version stored, for zeros.
        chance: What the rank correlation would be between in 95 % of cases if students differed by chance alone: its
            2.5 and 97.5 % quantiles when what was measured is dealt out to the students at random. None in what an
            earlier version stored.
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
    centre: Array | None = None
    chance: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        size, known = len(self.features), FAMILIES.get(self.family).by_name
        if unknown := sorted({feature.name for feature in self.features} - known.keys()):
            raise ValueError(f"Expected features of the family {self.family}, got {unknown}")
        if self.coefficients.shape != (size,) or self.covariance.shape != (size, size):
            raise ValueError(f"Expected {size} coefficients and their covariance, one for each feature")
        if self.centre is not None and self.centre.shape != (size,):
            raise ValueError(f"Expected the centre of {size} features")

    @classmethod
    def fit(
        cls,
        students: Sequence[Configuration],
        effectiveness: Sequence[float],
        *,
        space: SearchSpace,
        errors: Sequence[float] | None = None,
    ) -> Self:
        """Fit on distilled samples; leaves each out in turn to say how far to trust it.

        Args:
            students: Configurations of the samples.
            effectiveness: What each reached, a fraction.
            space: Gives the features their centre and scale.
            errors: Standard error of each, of the finite validation split alone: predictions are never surer.

        Raises:
            StudyError: There are fewer than four samples, or one is no fraction.
        """
        measured = np.asarray(effectiveness, dtype=np.float64)
        if len(students) != len(measured) or len(measured) < MIN_SAMPLES:
            raise StudyError(f"the indicator needs at least {MIN_SAMPLES} distilled samples, got {len(measured)}")
        if not ((measured >= 0) & (measured <= 1)).all():
            raise StudyError("the indicator is fitted on effectiveness as fractions from 0 to 1")
        least = 0.0 if errors is None else float(np.mean(logit_variance(measured, np.asarray(errors))))
        columns = ConfigurationTable.from_students(students)
        return cls.fit_logits(columns, logit(measured), space=space, least_noise_variance=least)

    @classmethod
    def fit_logits(
        cls,
        columns: ConfigurationTable,
        logits: Array,
        *,
        space: SearchSpace,
        variances: Array | None = None,
        least_noise_variance: float = 0.0,
    ) -> Self:
        """Fit on logits, some of which may be expected rather than measured.

        Args:
            columns: Configurations of the samples.
            logits: Of their effectiveness; shape (samples,).
            space: Gives the features their centre and scale.
            variances: How uncertain each logit is, 0 where it was measured; shape (samples,).
            least_noise_variance: Of one measurement, as the validation split gives it.
        """
        features = features_of(space)
        regression, posterior = indicator_posterior(matrix_of(features, columns), logits, variances)
        trust = left_out_trust(regression, logits, variances)
        level_variance = posterior.noise_variance / posterior.num_samples
        return cls(
            family=space.family.name,
            features=features,
            coefficients=posterior.coefficients,
            intercept=float(posterior.level - posterior.centre @ posterior.coefficients),
            covariance=posterior.covariance * posterior.widening,
            noise_variance=posterior.widening * (max(posterior.noise_variance, least_noise_variance) + level_variance),
            num_samples=posterior.num_samples,
            leave_one_out_error=trust.error,
            rank_correlation=trust.rank_correlation,
            coverage=trust.coverage,
            centre=posterior.centre,
            chance=trust.chance,
        )

    def predict(self, students: Sequence[Configuration]) -> tuple[Array, Array]:
        """Predicted effectiveness and its standard deviation, as fractions; shape (students,) each.

        The deviation is half the width of the 95 % interval, which is taken on the logit scale and so stays between 0
        and 1, over 1.96.
        """
        logits, variance = self.predict_logits(np.asarray([self._row(student) for student in students]))
        reach = _TWO_SIDED_95 * np.sqrt(variance)
        mean, high, low = sigmoid(np.stack([logits, logits + reach, logits - reach]))
        return mean, (high - low) / (2 * _TWO_SIDED_95)

    def rank_columns(self, columns: ConfigurationTable) -> Array:
        """Predicted effectiveness alone, for millions of configurations; shape (n,)."""
        total = np.full(len(columns), self.intercept)
        for feature, coefficient in zip(self.features, self.coefficients, strict=True):
            if coefficient != 0:
                total += coefficient * feature.of(columns)
        return sigmoid(total)

    def can_rank_neighbours(self, students: Sequence[Configuration]) -> npt.NDArray[np.bool_]:
        """For each student but the first, whether it is 95 % sure which of it and the one before is more effective."""
        matrix = matrix_of(self.features, ConfigurationTable.from_students(students))
        steps = matrix[1:] - matrix[:-1]
        variance = np.maximum(np.einsum("ij,jk,ik->i", steps, self.covariance, steps), 1e-18)
        return np.asarray(np.abs(steps @ self.coefficients) >= _ONE_SIDED_95 * np.sqrt(variance))

    def rankable(self, students: Sequence[Configuration]) -> npt.NDArray[np.bool_]:
        """For each pair, whether it is 95 % sure which of the two is more effective; shape (students, students)."""
        matrix = matrix_of(self.features, ConfigurationTable.from_students(students))
        scores = matrix @ self.coefficients
        shared = matrix @ self.covariance @ matrix.T
        own = np.diag(shared)
        variance = np.maximum(own[:, None] + own[None, :] - 2 * shared, 1e-18)
        return np.asarray(np.abs(scores[:, None] - scores[None, :]) >= _ONE_SIDED_95 * np.sqrt(variance))

    @property
    def rank_correlation_interval(self) -> tuple[float, float]:
        """95 % interval of the rank correlation: as wide as it is by chance alone, on Fisher's scale.

        It is above 0 exactly where a permutation test says that chance is above it in 2.5 % of cases at most. What an
        earlier version stored has Fisher's own interval (Fieller et al., 1957).
        """
        middle = _fisher(self.rank_correlation)
        if self.chance is not None:
            low, high = self.chance
            return math.tanh(middle - _fisher(high)), math.tanh(middle - _fisher(low))
        if self.num_samples <= 4:
            return (-1.0, 1.0)
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

    def predict_logits(self, matrix: Array) -> tuple[Array, Array]:
        """Mean and variance of the logit of effectiveness; shape (students,) each.

        Args:
            matrix: Features of the students; shape (students, features).
        """
        rows = matrix if self.centre is None else matrix - self.centre
        variance = self.noise_variance + np.einsum("ij,jk,ik->i", rows, self.covariance, rows)
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


def indicator_posterior(matrix: Array, logits: Array, variances: Array | None) -> tuple[Regression, Posterior]:
    """The regression of an indicator and what it knows; see `Indicator.fit_logits`."""
    blocks = [Block(size=matrix.shape[1], precisions=FEATURE_PRECISIONS)]
    regression = Regression(matrix, blocks, noise_std=_NOISE_STD)
    return regression, regression.posterior(without_outliers(regression, logits), variances)


def _fisher(correlation: float) -> float:
    return math.atanh(min(max(correlation, -0.999), 0.999))
