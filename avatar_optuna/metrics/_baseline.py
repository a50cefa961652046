"""The figures of the plain competitor, beside which teachers and students stand."""

from __future__ import annotations

from typing import Any

from avatar_optuna.decision import Aim, decide
from avatar_optuna.metrics._figures import Answers, figures
from avatar_optuna.tasks import Task, baseline_logits


def baseline(task: Task, aim: Aim | None = None) -> dict[str, dict[str, Any]]:
    """`figures` of TF-IDF with logistic regression (see `tasks.baseline_logits`): `{"valid": {...}, "test": {...}}`.

    Args:
        aim: What its threshold is chosen for on validation, as that of the models beside it.
    """
    by_split = baseline_logits(task)
    decision = decide(by_split["valid"], task.valid.labels, aim)
    return {
        name: figures(Answers(split=task.splits[name], logits=logits, decision=decision), task.label_names)
        for name, logits in by_split.items()
    }
