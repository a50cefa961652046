from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from avatar_optuna.distillation._recipe import EpochRecord
from avatar_optuna.distillation._schedule import Cooldown, Schedule, cooldown_of

SCHEDULE = Schedule(steps_per_epoch=5, steps=50, highest_rate=0.25, warmup_ratio=0.2)


def test_the_learning_rate_climbs_then_falls() -> None:
    rates = [SCHEDULE.rate_at(step) for step in range(51)]
    assert rates[:10] == pytest.approx([0.25 * (step + 1) / 10 for step in range(10)])
    assert rates[10:] == pytest.approx([0.25 * (50 - step) / 40 for step in range(10, 51)])


def test_a_fall_that_ends_the_training_sooner() -> None:
    cooled = replace(SCHEDULE, cooldown=Cooldown(after=4, epochs=2))
    assert [cooled.rate_at(step) for step in range(20)] == [SCHEDULE.rate_at(step) for step in range(20)]
    assert cooled.rate_at(20) == SCHEDULE.rate_at(20)
    assert [cooled.rate_at(step) for step in range(20, 31)] == pytest.approx(
        [SCHEDULE.rate_at(20) * (30 - step) / 10 for step in range(20, 31)]
    )


def test_a_rate_that_would_fall_sooner_anyhow_is_kept() -> None:
    cooled = replace(SCHEDULE, cooldown=Cooldown(after=8, epochs=4))
    assert [cooled.rate_at(step) for step in range(50)] == [SCHEDULE.rate_at(step) for step in range(50)]


def test_the_average_takes_most_of_the_first_weights_and_looks_back_over_an_epoch_later() -> None:
    weights = [SCHEDULE.weight_at(step) for step in range(1000)]
    assert weights[0] == pytest.approx(0.9)
    assert weights == sorted(weights, reverse=True)
    assert weights[-1] == pytest.approx(1 / 6)


def _history(figures: Sequence[float]) -> list[EpochRecord]:
    best, records = -1.0, []
    for number, figure in enumerate(figures, start=1):
        valid, is_best = {"balanced_accuracy": figure}, figure > best
        best = max(best, figure)
        record = EpochRecord(epoch=number, epochs=50, loss=1.0, valid=valid, seconds=1.0, is_best=is_best)
        records.append(record)
    return records


def test_a_training_is_cooled_once_it_has_learnt_and_learns_no_more() -> None:
    figures = [0.7, 0.8, 0.75, 0.8, 0.79]
    assert [cooldown_of(_history(figures[:n]), patience=3, num_inputs=100, num_labels=2) for n in range(5)] == [
        None
    ] * 5
    assert cooldown_of(_history(figures), patience=3, num_inputs=100, num_labels=2) == Cooldown(after=5, epochs=3)
    better_while_it_cools = [*figures, 0.9, 0.91]
    assert cooldown_of(_history(better_while_it_cools), patience=3, num_inputs=100, num_labels=2) == Cooldown(
        after=5, epochs=3
    )


def test_one_that_has_not_begun_to_learn_is_not() -> None:
    for best, expected in ((0.59, None), (0.61, Cooldown(after=4, epochs=2))):  # 0.5, and two standard errors of 0.05
        assert cooldown_of(_history([best, 0.5, 0.5, 0.5]), patience=3, num_inputs=100, num_labels=2) == expected
