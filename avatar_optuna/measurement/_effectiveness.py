"""How effective a classifier is: fractions from 0 to 1, with 95 % intervals, since test sets are small."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

_Z = 1.959964


def effectiveness(labels: npt.NDArray[Any], predictions: npt.NDArray[Any]) -> dict[str, Any]:
    """Figures of binary predictions; the positive class is 1.

    Args:
        labels: Shape (n,), 0 or 1.
        predictions: Shape (n,), 0 or 1.

    Returns:
        `accuracy`, `balanced_accuracy` (mean of the two recalls), `f1`, `precision`, `recall`, each a fraction;
        `accuracy_interval` (Wilson) and `balanced_accuracy_interval` (from the two recalls' Wilson intervals, as
        Newcombe combines them) as [low, high]; and `inputs`, how many there were. A ratio without a denominator is 0.

    Raises:
        ValueError: The arrays do not fit together, or are empty.
    """
    if labels.shape != predictions.shape or not len(labels):
        raise ValueError(
            f"labels and predictions must be two filled arrays of one shape, got {labels.shape}, {predictions.shape}"
        )
    right = labels == predictions
    hits = int((right & (labels == 1)).sum())
    recalls = {label: _share(int((right & (labels == label)).sum()), int((labels == label).sum())) for label in (0, 1)}
    precision = _share(hits, int((predictions == 1).sum()))
    return {
        "accuracy": float(right.mean()),
        "accuracy_interval": list(wilson(int(right.sum()), len(labels))),
        "balanced_accuracy": (recalls[0] + recalls[1]) / 2,
        "balanced_accuracy_interval": list(_balanced_interval(labels, right, recalls)),
        "f1": _share(2 * hits, int((predictions == 1).sum()) + int((labels == 1).sum())),
        "precision": precision,
        "recall": recalls[1],
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


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _balanced_interval(
    labels: npt.NDArray[Any], right: npt.NDArray[np.bool_], recalls: dict[int, float]
) -> tuple[float, float]:
    below = above = 0.0
    for label, recall in recalls.items():
        low, high = wilson(int((right & (labels == label)).sum()), int((labels == label).sum()))
        below, above = below + (recall - low) ** 2, above + (high - recall) ** 2
    middle = (recalls[0] + recalls[1]) / 2
    return (max(middle - math.sqrt(below) / 2, 0.0), min(middle + math.sqrt(above) / 2, 1.0))
