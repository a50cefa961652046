"""Which students of the predicted front are worth distilling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avatar_optuna.objectives import signs
from avatar_optuna.pareto import greedy_hypervolume_subset
from avatar_optuna.schema import SearchResult
from avatar_optuna.study._search import pareto_indices


def choose_students(scored: SearchResult, objectives: Sequence[str], count: int) -> list[int]:
    """Indices of the students of the front that are worth distilling: the most effective, then by hypervolume gained.

    Returns:
        At most `count` indices into `scored`, best predicted effectiveness first.
    """
    front = pareto_indices(scored, objectives)
    if len(front) <= count:
        return [int(index) for index in front]
    values = scored.values[front] * signs(objectives)
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    chosen = greedy_hypervolume_subset(scaled, count, reference=np.full(len(objectives), 1.1), first=0)
    return [int(index) for index in front[np.sort(chosen)]]
