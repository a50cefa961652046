"""The audit: correlations against scipy's, pairs against counting by hand, and a real one on a few students."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import kendalltau, spearmanr

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.measurement import audit_stand_ins, calibrate
from avatar_optuna.measurement._audit import _judged, rank_correlation, told_apart
from avatar_optuna.measurement._random_students import TimedStudents
from avatar_optuna.schema import Audit
from avatar_optuna.students import Configuration


def _students(student: Configuration, count: int) -> list[Configuration]:
    """From one layer of 8 to a few of 96: what takes longer is never in doubt for long."""
    rng = np.random.default_rng(0)
    return [
        student.replace(
            vocab_size=200,
            num_hidden_layers=int(rng.integers(1, 4)),
            hidden_size=8 * int(rng.integers(1, 13)),
            num_attention_heads=int(rng.choice([1, 2, 4, 8])),
            intermediate_size=int(rng.integers(16, 128)),
            max_sequence_length=int(rng.integers(16, 64)),
            position_embedding_type=str(rng.choice(["absolute", "relative_key"])),
        )
        for _ in range(count)
    ]


def test_correlations_are_scipy_s_within_their_intervals() -> None:
    rng = np.random.default_rng(0)
    values = rng.random(40)
    measured = values + rng.normal(0, 0.2, size=40)
    found = rank_correlation("flops", "latency_ms", values, measured)
    assert found.spearman == pytest.approx(spearmanr(values, measured).statistic)
    assert found.kendall == pytest.approx(kendalltau(values, measured).statistic)
    assert found.spearman_interval[0] < found.spearman < found.spearman_interval[1] <= 1.0
    assert found.kendall_interval[0] < found.kendall < found.kendall_interval[1] <= 1.0


def test_pairs_are_told_apart_where_one_wins_almost_every_turn() -> None:
    turns = np.arange(21) % 2
    times = np.stack([np.full(21, 1.0), np.full(21, 2.0), 1.0 + 0.1 * (turns - 0.5)])
    apart = told_apart(times)
    assert apart.tolist() == [[False, True, False], [False, False, False], [False, True, False]]


def test_misordered_pairs_are_counted() -> None:
    """Four students of 1, 2, 3 and 4 ms; FLOPs order them 1, 3, 2, 4: one pair of six is wrong."""
    times = np.asarray([1.0, 2.0, 3.0, 4.0])[:, None] * np.linspace(1.0, 1.1, 21)[None, :]
    timed = TimedStudents(times_ms=times, waited_share=None)
    found = _judged(np.asarray([10.0, 30.0, 20.0, 40.0]), timed)
    assert (found["pairs"], found["misordered"], found["trusted"]) == (6, 1, False)
    worst = found["worst"][0]
    assert (worst.fewer_flops, worst.more_flops) == (2, 1)
    assert worst.times_flops == pytest.approx(1.5)
    assert worst.times_latency == pytest.approx(1.5)
    assert "may not stand in for latency here: of 6 pairs" in found["verdict"]
    right = _judged(np.asarray([10.0, 20.0, 30.0, 40.0]), timed)
    assert right["trusted"]
    assert "may stand in for latency here" in right["verdict"]
    same = TimedStudents(times_ms=np.ones((4, 21)), waited_share=None)
    assert "cannot be told: only 0 of 6 pairs" in _judged(np.asarray([10.0, 20.0, 30.0, 40.0]), same)["verdict"]


def test_a_real_audit_is_stored_whole(student: Configuration) -> None:
    students = _students(student, 10)
    done: list[int] = []
    audit = audit_stand_ins(students, TaskShape(arity=2), device="cpu", repeats=9, on_progress=done.append)
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit
    assert done[-1] == 10 * 9
    assert [entry.flops for entry in audit.students] == [flops(s, TaskShape(arity=2)) for s in students]
    assert all(0 < entry.latency_ms <= entry.latency_interval_ms[1] for entry in audit.students)
    stand_ins = {(entry.stand_in, entry.figure) for entry in audit.correlations}
    assert {("flops", "latency_ms"), ("parameters", "latency_ms")} <= stand_ins
    assert audit.device["threads"] == 1
    assert audit.waited_share is not None
    assert 0 <= audit.waited_share < 1


def test_a_real_calibration_predicts_what_it_measured(student: Configuration) -> None:
    students = _students(student, 16)
    cost_model = calibrate("latency_ms", students, TaskShape(arity=2), device="cpu", repeats=3)
    assert cost_model.num_students == 16
    assert cost_model.range[0] > 0
    assert cost_model.device["threads"] == 1
    small = student.replace(num_hidden_layers=1, hidden_size=8, num_attention_heads=1, max_sequence_length=16)
    large = student.replace(num_hidden_layers=3, hidden_size=96, max_sequence_length=64)
    assert 0 < cost_model(small) < cost_model(large)
