"""A threshold for an expected number of false findings, from the scores of the scanned code itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from avatar_optuna.scan._findings import Threshold
from avatar_optuna.scan._scores import Scores, margin, probability

DEFAULT_FALSE_PER_1000 = {1: 10.0, 2: 1.0}
"""By functions an input."""
LEAST_SCORES = {1: 100, 2: 10_000}
"""By functions an input; of fewer scores no tail is known."""
_TAIL = (0.99, 0.999)
"""Quantiles of the scores of random pairs between which they are taken as those of unrelated pairs."""


def tail_margin(scores: Scores, share: float) -> float:
    """The margin that a share of unrelated inputs reaches.

    Random pairs of a code base are nearly all unrelated, but the highest of them are not: clones are among them. So
    the tail is taken from scores below those, between two quantiles, and continued as that of a normal distribution.

    Args:
        scores: Of random inputs, shape (n,).
        share: Above 0, at most 1.

    Returns:
        For a share that reaches the lower quantile, the quantile of that share itself.
    """
    if share >= 1 - _TAIL[0]:
        return float(np.quantile(scores, max(1 - share, 0.0)))
    low, high, per_deviation = _normal_tail(scores)
    return low + per_deviation * (_deviations(share) - _deviations(1 - _TAIL[0])) if high > low else high


def tail_share(scores: Scores, margin: float) -> float:
    """The share of unrelated inputs that reaches a margin: the inverse of `tail_margin`."""
    low, high, per_deviation = _normal_tail(scores)
    if margin <= low or high <= low:
        return float(np.mean(scores >= margin))
    deviations = _deviations(1 - _TAIL[0]) + (margin - low) / per_deviation
    return 0.5 * math.erfc(deviations / math.sqrt(2))


def _normal_tail(scores: Scores) -> tuple[float, float, float]:
    """Both quantiles, and the standard deviation of a normal distribution that has them."""
    low, high = np.quantile(scores.astype(np.float64), _TAIL).tolist()
    return low, high, (high - low) / (_deviations(1 - _TAIL[1]) - _deviations(1 - _TAIL[0]))


def _deviations(share: float) -> float:
    """Standard deviations above the mean that a share of a normal distribution reaches."""
    return -NormalDist().inv_cdf(share)


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What sets a threshold: the first of these that is not None, the student's own where none is.

    Args:
        asked: A probability that was asked for.
        false_per_1000: False findings to expect for 1,000 functions.
        baseline_margin: The margin of a baseline.
        own: The student's own, a probability.
    """

    own: float
    asked: float | None = None
    false_per_1000: float | None = None
    baseline_margin: float | None = None


def choose_threshold(scores: Scores, aim: Aim, *, inputs: int, functions: int, arity: int) -> Threshold:
    """The threshold asked for, the baseline's, or the one at which so many false findings are to be expected.

    Args:
        scores: Of random inputs of the scanned code, shape (n,).
        aim: What it is set by; where nothing was asked for and there is no baseline, by `DEFAULT_FALSE_PER_1000`. What
            is set by expectation is never below the student's own threshold.
        inputs: Inputs that there are: pairs, or functions.
        functions: Functions that there are.
        arity: Functions an input.
    """
    is_known = len(scores) >= LEAST_SCORES[arity]

    def threshold(least: float, origin: str) -> Threshold:
        expected = inputs * tail_share(scores, least) if is_known else None
        return Threshold(probability=probability(least), margin=least, origin=origin, expected_false=expected)

    if aim.asked is not None:
        return threshold(margin(aim.asked), "asked for")
    if aim.false_per_1000 is None and aim.baseline_margin is not None:
        return threshold(aim.baseline_margin, "the baseline's")
    own = margin(aim.own)
    if not is_known:
        return threshold(own, "the student's own, as there are too few functions for another")
    wanted = DEFAULT_FALSE_PER_1000[arity] if aim.false_per_1000 is None else aim.false_per_1000
    findings = "finding" if wanted == 1 else "findings"
    least = tail_margin(scores, wanted * functions / 1000 / inputs)
    if least < own:
        return threshold(own, f"the student's own, above that for {wanted:g} false {findings} in 1,000 functions")
    return threshold(least, f"for {wanted:g} false {findings} in 1,000 functions")
