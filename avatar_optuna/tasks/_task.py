"""What a task is: functions, inputs made of one or two of them, and labels, in three splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import source_fault

SPLITS = ("train", "valid", "test")


_REASONS_KEPT = 3
_NAMES_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class SkippedRows:
    """Rows of the data that cannot be used and were left out.

    Args:
        count: How many.
        reasons: Of the first of them, each with its place.
    """

    count: int = 0
    reasons: tuple[str, ...] = ()

    def with_reason(self, reason: str) -> SkippedRows:
        """One more."""
        return SkippedRows(count=self.count + 1, reasons=(*self.reasons, reason)[:_REASONS_KEPT])

    def __add__(self, other: SkippedRows) -> SkippedRows:
        return SkippedRows(count=self.count + other.count, reasons=(*self.reasons, *other.reasons)[:_REASONS_KEPT])

    def __str__(self) -> str:
        """A sentence."""
        rows = "1 row" if self.count == 1 else f"{self.count:,} rows"
        more = ", ..." if self.count > len(self.reasons) else ""
        return (
            f"{rows} cannot be used and {'is' if self.count == 1 else 'are'} left out: {'; '.join(self.reasons)}{more}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One split of a task.

    Args:
        functions: Distinct source texts.
        inputs: Shape (inputs, 1) for single functions or (inputs, 2) for pairs: indices into `functions`.
        labels: Shape (inputs,): places among the task's label names.
        ids: What the data calls each function, or () where it has no names for them.
        group_names: Of the groups that the data has, such as CWEs or problems.
        groups: The group of each function of each input, of the same shape as `inputs`: places among the names, -1 for
            none; or None where the data has no groups.
        fix_names: Of the pairs of functions before and after a fix, as the data has them; or () where it has none.
        fixes: Shape (inputs,): inputs of one number are a function before and after a fix, -1 is none; or None.
        skipped: Rows that could not be used; those of data that is split here are counted in `train`.
    """

    functions: tuple[str, ...]
    inputs: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int64]
    ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()
    groups: npt.NDArray[np.int32] | None = None
    fix_names: tuple[str, ...] = ()
    fixes: npt.NDArray[np.int32] | None = None
    skipped: SkippedRows = SkippedRows()

    def __post_init__(self) -> None:
        for name, array, shape in (
            ("groups", self.groups, self.inputs.shape),
            ("fixes", self.fixes, self.labels.shape),
        ):
            if array is not None and array.shape != shape:
                raise ValueError(f"{name} must have the shape {shape}, got {array.shape}")
        if self.inputs.ndim != 2 or self.labels.shape != (len(self.inputs),):
            raise ValueError(
                f"inputs must be (n, functions) and labels (n,), got {self.inputs.shape}, {self.labels.shape}"
            )
        if len(self.inputs) and not 0 <= self.inputs.min() <= self.inputs.max() < len(self.functions):
            raise ValueError("inputs must index the functions")

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: npt.NDArray[np.int64]) -> Split:
        """The split with these inputs alone, and the functions that they use."""
        inputs = self.inputs[rows]
        used, renumbered = np.unique(inputs, return_inverse=True)
        return Split(
            functions=tuple(self.functions[index] for index in used),
            inputs=renumbered.reshape(inputs.shape).astype(np.int32),
            labels=self.labels[rows],
            ids=tuple(self.ids[index] for index in used) if self.ids else (),
            group_names=self.group_names,
            groups=self.groups[rows] if self.groups is not None else None,
            fix_names=self.fix_names,
            fixes=self.fixes[rows] if self.fixes is not None else None,
            skipped=self.skipped,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A classification of functions or of pairs of functions.

    Args:
        kind: As in the study file.
        shape: Functions an input, and labels.
        language: Of the functions.
        label_names: Names of the labels, in their order.
        train: What tokenizers and students learn from.
        valid: What everything is selected on.
        test: What is reported, and nothing else.
        fingerprint: SHA-256 of the three splits.
    """

    kind: str
    shape: TaskShape
    language: str
    label_names: tuple[str, ...]
    train: Split
    valid: Split
    test: Split
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        if len(self.label_names) != self.shape.num_labels:
            raise ValueError(f"{self.shape.num_labels} labels need as many names, got {self.label_names}")
        for name, split in self.splits.items():
            if split.inputs.shape[1] != self.shape.arity:
                raise ValueError(f"{name} has {split.inputs.shape[1]} functions an input, not {self.shape.arity}")
            self._check_labels(name, np.unique(split.labels).tolist())
            if fault := next(filter(None, map(source_fault, split.functions)), None):
                raise InputError(f"task: each function of the {name} split {fault}")
        object.__setattr__(self, "fingerprint", _fingerprint(self.splits))

    def _check_labels(self, split_name: str, labels: Sequence[int]) -> None:
        """Training needs every label; a figure of another split needs two to tell apart."""
        count = self.shape.num_labels
        if labels and not 0 <= labels[0] <= labels[-1] < count:
            raise ValueError(f"{split_name} has the labels {labels}, which must be from 0 to {count - 1}")
        needed = count if split_name == "train" else 2
        if len(labels) < needed:
            rule = "both labels" if count == 2 else "every label" if needed == count else "at least two labels"
            lacking = [name for place, name in enumerate(self.label_names) if place not in labels]
            raise InputError(f"task: the {split_name} split must hold {rule}, it lacks {_shown_names(lacking)}")

    @property
    def skipped(self) -> SkippedRows:
        """Rows of all splits that could not be used."""
        return self.train.skipped + self.valid.skipped + self.test.skipped

    @property
    def splits(self) -> Mapping[str, Split]:
        return {"train": self.train, "valid": self.valid, "test": self.test}


def _shown_names(names: Sequence[str]) -> str:
    """Names in one line, a few of many."""
    few = ", ".join(names[:_NAMES_SHOWN])
    return few if len(names) <= _NAMES_SHOWN else f"{few} and {len(names) - _NAMES_SHOWN:,} more"


def sample(split: Split, count: int | None, *, seed: int) -> Split:
    """At most `count` inputs, the labels in their proportion, in their order.

    Each label keeps at least one input, where `count` allows it.

    The sample is a function of the seed and the split alone.
    """
    if count is None or count >= len(split):
        return split
    rng = np.random.default_rng(seed)
    members = {int(label): np.flatnonzero(split.labels == label) for label in np.unique(split.labels)[::-1]}
    wanted = _shares({label: len(rows) for label, rows in members.items()}, count)
    chosen = [rng.choice(rows, wanted[label], replace=False) for label, rows in members.items()]
    return split.take(np.sort(np.concatenate(chosen)))


def _shares(sizes: Mapping[int, int], count: int) -> dict[int, int]:
    """How many of each label make a sample of `count`, each share rounded within what the labels before it left."""
    shares: dict[int, int] = {}
    total, following = sum(sizes.values()), len(sizes)
    for label, size in sizes.items():
        following -= 1
        least = int(count > following)  # one of each label, where there is room
        shares[label] = min(max(round(count * size / total), least), count - following * least)
        count, total = count - shares[label], total - size
    return shares


def _fingerprint(splits: Mapping[str, Split]) -> str:
    digest = hashlib.sha256()
    for name, split in splits.items():
        digest.update(json.dumps([name, list(split.inputs.shape)]).encode())
        for function in split.functions:
            encoded = function.encode("utf-8", "surrogatepass")
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
        digest.update(split.inputs.astype("<i4").tobytes())
        digest.update(split.labels.astype("<i8").tobytes())
    return digest.hexdigest()
