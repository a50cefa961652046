"""The one-standard-error rule, held to its definition on drawn students; test figures never move it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given

from avatar_optuna.schema import JobResult
from avatar_optuna.students import Configuration
from avatar_optuna.verdict import as_good_as_best, better_than, recommend
from avatar_optuna.view import DistilledStudent
from tests.strategies import small_students

_ERROR = 0.025  # between the hundredths that effectiveness is drawn in, so that nothing lies on the edge


def _student(job: int, shape: Configuration, effectiveness: float, latency_ms: float, test: float) -> DistilledStudent:
    def figures(value: float) -> dict[str, Any]:
        return {"accuracy": value, "accuracy_interval": [value - 1.96 * _ERROR, value + 1.96 * _ERROR]}

    result = JobResult(
        effectiveness=effectiveness,
        valid=figures(effectiveness),
        test=figures(test),
        size_bytes=1000 + job,
        parameters=250,
        flops=1000,
        latency_ms=latency_ms,
        latency=(),
        history=(),
        best_epoch=1,
        seconds=1.0,
        device={},
        host="host",
        versions={},
    )
    return DistilledStudent(
        job=job,
        trial=job,
        purpose="front",
        hyperparameters=shape,
        epochs=1,
        prediction=None,
        result=result,
        figures={"effectiveness": effectiveness, "size_bytes": 1000 + job, "flops": 1000, "latency_ms": latency_ms},
        predicted_costs={},
        is_compared=False,
        energy=None,
        times_less_than={},
    )


fractions = st.integers(50, 99).map(lambda hundredths: hundredths / 100)


@given(st.lists(st.tuples(fractions, st.integers(1, 9), fractions), min_size=1, max_size=6), small_students())
def test_it_is_the_fastest_within_one_standard_error_of_the_best(
    figures: list[tuple[float, int, float]], shape: Configuration
) -> None:
    students = [_student(job, shape, *row) for job, row in enumerate(figures)]
    found = recommend(students, "accuracy")
    assert found is not None
    best = max(valid for valid, _, _ in figures)
    as_good = as_good_as_best(students, "accuracy")
    assert as_good is not None
    assert as_good.best.effectiveness == best
    assert {s.job for s in as_good.students} == {s.job for s in students if s.effectiveness >= best - _ERROR}
    allowed = [(ms, job) for job, (valid, ms, _) in enumerate(figures) if valid >= best - _ERROR]
    assert found.student.job == min(allowed)[1]
    upside_down = [
        replace(s, result=replace(s.result, test={"accuracy": 1 - s.result.test["accuracy"]})) for s in students
    ]
    again = recommend(upside_down, "accuracy")
    assert again is not None
    assert (again.student.job, again.reason) == (found.student.job, found.reason)


def test_without_an_interval_the_most_effective_is_it(student: Configuration) -> None:
    students = [_student(job, student, valid, job + 1.0, 0.5) for job, valid in enumerate((0.80, 0.81))]
    found = recommend(students, "f1")
    assert found is not None
    assert found.student.job == 1
    assert recommend([], "f1") is None
    assert as_good_as_best([], "f1") is None


def test_only_students_that_are_better_beyond_noise_remain(student: Configuration) -> None:
    students = [_student(job, student, 0.6, 1.0, 0.6) for job in range(3)]
    for index, interval in enumerate(([0.55, 0.65], [0.584, 0.62], [0.59, 0.7])):
        valid = {**students[index].result.valid, "balanced_accuracy_interval": interval}
        students[index] = replace(students[index], result=replace(students[index].result, valid=valid))
    assert [found.job for found in better_than(students, chance=0.5, baseline=0.584)] == [2]
    assert better_than(students[:2], chance=0.5, baseline=0.584) == []


def test_the_best_of_many_is_expected_to_reach_less(student: Configuration) -> None:
    """Figures that differ by less than their errors are all luck; those that differ by much more are none."""
    alike = as_good_as_best([_student(job, student, 0.80 + job / 100, 1.0, 0.5) for job in range(4)], "accuracy")
    apart = as_good_as_best([_student(job, student, 0.50 + job / 10, 1.0, 0.5) for job in range(4)], "accuracy")
    few = as_good_as_best([_student(job, student, 0.80 + job / 100, 1.0, 0.5) for job in range(3)], "accuracy")
    assert alike is not None
    assert apart is not None
    assert few is not None
    assert alike.expected == pytest.approx(0.815)
    assert apart.expected is not None
    assert 0.79 < apart.expected < 0.80
    assert few.expected is None
    without_interval = as_good_as_best(list(alike.students) * 2, "f1")
    assert without_interval is not None
    assert without_interval.expected is None
