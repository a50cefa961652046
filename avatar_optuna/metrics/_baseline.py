"""The figures of the plain competitor, beside which teachers and students stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_optuna.decision import Aim, decide
from avatar_optuna.metrics._figures import Answers, figures
from avatar_optuna.tasks import Task, baseline_logits


def baseline_answers(task: Task, aim: Aim | None = None) -> dict[str, Answers]:
    """What TF-IDF with logistic regression says (see `tasks.baseline_logits`) of `valid` and `test`.

    Args:
        aim: What its threshold is chosen for on validation, as that of the models beside it.
    """
    by_split = baseline_logits(task)
    decision = decide(by_split["valid"], task.valid.labels, aim)
    return {
        name: Answers(split=task.splits[name], logits=logits, decision=decision) for name, logits in by_split.items()
    }


def baseline(
    task: Task, aim: Aim | None = None, *, answers: Mapping[str, Answers] | None = None
) -> dict[str, dict[str, Any]]:
    """`figures` of TF-IDF with logistic regression: `{"valid": {...}, "test": {...}}`.

    Args:
        aim: What its threshold is chosen for.
        answers: What `baseline_answers` gave, where that was asked already.
    """
    known = answers or baseline_answers(task, aim)
    return {name: figures(own, task.label_names) for name, own in known.items()}
