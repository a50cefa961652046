"""How effective a classifier is: fractions from 0 to 1, with 95 % intervals, since test sets are small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Z = 1.959964


def effectiveness(labels: npt.NDArray[Any], predictions: npt.NDArray[Any], *, num_labels: int = 2) -> dict[str, Any]:
    """Figures of predictions.

    Args:
        labels: Shape (n,), from 0 to num_labels - 1.
        predictions: Shape (n,), of the same range.
        num_labels: Labels that are told apart.

    Returns:
        `accuracy`, `balanced_accuracy` (mean recall of the labels that occur in `labels`), `f1`, `precision`,
        `recall`, each a fraction; the last three are of the label 1 where there are two labels, else their means over
        the labels that occur in `labels` or `predictions` (macro averages); `accuracy_interval` (Wilson) and
        `balanced_accuracy_interval` (from the recalls' Wilson intervals, as Newcombe combines them) as [low, high];
        and `inputs`, how many there were. A ratio without a denominator is 0.

    Raises:
        ValueError: The arrays do not fit together, or are empty.
    """
    if labels.shape != predictions.shape or not len(labels):
        raise ValueError(
            f"labels and predictions must be two filled arrays of one shape, got {labels.shape}, {predictions.shape}"
        )
    right = labels == predictions
    occurring = np.unique(labels)
    hits = [(int((right & (labels == label)).sum()), int((labels == label).sum())) for label in occurring]
    averaged = [1] if num_labels == 2 else np.unique(np.concatenate([labels, predictions]))
    f1, precision, recall = np.mean([_of_label(label, labels, predictions) for label in averaged], axis=0).tolist()
    return {
        "accuracy": float(right.mean()),
        "accuracy_interval": list(wilson(int(right.sum()), len(labels))),
        "balanced_accuracy": _mean([_share(*counts) for counts in hits]),
        "balanced_accuracy_interval": list(_balanced_interval(hits)),
        "f1": f1,
        "precision": precision,
        "recall": recall,
        "inputs": len(labels),
    }


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if trials == 0:
        return (0.0, 1.0)
    share = successes / trials
    centre = (share + _Z**2 / (2 * trials)) / (1 + _Z**2 / trials)
    half = _Z / (1 + _Z**2 / trials) * math.sqrt(share * (1 - share) / trials + _Z**2 / (4 * trials**2))
    return (max(min(centre - half, share), 0.0), min(max(centre + half, share), 1.0))


def _of_label(label: int, labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> tuple[float, float, float]:
    """F1, precision and recall of one label."""
    hits = int(((labels == label) & (predictions == label)).sum())
    predicted, actual = int((predictions == label).sum()), int((labels == label).sum())
    return _share(2 * hits, predicted + actual), _share(hits, predicted), _share(hits, actual)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _balanced_interval(hits: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Of the mean recall, from the correct predictions and the inputs of each label."""
    below = above = 0.0
    for correct, inputs in hits:
        low, high = wilson(correct, inputs)
        recall = _share(correct, inputs)
        below, above = below + (recall - low) ** 2, above + (high - recall) ** 2
    middle = _mean([_share(*counts) for counts in hits])
    return (max(middle - math.sqrt(below) / len(hits), 0.0), min(middle + math.sqrt(above) / len(hits), 1.0))
