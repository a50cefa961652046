"""Copies: functions that stand more than once, within a split or in two; and groups and fixes that are in two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        groups: Groups of functions, or None where the data is not read for groups.
        group_inputs: Inputs of `split` with a function of such a group.
        fixes: Fixes of which one function stands in either split, or None where the data is not read for fixes.
    """

    split: str
    beside: str
    ids: int | None
    functions: Mapping[str, int]
    inputs: Mapping[str, int]
    contradictions: int
    groups: int | None = None
    group_inputs: int = 0
    fixes: int | None = None


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
    groups = _in_both(split.groups, split.group_names, other.groups, other.group_names)
    fixes = _in_both(split.fixes, split.fix_names, other.fixes, other.fix_names)
    return Overlap(
        split=name,
        beside=beside,
        ids=len(set(split.ids) & set(other.ids)) if split.ids and other.ids else None,
        functions={level: int(values.sum()) for level, values in known.items()},
        inputs={level: int(values.sum()) for level, values in shared.items()},
        contradictions=_contradicted(split, each[name]["code"], other, each[beside]["code"]),
        groups=None if groups is None else len(groups),
        group_inputs=0 if split.groups is None or groups is None else int(_has_any(split.groups, groups).sum()),
        fixes=None if fixes is None else len(fixes),
    )


def _has_any(numbers: npt.NDArray[np.int32], wanted: npt.NDArray[np.int32]) -> npt.NDArray[np.bool_]:
    """Of each row, whether it has a number that is wanted."""
    return np.asarray(np.isin(numbers, wanted).any(axis=1))


def _in_both(
    own: npt.NDArray[np.int32] | None,
    own_names: Sequence[str],
    theirs: npt.NDArray[np.int32] | None,
    their_names: Sequence[str],
) -> npt.NDArray[np.int32] | None:
    """Numbers, of the first split, of the names that inputs of both splits have; None where one is not read for them.

    Args:
        own: Numbers of names, -1 for none.
        own_names: What they number.
        theirs: The same of the other split, which has numbers of its own.
        their_names: What these number.
    """
    if own is None or theirs is None:
        return None
    used = np.unique(own[own >= 0])
    known = {their_names[number] for number in np.unique(theirs[theirs >= 0])}
    return used[np.array([own_names[number] in known for number in used], dtype=np.bool_)]


def _contradicted(split: Split, own: npt.NDArray[np.bytes_], other: Split, theirs: npt.NDArray[np.bytes_]) -> int:
    if split.inputs.shape[1] != 1:
        return 0
    labels: dict[bytes, set[int]] = {}
    for digest, label in zip(theirs[other.inputs[:, 0]], other.labels, strict=True):
        labels.setdefault(bytes(digest), set()).add(int(label))
    pairs = zip(own[split.inputs[:, 0]], split.labels, strict=True)
    return sum(int(label) not in labels.get(bytes(digest), {int(label)}) for digest, label in pairs)
