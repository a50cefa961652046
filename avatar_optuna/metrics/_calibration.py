"""How far probabilities are from what happens: the expected calibration error (ECE)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.decision import Decision
from avatar_optuna.metrics._resampling import Array, resampled_means

BINS = 15
"""Of equal width, from 0 to 1, as Guo et al. (2017) take them."""


def calibration(
    inputs: npt.NDArray[np.integer[Any]], labels: npt.NDArray[np.int64], logits: npt.NDArray[Any], decision: Decision
) -> dict[str, Any]:
    """The ECE of a classifier with and without its temperature.

    The probability that is judged is the one that `predict` prints: of two labels that of the label 1, of more that of
    the likeliest. Inputs are put into bins by it; the ECE is the mean over the inputs of how far, in an input's bin,
    the mean probability is from the share of inputs of which it came true.

    Args:
        inputs: Places of functions, shape (n, functions an input).
        labels: Shape (n,).
        logits: Shape (n, labels).
        decision: Of which the temperature counts.

    Returns:
        `ece` and `ece_uncalibrated`, from 0 to 1, the lower the better, each with its `NAME_interval` as [low, high].
    """
    by_name = {
        "ece": _gaps(labels, decision.probabilities(logits)),
        "ece_uncalibrated": _gaps(labels, Decision().probabilities(logits)),
    }
    drawn = resampled_means(inputs, np.concatenate(list(by_name.values()), axis=1))
    found: dict[str, Any] = {}
    for (name, gaps), draws in zip(by_name.items(), np.split(drawn, len(by_name), axis=1), strict=True):
        found[name] = float(np.abs(gaps.mean(axis=0)).sum())
        found[f"{name}_interval"] = list(_interval(gaps.mean(axis=0), draws))
    return found


def _gaps(labels: npt.NDArray[np.int64], probabilities: Array) -> Array:
    """Shape (n, bins): in its bin, whether an input's probability came true less the probability; elsewhere 0."""
    if probabilities.shape[1] == 2:
        judged, came_true = probabilities[:, 1], labels == 1
    else:
        judged, came_true = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], judged)
    gaps = np.zeros((len(labels), BINS))
    gaps[np.arange(len(labels)), bins] = came_true - judged
    return gaps


def _interval(means: Array, draws: Array) -> tuple[float, float]:
    """95 % interval of the ECE, from the mean gap of each bin (bins,) and its draws (draws, bins).

    What is measured is above the truth, as chance adds gaps in all bins, and the draws are above it again: their
    percentiles may exclude the truth for certain. The truth is at most as far below the figure as the absolute errors
    of all bins together; above it the draws are mirrored. (Both ends at 2.5 %.)
    """
    value = float(np.abs(means).sum())
    if not len(draws):
        return 0.0, 1.0
    errors, figures = np.abs(draws - means).sum(axis=1), np.abs(draws).sum(axis=1)
    low = value - float(np.percentile(errors, 97.5))
    high = 2 * value - float(np.percentile(figures, 2.5))
    return max(low, 0.0), min(max(high, value), 1.0)
