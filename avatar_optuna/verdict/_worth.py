"""Whether a teacher is worth learning from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_optuna.words import percent


def weaknesses(figures: Mapping[str, Any], plain: Mapping[str, Any], num_labels: int) -> list[str]:
    """What is wrong with a teacher, one sentence each: its students will be no better.

    Args:
        figures: The teacher's on the validation split (see `effectiveness`).
        plain: Those of the baseline.
        num_labels: Labels of the task.
    """
    chance, (low, high) = 1 / num_labels, figures["balanced_accuracy_interval"]
    if low <= chance:
        found = [f"the teacher is not better than chance ({percent(chance)}): try another one"]
        if high < chance and num_labels == 2:
            found.append("the teacher is worse than chance: its labels are likely swapped, name them by teacher.labels")
        return found
    if figures["balanced_accuracy"] < plain["balanced_accuracy"]:
        return [f"the teacher is worse than the baseline ({percent(plain['balanced_accuracy'])})"]
    return []
