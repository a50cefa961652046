"""One audit of a task's data: what it holds, what stands twice, what contradicts itself, what plain models reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.data_audit._overlap import Digests, Overlap, copies, digests, overlap
from avatar_optuna.data_audit._pairs import PairAudit, audit_pairs, large_groups
from avatar_optuna.tasks import Split, Task, accuracies, baseline_predictions, groups_predictions, sample

_BASELINE_INPUTS = {"train": 20_000, "valid": 5_000, "test": 5_000}
_LATER_AND_EARLIER = (("valid", "train"), ("test", "train"), ("test", "valid"))

CountTokens = Callable[[Sequence[str]], npt.NDArray[np.int64]]
"""Tokens of each of some functions, as the teacher's tokenizer counts them."""


@dataclass(frozen=True, kw_only=True)
class SplitAudit:
    """One split.

    Args:
        inputs: Labelled inputs.
        functions: Functions that they are made of.
        labels: Inputs by label name.
        characters: Median, 95th percentile and maximum length of a function.
        copies: By level of normalisation, functions that an earlier one of the split equals.
        contradictory: Single functions that stand with several labels, comments and blanks aside.
        pairs: What its pairs say of each other, for pairs of two labels.
        tokens: Median, 95th percentile and maximum of the teacher's tokens, or None where it has no tokenizer.
        truncated: Share of functions, from 0 to 1, of more tokens than the teacher reads.
        groups: Groups that functions of its inputs have, or None where the data is not read for groups.
    """

    inputs: int
    functions: int
    labels: Mapping[str, int]
    characters: tuple[int, ...]
    copies: Mapping[str, int]
    contradictory: int
    pairs: PairAudit | None
    tokens: tuple[int, ...] | None = None
    truncated: float | None = None
    groups: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataAudit(Stored):
    """An audit of a task.

    Args:
        kind: Of the task.
        splits: By name.
        overlaps: What stands in two splits.
        baselines: By name ("tf-idf"; "names" alone; "groups", which only tells the large groups of functions apart), by
            split, `accuracy` and `balanced_accuracy` from 0 to 1.
        baseline_inputs: Inputs of each split that the baselines were fitted on and asked about.
        skipped: Rows of the data that cannot be used and were left out.
        skipped_reasons: Of the first of them, each with its place.
    """

    kind: str
    splits: Mapping[str, SplitAudit]
    overlaps: tuple[Overlap, ...]
    baselines: Mapping[str, Mapping[str, Mapping[str, float]]]
    baseline_inputs: Mapping[str, int]
    skipped: int = 0
    skipped_reasons: tuple[str, ...] = ()


def audit_data(
    task: Task, *, with_baselines: bool = True, count_tokens: CountTokens | None = None, longest: int | None = None
) -> DataAudit:
    """Audit a task's data. Memory grows with the functions, not with the inputs; baselines read a sample of these.

    Args:
        with_baselines: Fit them; most of the time goes there.
        count_tokens: Counts the teacher's tokens.
        longest: Tokens that the teacher reads of a function.
    """
    splits = task.splits
    each = {name: digests(split, task.language) for name, split in splits.items()}
    return DataAudit(
        kind=task.kind,
        splits={name: _split(task, split, each[name], count_tokens, longest) for name, split in splits.items()},
        overlaps=tuple(overlap(splits, each, name, beside) for name, beside in _LATER_AND_EARLIER),
        baselines=_baselines(task) if with_baselines else {},
        baseline_inputs={name: min(count, len(splits[name])) for name, count in _BASELINE_INPUTS.items()},
        skipped=task.skipped.count,
        skipped_reasons=task.skipped.reasons,
    )


def _split(
    task: Task, split: Split, each: Digests, count_tokens: CountTokens | None, longest: int | None
) -> SplitAudit:
    counts = np.bincount(split.labels, minlength=len(task.label_names))
    tokens = None if count_tokens is None else count_tokens(split.functions)
    is_of_pairs = task.shape.is_pair and task.shape.num_labels == 2
    return SplitAudit(
        inputs=len(split),
        functions=len(split.functions),
        labels={name: int(count) for name, count in zip(task.label_names, counts, strict=True)},
        characters=_percentiles(np.array([len(function) for function in split.functions])),
        copies=copies(each),
        contradictory=0 if task.shape.is_pair else _contradictory(split, each["code"]),
        pairs=audit_pairs(split, each["code"]) if is_of_pairs else None,
        tokens=None if tokens is None else _percentiles(tokens),
        truncated=None if tokens is None or longest is None else float((tokens > longest).mean()),
        groups=None if split.groups is None else len(np.unique(split.groups[split.groups >= 0])),
    )


def _percentiles(values: npt.NDArray[Any]) -> tuple[int, ...]:
    return tuple(round(float(value)) for value in np.percentile(values, (50, 95, 100)))


def _contradictory(split: Split, codes: npt.NDArray[np.bytes_]) -> int:
    """Inputs of which a copy has another label."""
    _, texts = np.unique(codes[split.inputs[:, 0]], return_inverse=True)
    kinds = np.unique(np.stack([texts, split.labels], axis=1), axis=0)[:, 0]
    several = np.flatnonzero(np.bincount(kinds) > 1)
    return int(np.isin(texts, several).sum())


def _baselines(task: Task) -> dict[str, dict[str, dict[str, float]]]:
    limited = {name: sample(split, _BASELINE_INPUTS[name], seed=0) for name, split in task.splits.items()}
    smaller = replace(task, train=limited["train"], valid=limited["valid"], test=limited["test"])
    predictions = {"tf-idf": baseline_predictions(smaller), "names": baseline_predictions(smaller, names_only=True)}
    if task.shape.is_pair and task.shape.num_labels == 2 and (groups := large_groups(smaller.train)).any():
        predictions["groups"] = groups_predictions(smaller, groups)
    return {
        kind: {name: accuracies(given, limited[name].labels) for name, given in by_split.items()}
        for kind, by_split in predictions.items()
    }
