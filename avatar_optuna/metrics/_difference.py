"""Which of two classifiers is better on the same inputs, and by how much beyond noise."""

from __future__ import annotations

from typing import Any

from avatar_optuna.metrics._figures import METRICS, Answers, ranked_labels
from avatar_optuna.metrics._resampling import interval, resampled

_RANKINGS = ("roc_auc", "pr_auc")
_RESAMPLED = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "mcc", *_RANKINGS)
_DEFAULT = "balanced_accuracy"


def paired_difference(own: Answers, other: Answers, metric: str) -> dict[str, Any]:
    """How far a figure of one classifier lies above that of another, each by its own decision.

    Args:
        own: Its answers to the inputs of a split.
        other: Of the other, to the same inputs in the same order.
        metric: Of `METRICS`; the balanced accuracy takes the place of one that is not made of single answers
            (`ordered_pairs`, `map_at_r`), or that the split does not say.

    Returns:
        `metric`: the one that was taken. `value`: the difference, from -2 to 2. `interval`: 95 %, [low, high]: both
        figures are taken of the same resampled functions, so that what is hard for both cancels out.
    """
    figures = [METRICS[metric](answers) for answers in (own, other)] if metric in _RESAMPLED else [None]
    if None in figures:
        metric = _DEFAULT
        figures = [METRICS[metric](answers) for answers in (own, other)]
    above, below = figures
    assert above is not None
    assert below is not None
    drawn = _draws(own, metric) - _draws(other, metric)
    return {"metric": metric, "value": above - below, "interval": list(interval(drawn, above - below))}


def _draws(answers: Answers, metric: str) -> Any:
    """A figure in each draw of functions, shape (draws,): the draws depend on the inputs alone."""
    ranked = ranked_labels(answers) if metric in _RANKINGS else []
    inputs = answers.split.inputs
    return resampled(inputs, answers.labels, answers.predictions, answers.scores, ranked)[metric]
