"""The final effectiveness of students from their configurations and from whatever part of their training is done.

One Bayesian regression for each rung, a share of the full training: final effectiveness from the configuration and
from the best and the last figure and the last and the lowest validation loss up to there. Students that were trained
further give its targets: their final figure where it is known, else what the next rungs expect of them by their curves
alone, its variance counted. So a regression learns from every curve, and rung 0, which is the indicator that a search
asks, from all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.exceptions import StudyError
from avatar_optuna.indicator._features import Array, Feature, features_of, matrix_of
from avatar_optuna.indicator._indicator import FEATURE_PRECISIONS, Indicator, indicator_posterior
from avatar_optuna.indicator._logit import logit, logit_variance, sigmoid
from avatar_optuna.indicator._regression import Block, Posterior, Regression
from avatar_optuna.space import SearchSpace

_RUNGS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8)
_CURVE_PRECISIONS = tuple(np.geomspace(0.1, 1e3, 5).tolist())
_NUM_STATES = 4
_HASTE = 8.0
"""A training is expected to have settled what its rank will be by exp(-8 f) after a share f of it. Of 336 students of
two families on BigCloneBench, regressions of the final logit on the best so far have slopes of 0.3 to 0.5, 0.4 to 0.55,
0.6 to 0.7, 0.7 to 0.8 and 0.8 to 0.9 at 5, 10, 15, 20 and 40 % (`studies/LOG.md`); this gives 0.33, 0.55, 0.70, 0.80
and 0.96. It is where regressions start, and what they keep to where few students were trained to the end."""
_NOISE_STD, _LEAST_NOISE_STD = 0.4, 0.03


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningCurves:
    """What was measured of students after each epoch, NaN where they are not trained yet.

    Args:
        figures: Effectiveness on validation, fractions; shape (students, epochs of a full training).
        losses: On validation; the same shape.

    Raises:
        ValueError: The shapes differ, or an epoch is known after one that is not.
    """

    figures: Array
    losses: Array

    def __post_init__(self) -> None:
        known = np.isfinite(self.figures)
        if self.figures.shape != self.losses.shape or (known != np.isfinite(self.losses)).any():
            raise ValueError("Expected a figure and a loss of each epoch")
        if (known[:, 1:] & ~known[:, :-1]).any():
            raise ValueError("Expected every epoch before one that is known")

    @cached_property
    def epochs(self) -> npt.NDArray[np.int64]:
        """How many are done; shape (students,)."""
        return np.asarray(np.isfinite(self.figures).sum(axis=1))

    def part(self, students: npt.NDArray[np.int64]) -> LearningCurves:
        """Those of some students."""
        return LearningCurves(figures=self.figures[students], losses=self.losses[students])

    @property
    def full(self) -> int:
        """Epochs of a full training."""
        return int(self.figures.shape[1])

    @cached_property
    def best(self) -> Array:
        """The best figure up to each epoch, as a logit."""
        return np.maximum.accumulate(logit(self.figures), axis=1)

    def states(self, epoch: int) -> Array:
        """What regressions see of a curve after an epoch, 1 or later; shape (students, 4)."""
        last = epoch - 1
        losses = -2 * np.log(np.maximum(self.losses, 1e-12))  # scaled to spread about as logits do
        lowest = np.maximum.accumulate(losses, axis=1)
        return np.column_stack(
            [self.best[:, last], logit(self.figures[:, last]), losses[:, last], lowest[:, last]],
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class CurveModel:
    """Fitted regressions.

    Args:
        space: Of the configurations.
        columns: Students with a curve; length n.
        expected: Their final logits, as measured or as their curves alone let expect; shape (n,).
        variances: Of these, 0 where they were measured; shape (n,).
        features: Of configurations.
        rungs: By epochs done, from 1.
        full: Epochs of a full training.
        least_noise_variance: Of a final logit, as the validation split gives it.
    """

    space: SearchSpace
    columns: ConfigurationTable
    expected: Array
    variances: Array
    features: tuple[Feature, ...]
    rungs: dict[int, Posterior]
    full: int
    least_noise_variance: float

    @classmethod
    def fit(
        cls,
        columns: ConfigurationTable,
        curves: LearningCurves,
        *,
        space: SearchSpace,
        errors: Array | None = None,
        rungs: Sequence[int] | None = None,
    ) -> Self:
        """Fit on students, at least one of which is fully trained.

        Args:
            columns: Their configurations.
            curves: What is known of their trainings.
            space: Gives the features their centre and scale.
            errors: Standard error of the best figure of each, of the finite validation split alone.
            rungs: After which epochs there is a regression, ascending; `rung_epochs` by default.

        Raises:
            StudyError: No student is fully trained, or fewer than four have a rung's epochs behind them.
        """
        if not (curves.epochs == curves.full).any():
            raise StudyError("the indicator of final effectiveness needs a student that is fully trained")
        features = features_of(space)
        matrix, epochs = matrix_of(features, columns), curves.epochs
        targets = np.where(epochs == curves.full, curves.best[:, -1], np.nan)
        variances = np.zeros(len(targets))
        posteriors: dict[int, Posterior] = {}
        for rung in reversed(rung_epochs(curves.full) if rungs is None else rungs):
            known, states = np.isfinite(targets), curves.states(rung)
            start = _settled(rung, curves.full) * states[:, 0]
            residuals, spread = (targets - start)[known], variances[known]
            noise_std = _NOISE_STD * float(np.sqrt(1 - _settled(rung, curves.full))) + _LEAST_NOISE_STD
            by_curve = Block(size=_NUM_STATES, precisions=_CURVE_PRECISIONS)
            by_both = [by_curve, Block(size=len(features), precisions=FEATURE_PRECISIONS)]
            both = np.hstack([states, matrix])
            posteriors[rung] = Regression(both[known], by_both, noise_std=noise_std).posterior(residuals, spread)
            is_next = ~known & (epochs >= rung)
            if is_next.any():
                alone = Regression(states[known], [by_curve], noise_std=noise_std).posterior(residuals, spread)
                means, expected = alone.predict(states[is_next])
                targets[is_next], variances[is_next] = means + start[is_next], expected / alone.widening
        known = np.isfinite(targets)
        if known.sum() < 4:
            raise StudyError(f"the indicator needs at least 4 students with a curve, got {known.sum()}")
        least = 0.0
        if errors is not None:
            least = float(np.mean(logit_variance(sigmoid(curves.best[known, -1]), errors[known])))
        values = {name: column[known] for name, column in columns.values.items()}
        return cls(
            space=space,
            columns=ConfigurationTable(family=columns.family, values=values),
            expected=targets[known],
            variances=variances[known],
            features=features,
            rungs=posteriors,
            full=curves.full,
            least_noise_variance=least,
        )

    @cached_property
    def indicator(self) -> Indicator:
        """What the curves say of configurations that nobody has trained, and how far to trust it."""
        return Indicator.fit_logits(
            self.columns,
            self.expected,
            space=self.space,
            variances=self.variances,
            least_noise_variance=self.least_noise_variance,
        )

    @cached_property
    def _untrained(self) -> Posterior:
        """The indicator's regression, without the work of saying how far to trust it."""
        return indicator_posterior(matrix_of(self.features, self.columns), self.expected, self.variances)[1]

    def predict(self, columns: ConfigurationTable, curves: LearningCurves) -> tuple[Array, Array]:
        """Final logit of each student and its standard deviation, 0 where it is fully trained; shape (students,) each.

        95 % of final logits lie within 1.96 standard deviations. The mean is never below the best figure so far.
        """
        matrix = matrix_of(self.features, columns)
        means, variances = self._untrained.predict(matrix)
        for rung, posterior in self.rungs.items():
            is_at = self._rung_of(curves.epochs) == rung
            if is_at.any():
                states = curves.states(rung)[is_at]
                mean, variance = posterior.predict(np.hstack([states, matrix[is_at]]))
                means[is_at] = mean + _settled(rung, self.full) * states[:, 0]
                variances[is_at] = np.maximum(variance, self.least_noise_variance)
        done = curves.epochs == self.full
        means[done], variances[done] = curves.best[done, -1], 0.0
        begun = curves.epochs > 0
        means[begun] = np.maximum(means[begun], np.nanmax(curves.best[begun], axis=1))
        return means, np.sqrt(variances)

    def _rung_of(self, epochs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The last rung that each has reached, 0 before the first."""
        known = np.asarray([0, *sorted(self.rungs)])
        return np.asarray(known[np.searchsorted(known, epochs, side="right") - 1])


def rung_epochs(full: int) -> list[int]:
    """After which epochs regressions predict, ascending, for full trainings of so many."""
    return sorted({epochs for share in _RUNGS if 0 < (epochs := round(share * full)) < full})


def _settled(epochs: int, full: int) -> float:
    return float(1 - np.exp(-_HASTE * epochs / full))
