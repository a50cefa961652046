"""Pairs that say "the same" and "different": what they imply of each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avatar_optuna.tasks import Split, connected_groups

_LEAST_SHARE = 0.01  # of the positive pairs, from which on a group is large


@dataclass(frozen=True, kw_only=True)
class PairAudit:
    """The pairs of one split. A group is a set of functions that positive pairs connect.

    Args:
        positives: Pairs of the label 1.
        repeated: Pairs that stand again, in either order, with the same label.
        contradictory: Pairs of which another one, of the same texts, has the other label.
        copies_apart: Pairs of a function and its copy with the label 0.
        groups: How many there are.
        large_groups: Those that hold at least one in a hundred of the positives.
        large_share: Share of the positives that these hold, from 0 to 1.
        negatives_within: Pairs of the label 0 of which both functions are in one group: if "the same" is transitive,
            they are wrong.
    """

    positives: int
    repeated: int
    contradictory: int
    copies_apart: int
    groups: int
    large_groups: int
    large_share: float
    negatives_within: int


def audit_pairs(split: Split, codes: npt.NDArray[np.bytes_]) -> PairAudit:
    """What the labels of a split's pairs say of each other.

    Args:
        split: Of pairs, labels 0 and 1.
        codes: Digest of each function, comments and blanks aside, shape (functions,).
    """
    _, texts = np.unique(codes, return_inverse=True)
    is_positive = split.labels == 1
    keys = _unordered(texts[split.inputs], len(codes))
    unique, places = np.unique(keys, return_inverse=True)
    positive, negative = (np.bincount(places, weights=w, minlength=len(unique)) for w in (is_positive, ~is_positive))
    is_torn = (positive > 0) & (negative > 0)
    group, held = _groups(split)
    is_large = _is_large(held)
    first, second = group[split.inputs[:, 0]], group[split.inputs[:, 1]]
    return PairAudit(
        positives=int(is_positive.sum()),
        repeated=int((np.maximum(positive, negative) - 1).clip(min=0).sum()),
        contradictory=int((positive + negative)[is_torn].sum()),
        copies_apart=int((~is_positive & (texts[split.inputs[:, 0]] == texts[split.inputs[:, 1]])).sum()),
        groups=int((held > 0).sum()),
        large_groups=int(is_large.sum()),
        large_share=float(held[is_large].sum() / max(held.sum(), 1)),
        negatives_within=int((~is_positive & (first == second)).sum()),
    )


def _unordered(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    return np.asarray(pairs.min(axis=1).astype(np.int64) * count + pairs.max(axis=1))


def large_groups(split: Split) -> npt.NDArray[np.int64]:
    """The number of the large group of each function, from 1; 0 where it is in none; shape (functions,)."""
    group, held = _groups(split)
    numbers = np.zeros(len(held), dtype=np.int64)
    numbers[_is_large(held)] = 1 + np.arange(int(_is_large(held).sum()))
    return np.asarray(numbers[group])


def _is_large(held: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    return np.asarray(held >= max(_LEAST_SHARE * held.sum(), 1))


def _groups(split: Split) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The number of the connected group of each function, and the positive pairs of each group."""
    pairs, group = split.inputs[split.labels == 1], connected_groups(split)
    return group, np.bincount(group[pairs[:, 0]], minlength=int(group.max()) + 1)
