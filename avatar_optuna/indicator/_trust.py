"""How far a regression is to be trusted: every sample predicted from all others, and the same of samples by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avatar_optuna.indicator._features import Array
from avatar_optuna.indicator._logit import sigmoid
from avatar_optuna.indicator._regression import TWO_SIDED_95, Regression

PERMUTATIONS = 1_999
"""With these, 2.5 % is a whole number of permutations, the true order counted in."""
_TAIL = 50  # of PERMUTATIONS + 1
_AT_ONCE = 200
_OUTLIER, _LEAST_SPREAD, _PASSES = 3.0, 0.3, 2
_EQUAL = 1e-9  # logits closer than this are told apart by rounding alone


@dataclass(frozen=True, kw_only=True)
class Trust:
    """What leaving out says.

    Args:
        error: Root of the mean squared error, as a fraction.
        rank_correlation: Spearman's, of predictions, each taken from the mean of the samples that it was made from,
            with what was measured; 0 where undefined. Predicting that mean would by itself correlate at -1.
        coverage: Share of samples in their 95 % interval.
        chance: 2.5 and 97.5 % quantiles of the rank correlation of permuted samples.
    """

    error: float
    rank_correlation: float
    coverage: float
    chance: tuple[float, float]


def without_outliers(regression: Regression, logits: Array) -> Array:
    """Logits, each at most three robust standard deviations from what all others predict of it.

    Args:
        regression: Of the samples' features.
        logits: Shape (..., samples).
    """
    targets = logits
    for _ in range(_PASSES):
        means, _ = regression.left_out(targets)
        residuals = logits - means
        spread = 1.4826 * np.median(np.abs(residuals), axis=-1, keepdims=True)
        reach = _OUTLIER * np.maximum(spread, _LEAST_SPREAD)
        targets = means + np.clip(residuals, -reach, reach)
    return targets


def left_out_trust(regression: Regression, logits: Array, variances: Array | None) -> Trust:
    """Leave out.

    The permutation test is exact: if configurations say nothing, the true order of the samples is as likely as any,
    so that its correlation is among the 50 greatest of 2,000 in 2.5 % of cases.

    Args:
        regression: Of the samples' features.
        logits: What was measured; shape (samples,).
        variances: Of expected targets, as `Regression.posterior` takes them; the permutation test does without.
    """
    means, spread = regression.left_out(without_outliers(regression, logits), variances)
    reach = TWO_SIDED_95 * np.sqrt(spread)
    rng = np.random.default_rng(0)
    correlations: list[float] = []
    for begin in range(0, PERMUTATIONS, _AT_ONCE):
        count = min(_AT_ONCE, PERMUTATIONS - begin)
        permuted = np.stack([rng.permutation(logits) for _ in range(count)])
        correlations += _rank_correlations(regression, permuted).tolist()
    ordered = np.sort(correlations)
    return Trust(
        error=float(np.sqrt(np.mean((sigmoid(means) - sigmoid(logits)) ** 2))),
        rank_correlation=float(_rank_correlations(regression, logits)),
        coverage=float(np.mean(np.abs(logits - means) <= reach)),
        chance=(float(ordered[_TAIL - 1]), float(ordered[-_TAIL])),
    )


def _rank_correlations(regression: Regression, logits: Array) -> Array:
    """Of each set of logits; shape (...,), rounded so that equal ones are equal."""
    from scipy.stats import rankdata

    targets = without_outliers(regression, logits)
    means, _ = regression.left_out(targets)
    count = targets.shape[-1]
    above_others = means - (targets.sum(axis=-1, keepdims=True) - targets) / (count - 1)
    first, second = (rankdata(values, axis=-1) - (count + 1) / 2 for values in (above_others, logits))
    scale = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    is_defined = (np.ptp(above_others, axis=-1) > _EQUAL) & (scale > 0)
    products = (first * second).sum(axis=-1)
    return np.asarray(np.round(np.divide(products, scale, out=np.zeros_like(products), where=is_defined), 12))
