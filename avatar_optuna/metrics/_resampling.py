"""Intervals by resampling: functions are drawn anew with replacement, and an input counts as often as all of its own.

For pairs this is the pigeonhole bootstrap (A. B. Owen, 2007: The pigeonhole bootstrap), which never understates: pairs
that share a function are not independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.metrics._effectiveness import Interval, wilson

Array = npt.NDArray[np.float64]

_DRAWS = 500
_NUMBERS_AT_ONCE = 4_000_000


def weights(inputs: npt.NDArray[np.integer[Any]], *, draws: int = _DRAWS, seed: int = 0) -> Iterator[Array]:
    """How often each input counts in each draw, in parts of shape (some draws, n)."""
    rng = np.random.default_rng(seed)
    functions, places = np.unique(inputs, return_inverse=True)
    places = places.reshape(inputs.shape)
    shares = np.full(len(functions), 1 / len(functions))
    at_once = max(1, _NUMBERS_AT_ONCE // len(inputs))
    for begin in range(0, draws, at_once):
        drawn = rng.multinomial(len(functions), shares, size=min(at_once, draws - begin)).astype(np.float64)
        yield np.prod([drawn[:, places[:, member]] for member in range(inputs.shape[1])], axis=0)


def resampled(
    inputs: npt.NDArray[np.integer[Any]],
    labels: npt.NDArray[np.int64],
    predictions: npt.NDArray[np.int64],
    scores: Array,
    ranked: Sequence[int],
) -> dict[str, Array]:
    """Figures in each draw, NaN where a draw does not say.

    Args:
        inputs: Places of functions, shape (n, functions an input).
        labels: Shape (n,).
        predictions: Shape (n,).
        scores: How much each label is preferred, shape (n, labels).
        ranked: Labels for which inputs are ranked.

    Returns:
        By name, shape (draws,): `accuracy`, `balanced_accuracy`, `f1`, `macro_f1`, `mcc`, `roc_auc`, `pr_auc`.
    """
    num_labels = scores.shape[1]
    cells = np.zeros((len(labels), num_labels**2))
    cells[np.arange(len(labels)), labels * num_labels + predictions] = 1.0
    parts: list[dict[str, Array]] = []
    for part in weights(inputs):
        with np.errstate(divide="ignore", invalid="ignore"):
            drawn = _of_confusions((part @ cells).reshape(-1, num_labels, num_labels))
            areas = [_areas(part, scores[:, label], labels == label) for label in ranked]
        if areas:
            drawn["roc_auc"] = np.mean([roc for roc, _ in areas], axis=0)
            drawn["pr_auc"] = np.mean([precision for _, precision in areas], axis=0)
        parts.append(drawn)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def resampled_means(inputs: npt.NDArray[np.integer[Any]], columns: Array) -> Array:
    """The mean of each of some columns (n, columns) in each draw that is not empty, shape (draws, columns)."""
    parts = []
    for part in weights(inputs):
        totals = part.sum(axis=1, keepdims=True)
        is_there = totals[:, 0] > 0
        parts.append((part @ columns)[is_there] / totals[is_there])
    return np.concatenate(parts)


def _of_confusions(confusions: Array) -> dict[str, Array]:
    """Figures of weighted confusions [draw, label, prediction]."""
    hits = np.diagonal(confusions, axis1=1, axis2=2)  # (draws, labels)
    actual, predicted, total = confusions.sum(axis=2), confusions.sum(axis=1), confusions.sum(axis=(1, 2))
    f1s = np.where(actual + predicted > 0, 2 * hits / (actual + predicted), np.nan)
    macro_f1 = _mean(f1s)
    covariance = hits.sum(axis=1) * total - (actual * predicted).sum(axis=1)
    spread = np.sqrt((total**2 - (actual**2).sum(axis=1)) * (total**2 - (predicted**2).sum(axis=1)))
    return {
        "accuracy": hits.sum(axis=1) / total,
        "balanced_accuracy": _mean(np.where(actual > 0, hits / actual, np.nan)),
        "f1": np.nan_to_num(f1s[:, 1]) if confusions.shape[1] == 2 else macro_f1,
        "macro_f1": macro_f1,
        "mcc": np.where(spread > 0, covariance / spread, np.where(total > 0, 0.0, np.nan)),
    }


def _mean(values: Array) -> Array:
    """Over labels, those left out that are NaN; shape (draws,)."""
    is_there = ~np.isnan(values)
    return np.asarray(np.where(is_there, values, 0.0).sum(axis=1) / is_there.sum(axis=1))


def _areas(part: Array, scores: Array, is_positive: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
    """Areas under the ROC curve (ties count half) and under precision over recall, of each draw."""
    order = np.argsort(-scores, kind="stable")
    begins = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of runs of equal scores, the highest first
    positive = np.add.reduceat(np.where(is_positive, part, 0.0)[:, order], begins, axis=1)
    negative = np.add.reduceat(np.where(is_positive, 0.0, part)[:, order], begins, axis=1)
    hits, misses = positive.cumsum(axis=1), negative.cumsum(axis=1)
    positives, negatives = hits[:, -1], misses[:, -1]
    roc = (negative * (hits - positive / 2)).sum(axis=1) / (positives * negatives)
    precision = np.where(hits + misses > 0, hits / (hits + misses), 0.0)
    return roc, (positive * precision).sum(axis=1) / positives


def share_interval(is_counted: npt.NDArray[np.bool_], inputs: npt.NDArray[np.integer[Any]]) -> Interval:
    """95 % interval of the share of inputs that count.

    Wilson's; where functions stand in several inputs, as in pairs, it reaches at least as far as that of resampled
    functions.

    Args:
        is_counted: Shape (n,).
        inputs: Places of functions, shape (n, functions an input).
    """
    low, high = wilson(int(is_counted.sum()), len(is_counted))
    if inputs.shape[1] == 1:
        return low, high
    with np.errstate(invalid="ignore"):
        drawn = np.concatenate([part @ is_counted / part.sum(axis=1) for part in weights(inputs)])
    own_low, own_high = interval(drawn, None)
    return min(low, own_low), max(high, own_high)


def interval(values: Array, value: float | None) -> tuple[float, float]:
    """95 % of the draws that say something, widened to hold the figure itself."""
    known = values[~np.isnan(values)]
    ends = [value] if value is not None else []
    if len(known):
        ends += np.percentile(known, [2.5, 97.5]).tolist()
    return (float(min(ends)), float(max(ends))) if ends else (0.0, 1.0)
