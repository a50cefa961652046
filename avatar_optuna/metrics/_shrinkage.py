"""What the best of several figures owes to luck."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MIN_FIGURES = 4
"""Fewer say too little of how much figures differ beyond their errors."""


def shrunk(figures: Sequence[float], errors: Sequence[float]) -> Array:
    """Figures drawn to their mean by as much as their errors explain of how they differ; shape (n,).

    True values and errors are taken for normal; how much the true values differ is estimated from the figures
    (DerSimonian and Laird 1986). Then the largest of the result is not too large in the mean, as the largest figure is
    (Morris, "Parametric Empirical Bayes Inference", JASA 1983). Where all figures come from the same inputs their
    errors are alike in part, which cannot make one the best: then this draws figures too far rather than too little.

    Args:
        figures: Of at least `MIN_FIGURES` models.
        errors: The standard error of each, above 0.
    """
    values, variances = np.asarray(figures, dtype=np.float64), np.square(np.asarray(errors, dtype=np.float64))
    weights = 1 / variances
    mean = (weights * values).sum() / weights.sum()
    excess = (weights * (values - mean) ** 2).sum() - (len(values) - 1)
    between = max(0.0, float(excess / (weights.sum() - (weights**2).sum() / weights.sum())))
    weights = 1 / (variances + between)
    mean = (weights * values).sum() / weights.sum()
    return np.asarray(mean + between / (between + variances) * (values - mean))
