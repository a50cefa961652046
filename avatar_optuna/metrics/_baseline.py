"""The figures of the plain competitor, beside which teachers and students stand."""

from __future__ import annotations

from typing import Any

from avatar_optuna.metrics._figures import Answers, figures
from avatar_optuna.tasks import Task, baseline_logits


def baseline(task: Task) -> dict[str, dict[str, Any]]:
    """`figures` of TF-IDF with logistic regression (see `tasks.baseline_logits`): `{"valid": {...}, "test": {...}}`."""
    return {
        name: figures(Answers(split=task.splits[name], logits=logits), task.label_names)
        for name, logits in baseline_logits(task).items()
    }
