"""What a candidate adds, against exact hypervolumes."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.pareto import hypervolume, non_dominated
from avatar_optuna.sampler._volume import most_valuable


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_the_chosen_add_nearly_as_much_as_the_greedy_best(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    values = rng.random((300, objectives))
    values /= np.linalg.norm(values, axis=1, keepdims=True)  # a concave front
    values = 1 - values
    front, candidates = values[:20], values[20:]
    front = front[non_dominated(front)]
    low, high = values.min(axis=0), values.max(axis=0)
    reference = high + 0.1 * (high - low)
    chosen = most_valuable(front, candidates, 5, np.random.default_rng(0))
    reached = hypervolume(np.concatenate([front, candidates[chosen]]), reference)
    best = front
    for _ in range(5):
        volumes = [hypervolume(np.concatenate([best, point[None]]), reference) for point in candidates]
        best = np.concatenate([best, candidates[[int(np.argmax(volumes))]]])
    start, greedy = hypervolume(front, reference), hypervolume(best, reference)
    assert reached - start > 0.9 * (greedy - start)


def test_what_adds_nothing_is_not_chosen() -> None:
    front = np.array([[0.0, 0.5, 0.5], [0.5, 0.0, 0.5]])
    candidates = np.array([[0.1, 0.6, 0.6], [0.5, 0.5, 0.1], [0.5, 0.0, 0.5]])
    assert most_valuable(front, candidates, 3, np.random.default_rng(0)).tolist() == [1]
