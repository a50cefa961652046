"""Which of two classifiers is better on the same inputs, and by how much beyond noise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from avatar_optuna.metrics._figures import METRICS, Answers, ranked_labels
from avatar_optuna.metrics._resampling import interval, resampled, weights

_RANKINGS = ("roc_auc", "pr_auc")
_RESAMPLED = ("accuracy", "balanced_accuracy", "f1", "macro_f1", "mcc", *_RANKINGS)
_DEFAULT = "balanced_accuracy"
_DIGESTED_DRAWS = 4


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


def resampled_figures(answers: Answers, metric: str) -> list[dict[str, Any]]:
    """What a difference to another classifier is made of, where that answered the same inputs elsewhere.

    Args:
        answers: To the inputs of a split.
        metric: Of `METRICS`; where it cannot be taken of single answers, there is the balanced accuracy alone.

    Returns:
        Of that metric and of the balanced accuracy: fields of `schema.ResampledFigure`.
    """
    digest = _digest(answers)
    found = []
    for name in dict.fromkeys((metric, _DEFAULT)):
        value = METRICS[name](answers) if name in _RESAMPLED else None
        if value is not None:
            drawn = [float(f"{one:.6g}") if np.isfinite(one) else None for one in _draws(answers, name).tolist()]
            found.append({"inputs": digest, "metric": name, "value": value, "draws": drawn})
    return found


def difference_of_draws(
    own: tuple[float, Sequence[float | None]], other: tuple[float, Sequence[float | None]]
) -> tuple[float, tuple[float, float]]:
    """How far a figure lies above another, and its 95 % interval, as `paired_difference` gives them.

    Args:
        own: A figure, and what it is in each draw.
        other: The same of another classifier, in the same draws.
    """
    value = own[0] - other[0]
    drawn = np.asarray(own[1], dtype=np.float64) - np.asarray(other[1], dtype=np.float64)
    return value, interval(drawn, value)


def _digest(answers: Answers) -> str:
    """Of the inputs, their labels, and the first draws: of another version of NumPy these may be others."""
    split = answers.split
    digest = hashlib.sha256()
    for function in split.functions:
        encoded = function.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "little") + encoded)
    digest.update(split.inputs.astype("<i4").tobytes())
    digest.update(split.labels.astype("<i8").tobytes())
    for part in weights(split.inputs, draws=_DIGESTED_DRAWS):
        digest.update(part.astype("<f8").tobytes())
    return digest.hexdigest()


def _draws(answers: Answers, metric: str) -> Any:
    """A figure in each draw of functions, shape (draws,): the draws depend on the inputs alone."""
    ranked = ranked_labels(answers) if metric in _RANKINGS else []
    inputs = answers.split.inputs
    return resampled(inputs, answers.labels, answers.predictions, answers.scores, ranked)[metric]
