"""What is written is read back equal through a real Optuna study."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from avatar_optuna.exceptions import StudyError
from avatar_optuna.hyperparameters import Hyperparameters
from avatar_optuna.records import (
    DISTILLED_DIRECTIONS,
    Job,
    JobResult,
    TeacherRecord,
    directions,
    metric_names,
)
from avatar_optuna.space import SearchSpace


def _result() -> JobResult:
    return JobResult(
        effectiveness=0.9,
        valid={"accuracy": 0.91},
        test={"accuracy": 0.89},
        size_bytes=2_900_000,
        parameters=720_000,
        flops=10**9,
        latency_ms=3.5,
        latency=({"batch_size": 1, "median_ms": 3.5},),
        history=({"epoch": 1, "loss": 0.4},),
        best_epoch=1,
        seconds=12.0,
        device={"name": "cpu", "threads": 2},
        host="somewhere",
        versions={"torch": "2"},
    )


@pytest.fixture
def distilled() -> optuna.Study:
    return optuna.create_study(directions=list(DISTILLED_DIRECTIONS))


def test_a_job_and_its_result_come_back_equal(distilled: optuna.Study, student_values: dict[str, Any]) -> None:
    job = Job(
        key="front/0/7",
        purpose="front",
        hyperparameters=Hyperparameters.from_mapping(student_values),
        epochs=4,
        origin=7,
        predicted={"effectiveness": 0.9, "std": 0.01},
    )
    distilled.enqueue_trial(student_values, user_attrs=job.attributes())
    assert Job.from_trial(distilled.get_trials(states=[TrialState.WAITING])[0]) == job

    trial = distilled.ask()
    SearchSpace.paper().suggest(trial)
    for key, value in _result().attributes().items():
        trial.set_user_attr(key, value)
    distilled.tell(trial, _result().values())
    assert Job.from_trial(distilled.trials[0]) == job
    assert JobResult.from_trial(distilled.trials[0]) == _result()


def test_a_strange_trial_is_refused(distilled: optuna.Study) -> None:
    distilled.enqueue_trial({"x": 1})
    with pytest.raises(StudyError, match="no distillation job"):
        Job.from_trial(distilled.trials[0])
    with pytest.raises(StudyError, match="no result yet"):
        JobResult.from_trial(distilled.trials[0])


def test_a_teacher_comes_back_equal() -> None:
    record = TeacherRecord(source="checkpoint: x", valid={"accuracy": 1.0}, latency=({"batch_size": 1},))
    assert TeacherRecord.from_dict(record.to_dict()) == record


def test_what_is_predicted_says_so() -> None:
    objectives = ("effectiveness", "size_bytes", "latency_ms")
    assert metric_names(objectives) == ["predicted_effectiveness", "size_bytes", "latency_ms"]
    assert directions(objectives) == ["maximize", "minimize", "minimize"]
