"""All figures of a split: points by scikit-learn, intervals by resampled functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.decision import Decision
from avatar_optuna.metrics._calibration import calibration
from avatar_optuna.metrics._effectiveness import effectiveness, wilson
from avatar_optuna.metrics._resampling import interval, resampled
from avatar_optuna.metrics._retrieval import map_at_r, map_at_r_interval, ordered_pairs, retrieval_inputs
from avatar_optuna.tasks import Split

Array = npt.NDArray[np.float64]

_MOST_GROUPS = 50
"""Groups that have figures of their own: the largest."""
_RETRIEVAL = "map_at_r"


@dataclass(frozen=True, kw_only=True, eq=False)
class Answers:
    """What a classifier says of a split.

    Args:
        split: What it was asked.
        logits: Of its inputs, shape (n, labels).
        logits_of: Logits of further pairs of its functions, given as rows of places, shape (m, 2); None where the
            classifier cannot be asked, as of soft labels.
        decision: How the logits become probabilities and labels.
    """

    split: Split
    logits: npt.NDArray[Any]
    logits_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]] | None = None
    decision: Decision = field(default_factory=Decision)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Shape (n,)."""
        return self.split.labels

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The label that each input is given, shape (n,)."""
        return self.decision.labels(self.logits)

    @cached_property
    def scores(self) -> Array:
        """How much each label is preferred, shape (n, labels): the log of its odds, in which inputs can be ranked."""
        logits = self.logits.astype(np.float64)
        columns = [logits[:, [label]] - _log_sum(np.delete(logits, label, axis=1)) for label in range(logits.shape[1])]
        return np.concatenate(columns, axis=1)

    def take(self, rows: npt.NDArray[np.int64]) -> Answers:
        """The answers to these inputs alone."""
        return Answers(split=self.split.take(rows), logits=self.logits[rows], decision=self.decision)


def _log_sum(logits: Array) -> Array:
    """Log of the sum of exponentials over labels, shape (n, 1)."""
    highest = logits.max(axis=1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(logits - highest).sum(axis=1, keepdims=True)))


def _accuracy(answers: Answers) -> float | None:
    return float((answers.predictions == answers.labels).mean())


def _balanced_accuracy(answers: Answers) -> float | None:
    from sklearn.metrics import recall_score

    occurring = np.unique(answers.labels)
    return float(
        recall_score(answers.labels, answers.predictions, labels=occurring, average="macro", zero_division=0.0)
    )


def _f1(answers: Answers) -> float | None:
    """Of the label 1 where there are two labels, else the macro average."""
    from sklearn.metrics import f1_score

    average = "binary" if answers.logits.shape[1] == 2 else "macro"
    return float(f1_score(answers.labels, answers.predictions, average=average, zero_division=0.0))


def _macro_f1(answers: Answers) -> float | None:
    from sklearn.metrics import f1_score

    return float(f1_score(answers.labels, answers.predictions, average="macro", zero_division=0.0))


def _mcc(answers: Answers) -> float | None:
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(answers.labels, answers.predictions))


def _roc_auc(answers: Answers) -> float | None:
    from sklearn.metrics import roc_auc_score

    return _mean_over_labels(answers, roc_auc_score)


def _pr_auc(answers: Answers) -> float | None:
    from sklearn.metrics import average_precision_score

    return _mean_over_labels(answers, average_precision_score)


def _mean_over_labels(answers: Answers, score: Callable[[Any, Any], float]) -> float | None:
    """Of the label 1 where there are two, else the mean of each label against the rest; None where one label occurs."""
    values = [score(answers.labels == label, answers.scores[:, label]) for label in ranked_labels(answers)]
    return float(np.mean(values)) if values else None


def ranked_labels(answers: Answers) -> Sequence[int]:
    """The labels for which inputs are ranked: those that some inputs have and some do not."""
    occurring = np.unique(answers.labels).tolist()
    if len(occurring) < 2:
        return []
    return [1] if answers.logits.shape[1] == 2 else occurring


def _ordered_pairs(answers: Answers) -> float | None:
    right, count = ordered_pairs(answers.split, answers.scores)
    return right / count if count else None


def _map_at_r(answers: Answers) -> float | None:
    found = _average_precisions(answers)
    return float(found[0].mean()) if found is not None else None


def _average_precisions(answers: Answers) -> tuple[Array, npt.NDArray[np.int64]] | None:
    """Of each function that is looked for by, its average precision at R, and its group."""
    inputs = retrieval_inputs(answers.split)
    if inputs is None or answers.logits_of is None:
        return None
    logits = answers.logits_of(inputs)
    return map_at_r(answers.split, inputs, logits[:, 1] - logits[:, 0])


METRICS: Mapping[str, Callable[[Answers], float | None]] = {
    "balanced_accuracy": _balanced_accuracy,
    "accuracy": _accuracy,
    "f1": _f1,
    "macro_f1": _macro_f1,
    "mcc": _mcc,
    "roc_auc": _roc_auc,
    "pr_auc": _pr_auc,
    "ordered_pairs": _ordered_pairs,
    "map_at_r": _map_at_r,
}
"""By name: a figure of a split, at most 1; None where the split does not say."""


def available_metrics(split: Split, num_labels: int) -> list[str]:
    """The metrics that a split says something of, whatever the answers."""
    nothing = Answers(
        split=split,
        logits=np.zeros((len(split), num_labels)),
        logits_of=lambda inputs: np.zeros((len(inputs), num_labels)),
    )
    return [name for name, metric in METRICS.items() if metric(nothing) is not None]


def figure(name: str, answers: Answers) -> float:
    """One figure, without an interval.

    Raises:
        ValueError: The split does not say.
    """
    value = METRICS[name](answers)
    if value is None:
        raise ValueError(f"{name} needs what the split does not hold")
    return value


def figures(answers: Answers, label_names: Sequence[str]) -> dict[str, Any]:
    """All figures.

    Args:
        answers: Of a split.
        label_names: Of the labels, in their order.

    Returns:
        What `effectiveness` gives, and under their names the further `METRICS` that the split says something of, each
        with `NAME_interval` as [low, high], and so the errors of calibration `ece` and `ece_uncalibrated` (see
        `calibration`), of which less is better. `by_class`: by label name, `precision`, `recall`, `f1`, `inputs` and
        `recall_interval`. `confusion`: how many inputs of each label (rows) are given each label (columns), in the
        order of the names. `by_group`, where inputs have groups: by the name of each of the 50 largest, its figures.

        Intervals are of 95 %. Those of `accuracy`, `balanced_accuracy` and `f1` are Wilson's; where functions stand in
        several inputs, as in pairs, they reach at least as far as those of resampled functions (Owen 2007), which the
        other metrics have; `ordered_pairs` has Wilson's, `map_at_r` that of resampled groups.
    """
    found = effectiveness(answers.labels, answers.predictions, num_labels=answers.logits.shape[1])
    for name in ("macro_f1", "mcc", "roc_auc", "pr_auc"):
        if (value := METRICS[name](answers)) is not None:
            found[name] = value
    _add_intervals(found, answers)
    _add_special(found, answers)
    found |= calibration(answers.split.inputs, answers.labels, answers.logits, answers.decision)
    found["by_class"] = _by_class(answers, label_names)
    found["confusion"] = _confusion(answers)
    if answers.split.groups is not None:
        found["by_group"] = _by_group(answers)
    return found


def _add_intervals(found: dict[str, Any], answers: Answers) -> None:
    drawn = resampled(answers.split.inputs, answers.labels, answers.predictions, answers.scores, ranked_labels(answers))
    are_shared = answers.split.inputs.shape[1] > 1
    for name, values in drawn.items():
        low, high = interval(values, found.get(name))
        if name not in found or (f"{name}_interval" in found and not are_shared):
            continue
        if f"{name}_interval" in found:
            own_low, own_high = found[f"{name}_interval"]
            low, high = min(low, own_low), max(high, own_high)
        found[f"{name}_interval"] = [low, high]


def _add_special(found: dict[str, Any], answers: Answers) -> None:
    if answers.split.fixes is not None:
        right, count = ordered_pairs(answers.split, answers.scores)
        if count:
            found["ordered_pairs"] = right / count
            found["ordered_pairs_interval"] = list(wilson(right, count))
            found["fixes"] = count
    if (precisions := _average_precisions(answers)) is not None:
        found[_RETRIEVAL] = float(precisions[0].mean())
        found[f"{_RETRIEVAL}_interval"] = list(map_at_r_interval(*precisions))


def _by_class(answers: Answers, label_names: Sequence[str]) -> dict[str, Any]:
    from sklearn.metrics import precision_recall_fscore_support

    every = list(range(answers.logits.shape[1]))
    rows = precision_recall_fscore_support(answers.labels, answers.predictions, labels=every, zero_division=0.0)
    by_class = {}
    for label, (precision, recall, f1, inputs) in zip(every, zip(*rows, strict=True), strict=True):
        hits = int(((answers.labels == label) & (answers.predictions == label)).sum())
        by_class[str(label_names[label])] = {
            "precision": float(precision),
            "recall": float(recall),
            "recall_interval": list(wilson(hits, int(inputs))),
            "f1": float(f1),
            "inputs": int(inputs),
        }
    return by_class


def _confusion(answers: Answers) -> list[list[int]]:
    """[label][prediction]: inputs."""
    counts = np.zeros((answers.logits.shape[1],) * 2, dtype=np.int64)
    np.add.at(counts, (answers.labels, answers.predictions), 1)
    rows: list[list[int]] = counts.tolist()
    return rows


def _by_group(answers: Answers) -> dict[str, Any]:
    """A pair belongs to the groups of both of its functions."""
    split = answers.split
    assert split.groups is not None
    counts = np.bincount(split.groups[split.groups >= 0], minlength=len(split.group_names))
    by_group = {}
    for group in np.argsort(-counts, kind="stable")[:_MOST_GROUPS].tolist():
        rows = np.flatnonzero((split.groups == group).any(axis=1))
        if not len(rows):
            continue
        own = answers.take(rows)
        of_group = effectiveness(own.labels, own.predictions, num_labels=own.logits.shape[1])
        _add_special(of_group, own)
        by_group[split.group_names[group]] = of_group
    return by_group
