"""Copies: functions that stand more than once, within a split or in two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avatar_optuna.tasks import LEVELS, Split, digests_of

Digests = Mapping[str, npt.NDArray[np.bytes_]]
"""By level, a digest of each function of a split."""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """What of one split stands in another as well.

    Args:
        split: Whose functions are counted.
        beside: Where they stand too.
        ids: Functions of the same identifier, or None where the data has no identifiers.
        functions: By level of normalisation (see `digests_of`), functions that stand in `beside`.
        inputs: By level, inputs of `split` with at least one such function.
        contradictions: Single functions that have another label there, comments and blanks aside.
    """

    split: str
    beside: str
    ids: int | None
    functions: Mapping[str, int]
    inputs: Mapping[str, int]
    contradictions: int


def digests(split: Split, language: str) -> Digests:
    """Of each function of a split."""
    each = [digests_of(function, language) for function in split.functions]
    return {level: np.array([digest[level] for digest in each], dtype="S16") for level in LEVELS}


def copies(of: Digests) -> dict[str, int]:
    """By level, functions that an earlier one of the same split equals."""
    return {level: len(values) - len(np.unique(values)) for level, values in of.items()}


def overlap(splits: Mapping[str, Split], each: Mapping[str, Digests], name: str, beside: str) -> Overlap:
    """What of the split `name` stands in the split `beside`."""
    split, other = splits[name], splits[beside]
    known = {level: np.isin(each[name][level], each[beside][level]) for level in LEVELS}
    shared = {level: known[level][split.inputs].any(axis=1) for level in LEVELS}
    return Overlap(
        split=name,
        beside=beside,
        ids=len(set(split.ids) & set(other.ids)) if split.ids and other.ids else None,
        functions={level: int(values.sum()) for level, values in known.items()},
        inputs={level: int(values.sum()) for level, values in shared.items()},
        contradictions=_contradicted(split, each[name]["code"], other, each[beside]["code"]),
    )


def _contradicted(split: Split, own: npt.NDArray[np.bytes_], other: Split, theirs: npt.NDArray[np.bytes_]) -> int:
    if split.inputs.shape[1] != 1:
        return 0
    labels: dict[bytes, set[int]] = {}
    for digest, label in zip(theirs[other.inputs[:, 0]], other.labels, strict=True):
        labels.setdefault(bytes(digest), set()).add(int(label))
    pairs = zip(own[split.inputs[:, 0]], split.labels, strict=True)
    return sum(int(label) not in labels.get(bytes(digest), {int(label)}) for digest, label in pairs)
