"""Which neighbours of the predicted front the indicator can tell apart."""

from __future__ import annotations

from collections.abc import Sequence

from avatar_optuna.indicator import Indicator
from avatar_optuna.view import PredictedStudent


def like_previous(students: Sequence[PredictedStudent], indicator: Indicator | None) -> list[bool]:
    """For each student, whether the indicator cannot tell it from the one before."""
    if indicator is None or not students:
        return [False] * len(students)
    return [False, *(~indicator.can_rank_neighbours([student.hyperparameters for student in students])).tolist()]
