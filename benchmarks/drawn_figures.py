"""Figures of classifiers on a test split: intervals over resampled inputs and seeds, paired where they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.metrics import Answers, figure, ordered_pairs, resampled_figures
from avatar_optuna.tasks import Task

METRICS = ("balanced_accuracy", "accuracy", "f1", "macro_f1", "mcc", "roc_auc", "pr_auc", "ordered_pairs")
_DRAWS = 500  # of resampled functions, as `resampled_figures` has
Drawn = tuple[float, npt.NDArray[np.float64]]  # a figure, and what it is in each draw, shape (draws,)


def drawn_figure(task: Task, logits: npt.NDArray[Any], metric: str) -> Drawn:
    """A figure of the test split, and what it is in each draw, shape (draws,): the draws depend on the split alone."""
    answers = Answers(split=task.test, logits=logits)
    if metric == "ordered_pairs":
        right = ordered_fixes(answers)  # (fixes,)
        counts = np.random.default_rng(0).multinomial(len(right), np.full(len(right), 1 / len(right)), size=_DRAWS)
        return float(right.mean()), counts @ right / len(right)
    return figure(metric, answers), np.array(resampled_figures(answers, metric)[0]["draws"], dtype=np.float64)


def ordered_fixes(answers: Answers) -> npt.NDArray[np.float64]:
    """Of each fix, whether the function before it is ranked above the one after it (half where they are equal)."""
    fixes = answers.split.fixes
    assert fixes is not None
    found = []
    for fix in np.unique(fixes[fixes >= 0]):
        rows = np.flatnonzero(fixes == fix)
        right, count = ordered_pairs(answers.split.take(rows), answers.scores[rows])
        found += [right] if count else []
    return np.array(found)


def interval(own: Sequence[Drawn], beside: Sequence[Drawn] = ()) -> str:
    """The mean over seeds in percent, or how many points it is above another's, with its interval."""
    values, draws = np.array([value for value, _ in own]), np.stack([drawn for _, drawn in own])  # (seeds, draws)
    for value, drawn in beside:
        values, draws = values - value / len(beside), draws - drawn / len(beside)
    seeds = np.random.default_rng(1).integers(len(draws), size=draws.shape)
    low, high = np.nanpercentile(np.take_along_axis(draws, seeds, axis=0).mean(axis=0), [2.5, 97.5])
    sign = "+" if beside else ""
    return f"{100 * values.mean():{sign}.2f} [{100 * low:{sign}.1f}, {100 * high:{sign}.1f}]"
