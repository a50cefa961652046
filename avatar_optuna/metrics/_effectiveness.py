"""How effective a classifier is: fractions from 0 to 1, with 95 % intervals, since test sets are small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Z = 1.959964

Interval = tuple[float, float]


def effectiveness(labels: npt.NDArray[Any], predictions: npt.NDArray[Any], *, num_labels: int = 2) -> dict[str, Any]:
    """Figures of predictions.

    Args:
        labels: Shape (n,), from 0 to num_labels - 1.
        predictions: Shape (n,), of the same range.
        num_labels: Labels that are told apart.

    Returns:
        `accuracy`, `balanced_accuracy` (mean recall of the labels that occur in `labels`), `f1`, `precision`,
        `recall`, each a fraction; the last three are of the label 1 where there are two labels, else their means over
        the labels that occur in `labels` or `predictions` (macro averages). A ratio without a denominator is 0.
        `accuracy_interval`, `balanced_accuracy_interval` and `f1_interval` as [low, high]: Wilson's, combined over
        labels as Newcombe combines them (for F1 as if labels erred independently). `inputs`: how many there were.

    Raises:
        ValueError: The arrays do not fit together, or are empty.
    """
    if labels.shape != predictions.shape or not len(labels):
        raise ValueError(
            f"labels and predictions must be two filled arrays of one shape, got {labels.shape}, {predictions.shape}"
        )
    confusion = np.zeros((num_labels, num_labels), dtype=np.int64)  # [label, prediction]
    np.add.at(confusion, (labels.astype(np.int64), predictions.astype(np.int64)), 1)
    hits, actual, predicted = confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)
    occurring = np.flatnonzero(actual)
    averaged = np.asarray([1]) if num_labels == 2 else np.flatnonzero(actual + predicted)
    recalls, f1s = _shares(hits, actual), _shares(2 * hits, actual + predicted)
    # F1 is 2 J / (1 + J) of the share J of hits among the inputs of which either side gives the label.
    unions = (actual + predicted - hits)[averaged]
    bounds = [wilson(int(own), int(union)) for own, union in zip(hits[averaged], unions, strict=True)]
    f1_bounds = [(2 * low / (1 + low), 2 * high / (1 + high)) for low, high in bounds]
    recall_bounds = [wilson(int(hits[label]), int(actual[label])) for label in occurring]
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "accuracy_interval": list(wilson(int(hits.sum()), len(labels))),
        "balanced_accuracy": float(recalls[occurring].mean()),
        "balanced_accuracy_interval": list(_interval_of_mean(recalls[occurring], recall_bounds)),
        "f1": float(f1s[averaged].mean()),
        "f1_interval": list(_interval_of_mean(f1s[averaged], f1_bounds)),
        "precision": float(_shares(hits, predicted)[averaged].mean()),
        "recall": float(recalls[averaged].mean()),
        "inputs": len(labels),
    }


def wilson(successes: float, trials: int) -> Interval:
    """Wilson's 95 % interval of a share; a tie may count as half a success."""
    if trials == 0:
        return (0.0, 1.0)
    share = successes / trials
    centre = (share + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
    half = _Z / (1 + _Z**2 / trials) * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    return (max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def _shares(parts: npt.NDArray[np.int64], wholes: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    return np.asarray(np.divide(parts, wholes, out=np.zeros(len(parts)), where=wholes > 0))


def _interval_of_mean(values: npt.NDArray[np.float64], bounds: Sequence[Interval]) -> Interval:
    """Of the mean of independent shares, from the interval of each (Newcombe, 1998)."""
    low, high = np.asarray(bounds).T
    middle, count = float(values.mean()), len(values)
    below, above = np.linalg.norm(values - low), np.linalg.norm(high - values)
    return (max(middle - float(below) / count, 0.0), min(middle + float(above) / count, 1.0))
