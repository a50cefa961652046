"""Figures that no library has: functions before and after a fix in their order, and clones found by a function."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.metrics._resampling import interval
from avatar_optuna.tasks import Split, named_groups

Array = npt.NDArray[np.float64]

_MOST_FUNCTIONS = 300
_DRAWS = 500


def ordered_pairs(split: Split, scores: Array) -> tuple[float, int]:
    """Of the functions that were fixed: how often the one before the fix has the higher score for the last label.

    Args:
        split: With `fixes`; a fix counts where it names one input of the last label and one of another.
        scores: How much each label is preferred, shape (n, labels).

    Returns:
        Fixes in their right order (equal scores count half), and fixes that count.
    """
    if split.fixes is None:
        return 0.0, 0
    rows = np.flatnonzero(split.fixes >= 0)
    rows = rows[np.argsort(split.fixes[rows], kind="stable")]
    _, begins, counts = np.unique(split.fixes[rows], return_index=True, return_counts=True)
    is_last, preferred = split.labels == scores.shape[1] - 1, scores[:, -1]
    right, count = 0.0, 0
    for begin, size in zip(begins[counts == 2].tolist(), counts[counts == 2].tolist(), strict=True):
        first, second = rows[begin : begin + size]
        if is_last[first] == is_last[second]:
            continue
        before, after = (first, second) if is_last[first] else (second, first)
        right += 1.0 if preferred[before] > preferred[after] else 0.5 * float(preferred[before] == preferred[after])
        count += 1
    return right, count


def retrieval_inputs(split: Split) -> npt.NDArray[np.int64] | None:
    """All ordered pairs of the functions in which each looks for those of its group, shape (m, 2).

    Of groups of two functions or more whole ones are taken, by a fixed order, up to 300 functions: pairs grow with
    their square.

    Returns:
        None where inputs are no pairs, or no group has two functions.
    """
    functions = _grouped_functions(split)
    if functions is None:
        return None
    first, second = np.meshgrid(functions, functions, indexing="ij")
    rows = np.stack([first.ravel(), second.ravel()], axis=1)
    return np.asarray(rows[rows[:, 0] != rows[:, 1]], dtype=np.int64)


def map_at_r(
    split: Split, inputs: npt.NDArray[np.int64], scores: npt.NDArray[Any]
) -> tuple[Array, npt.NDArray[np.int64]]:
    """Mean average precision at R (K. Musgrave et al., 2020: A metric learning reality check), function by function.

    A function whose group has R others ranks all functions; precision is averaged over the first R places, 0 at each
    that holds a function of another group.

    Args:
        split: With groups.
        inputs: What `retrieval_inputs` gave: for each function in turn, all others.
        scores: Of these pairs, shape (m,): the higher, the more alike.

    Returns:
        Average precision of each function, and its group, both of shape (functions,).
    """
    groups = named_groups(split)
    others = len(np.unique(inputs[:, 0])) - 1
    seconds = inputs[:, 1].reshape(-1, others)
    own = groups[inputs[::others, 0]]
    ranked = np.argsort(-np.asarray(scores, dtype=np.float64).reshape(-1, others), axis=1, kind="stable")
    is_alike = groups[np.take_along_axis(seconds, ranked, axis=1)] == own[:, None]
    relevant = is_alike.sum(axis=1)
    places = np.arange(1, others + 1)
    counted = is_alike & (places <= relevant[:, None])
    precisions = (np.where(counted, is_alike.cumsum(axis=1) / places, 0.0)).sum(axis=1) / relevant
    return precisions, own


def map_at_r_interval(precisions: Array, groups: npt.NDArray[np.int64]) -> tuple[float, float]:
    """95 % interval of the mean over functions, by resampled groups."""
    rng = np.random.default_rng(0)
    names, places = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(places, precisions), np.bincount(places)
    draws = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_DRAWS)
    return interval((draws @ sums) / (draws @ counts), float(precisions.mean()))


def _grouped_functions(split: Split) -> npt.NDArray[np.int64] | None:
    if split.groups is None or split.inputs.shape[1] != 2:
        return None
    groups = named_groups(split)
    names, counts = np.unique(groups[groups >= 0], return_counts=True)
    names = np.random.default_rng(0).permutation(names[counts >= 2])
    chosen: list[npt.NDArray[np.int64]] = []
    for name in names.tolist():
        members = np.flatnonzero(groups == name)
        if not chosen or sum(map(len, chosen)) + len(members) <= _MOST_FUNCTIONS:
            chosen.append(members[:_MOST_FUNCTIONS])
    return np.sort(np.concatenate(chosen)) if len(chosen) > 1 else None
