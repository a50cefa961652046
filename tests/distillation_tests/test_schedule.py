from __future__ import annotations

import pytest

from avatar_optuna.distillation._schedule import Schedule

SCHEDULE = Schedule(steps_per_epoch=5, steps=50, highest_rate=0.25, warmup_ratio=0.2)


def test_the_learning_rate_climbs_then_falls() -> None:
    rates = [SCHEDULE.rate_at(step) for step in range(51)]
    assert rates[:10] == pytest.approx([0.25 * (step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([0.25 * (50 - step) / 40 for step in range(10, 51)])


def test_the_average_takes_most_of_the_first_weights_and_looks_back_over_an_epoch_later() -> None:
    weights = [SCHEDULE.weight_at(step) for step in range(1000)]
    assert weights[0] == pytest.approx(0.9)
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == pytest.approx(1 / 6)
