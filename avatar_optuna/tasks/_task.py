"""What a task is: functions, inputs made of one or two of them, and labels, in three splits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """One split of a task.

    Args:
        functions: Distinct source texts.
        inputs: Shape (inputs, 1) for single functions or (inputs, 2) for pairs: indices into `functions`.
        labels: Shape (inputs,): 0 or 1.
    """

    functions: tuple[str, ...]
    inputs: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
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
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """A binary classification of functions or of pairs of functions.

    Args:
        kind: As in the study file.
        shape: Single functions or pairs.
        language: Of the functions.
        label_names: Names of the labels 0 and 1.
        train: What tokenizers and students learn from.
        valid: What everything is selected on.
        test: What is reported, and nothing else.
        fingerprint: SHA-256 of the three splits.
    """

    kind: str
    shape: TaskShape
    language: str
    label_names: tuple[str, str]
    train: Split
    valid: Split
    test: Split
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        for name, split in self.splits.items():
            if split.inputs.shape[1] != self.shape.arity:
                raise ValueError(f"{name} has {split.inputs.shape[1]} functions an input, not {self.shape.arity}")
            if len(np.unique(split.labels)) < 2:
                raise InputError(
                    f"task: the {name} split must hold both labels, got only {np.unique(split.labels).tolist()}"
                )
        object.__setattr__(self, "fingerprint", _fingerprint(self.splits))

    @property
    def splits(self) -> Mapping[str, Split]:
        """The splits by name."""
        return {"train": self.train, "valid": self.valid, "test": self.test}


def sample(split: Split, count: int | None, *, seed: int) -> Split:
    """At most `count` inputs, the classes in their proportion (at least one of each), in their order.

    The sample is a function of the seed and the split alone.
    """
    if count is None or count >= len(split):
        return split
    rng = np.random.default_rng(seed)
    ones = np.flatnonzero(split.labels == 1)
    zeros = np.flatnonzero(split.labels == 0)
    wanted = round(count * len(ones) / len(split))
    wanted = min(max(wanted, 1), count - 1) if count > 1 else wanted
    rows = np.concatenate([rng.choice(ones, wanted, replace=False), rng.choice(zeros, count - wanted, replace=False)])
    return split.take(np.sort(rows))


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
