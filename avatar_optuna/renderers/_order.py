"""Which neighbours of the predicted front the indicator can tell apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from avatar_optuna.indicator import Indicator
from avatar_optuna.view import PredictedStudent


def like_previous(students: Sequence[PredictedStudent], indicator: Indicator | None) -> list[bool]:
    """For each student, whether the indicator cannot tell it from the one before."""
    if indicator is None or not students:
        return [False] * len(students)
    pairs = pairwise(students)
    return [False, *(not indicator.can_rank(a.hyperparameters, b.hyperparameters) for a, b in pairs)]
