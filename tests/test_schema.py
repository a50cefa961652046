"""What is written is read back equal through a real Optuna study."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from avatar_optuna.exceptions import StudyError
from avatar_optuna.objectives import directions
from avatar_optuna.schema import (
    INDICATOR,
    Audit,
    AuditedStudent,
    Job,
    JobResult,
    Latency,
    MisorderedPair,
    PhaseCost,
    RankCorrelation,
    StudyCost,
    TeacherRecord,
    distilled_metric_names,
    metric_names,
    num_rounds,
)
from avatar_optuna.space import SearchSpace
from avatar_optuna.students.transformer import TRANSFORMER


def _result() -> JobResult:
    return JobResult(
        effectiveness=0.9,
        valid={"accuracy": 0.91},
        test={"accuracy": 0.89},
        size_bytes=2_900_000,
        parameters=720_000,
        flops=10**9,
        latency_ms=3.5,
        latency=(Latency(batch_size=1, median_ms=3.5, p95_ms=4.0, repeats=5, device={"name": "cpu"}),),
        history=({"epoch": 1, "loss": 0.4},),
        best_epoch=1,
        seconds=12.0,
        device={"name": "cpu", "threads": 2},
        host="somewhere",
        versions={"torch": "2"},
    )


@pytest.fixture
def distilled() -> optuna.Study:
    return optuna.create_study(directions=directions(distilled_metric_names(())))


def test_a_job_and_its_result_come_back_equal(distilled: optuna.Study, student_values: dict[str, Any]) -> None:
    job = Job(
        key="front/0/7",
        purpose="front",
        hyperparameters=TRANSFORMER.configure(**student_values),
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
    record = TeacherRecord(source="checkpoint: x", valid={"accuracy": 1.0}, latency=_result().latency)
    assert TeacherRecord.from_dict(record.to_dict()) == record


@pytest.mark.parametrize(("begun", "wanted", "rounds"), [((), 1, 1), ((0, 1), 1, 2), ((0,), 3, 3), (range(12), 1, 12)])
def test_rounds_are_those_that_are_wanted_and_those_that_time_was_left_for(
    begun: Iterable[int], wanted: int, rounds: int
) -> None:
    assert num_rounds({"avatar:settings": {}, **{f"{INDICATOR}:{number}": {} for number in begun}}, wanted) == rounds


def test_what_is_predicted_says_so() -> None:
    objectives = ("effectiveness", "size_bytes", "latency_ms")
    assert metric_names(objectives) == ["predicted_effectiveness", "size_bytes", "latency_ms"]
    assert directions(objectives) == ["maximize", "minimize", "minimize"]


def example_audit(values: dict[str, Any]) -> Audit:
    """Three students, the one with the fewest FLOPs slower than the next."""
    figures = [(1_000_000, 50_000, 2.0), (1_500_000, 40_000, 1.2), (9_000_000, 90_000, 6.1)]
    return Audit(
        students=tuple(
            AuditedStudent(
                hyperparameters=values,
                flops=flops,
                parameters=parameters,
                latency_ms=latency_ms,
                latency_interval_ms=(0.9 * latency_ms, 1.1 * latency_ms),
                energy_j=latency_ms / 50,
            )
            for flops, parameters, latency_ms in figures
        ),
        correlations=tuple(
            RankCorrelation(
                stand_in=stand_in,
                figure=figure,
                spearman=0.5,
                spearman_interval=(-0.5, 1.0),
                kendall=0.33,
                kendall_interval=(-0.6, 1.0),
            )
            for stand_in in ("flops", "parameters")
            for figure in ("latency_ms", "energy_j")
        ),
        pairs=3,
        misordered=1,
        misordered_interval=(0.0, 0.8),
        worst=(MisorderedPair(fewer_flops=0, more_flops=1, times_flops=1.5, times_latency=2.0 / 1.2),),
        trusted=False,
        verdict="FLOPs may not stand in for latency here: they order 1 of 3 pairs wrongly.",
        device={"name": "cpu", "model": "some processor", "threads": 1},
        batch_size=1,
        repeats=15,
        waited_share=0.02,
        seconds=12.5,
        measured_utc="2026-11-24T02:00:00+00:00",
    )


EXAMPLE_COST = StudyCost(
    phases={
        "teacher": PhaseCost(seconds=60.0, energy_j=900.0, energy_source="nvml"),
        "samples": PhaseCost(seconds=240.0, energy_j=4_000.0, energy_source="nvml", jobs=8),
        "search": PhaseCost(seconds=1.5, energy_j=30.0, energy_source="nvml"),
        "distillation": PhaseCost(seconds=120.0, energy_j=2_000.0, energy_source="nvml", jobs=4),
    }
)


def test_an_audit_comes_back_equal_through_json(student_values: dict[str, Any]) -> None:
    audit = example_audit(student_values)
    assert Audit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit
    assert audit.misordered_share == pytest.approx(1 / 3)


def test_a_cost_comes_back_equal_and_adds_up() -> None:
    assert StudyCost.from_dict(json.loads(json.dumps(EXAMPLE_COST.to_dict()))) == EXAMPLE_COST
    assert EXAMPLE_COST.seconds == 421.5
    assert EXAMPLE_COST.energy_j == 6_930.0
    assert EXAMPLE_COST.inferences_to_repay_time(saved_ms=10.0) == 42_150
    assert EXAMPLE_COST.inferences_to_repay_time(saved_ms=0.0) is None
    assert EXAMPLE_COST.inferences_to_repay_energy(saved_j=2.0) == 3_465


def test_what_is_saved_has_an_interval_where_both_latencies_have_one() -> None:
    """Held to a simulation: independent medians whose errors are normal."""
    own = Latency(batch_size=1, median_ms=2.0, p95_ms=3.0, repeats=9, device={}, interval_ms=(1.7, 2.3))
    other = Latency(batch_size=1, median_ms=10.0, p95_ms=12.0, repeats=9, device={}, interval_ms=(9.6, 10.4))
    rng = np.random.default_rng(0)
    differences = rng.normal(10.0, 0.4 / 1.96, 200_000) - rng.normal(2.0, 0.3 / 1.96, 200_000)
    assert own.saved_interval_ms(other) == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.01)
    skewed = replace(other, interval_ms=(10.0, 10.4))
    assert own.saved_interval_ms(skewed) == pytest.approx((7.7, 8.5))
    assert own.saved_interval_ms(replace(other, interval_ms=None)) is None


def test_energy_of_which_a_part_was_not_counted_is_no_figure() -> None:
    phases = {**EXAMPLE_COST.phases, "search": replace(EXAMPLE_COST.phases["search"], energy_j=None)}
    cost = StudyCost(phases=phases)
    assert cost.energy_j is None
    assert cost.inferences_to_repay_energy(saved_j=2.0) is None
