"""The cost model: one formula in four readings, weights found again, and every faulty JSON refused."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.cost_model import CostModel
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InfeasibleSpaceError, StoredValueError, StudyError
from avatar_optuna.feasibility import Boxes, Feasibility, draw, judged, tighten
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER
from tests.strategies import small_students

WEIGHTS = {
    "pass": 0.2,
    "layer_calls": 0.15,
    "relative_layer_calls": 0.06,
    "vector_elements": 5e-6,
    "score_elements": 1e-6,
    "distance_elements": 2.6e-6,
    "transposed_distance_elements": 4e-7,
    "composed_activation_elements": 3.7e-6,
    "projection_products": 9.8e-8,
    "feed_forward_products": 3e-8,
}
"""As calibrated on a processor, rounded."""


def make_cost_model(**changes: Any) -> CostModel:
    """A cost model with the weights above."""
    values: dict[str, Any] = {
        "quantity": "latency_ms",
        "family": "transformer",
        "task_shape": TaskShape(arity=2),
        "weights": WEIGHTS,
        "device": {"name": "cpu", "model": "some processor", "threads": 1},
        "host": "somewhere",
        "batch_size": 1,
        "num_students": 40,
        "median_error": 0.04,
        "p90_error": 0.14,
        "rank_correlation": 0.99,
        "range": (0.4, 32.0),
        "waited_share": 0.0,
        "measured_utc": "2026-11-24T02:00:00+00:00",
    }
    return CostModel(**(values | changes))


def _fitted(students: list[Configuration], measured: list[float]) -> CostModel:
    device = {"name": "cpu", "model": "some processor", "threads": 1}
    return CostModel.fit("latency_ms", students, measured, TaskShape(arity=2), device=device)


@given(small_students())
def test_a_student_and_its_column_cost_the_same(student: Configuration) -> None:
    cost_model = make_cost_model()
    columns = ConfigurationTable.from_students([student, student])
    assert np.broadcast_to(cost_model(columns), 2).tolist() == pytest.approx([cost_model(student)] * 2, rel=1e-12)


@hypothesis_settings(max_examples=15)
@given(small_students())
def test_z3_reads_what_arrays_read(student: Configuration) -> None:
    """A limit a hair above the prediction holds for the solver, one a hair below does not."""
    cost_model, space = make_cost_model(), SearchSpace.from_mapping(_exactly(student))
    figure = float(cost_model(student))
    for limit, holds in ((figure * (1 + 1e-9), True), (figure * (1 - 1e-9), False)):
        make = {"space": space, "task_shape": TaskShape(arity=2), "predicted": {"latency_ms": cost_model}}
        if holds:
            feasibility = Feasibility(constraints=[f"latency_ms <= {limit!r}"], **make)
            assert feasibility.check(student.to_dict()).feasible
        else:
            with pytest.raises(InfeasibleSpaceError):
                Feasibility(constraints=[f"latency_ms <= {limit!r}"], **make)


def _exactly(student: Configuration) -> dict[str, Any]:
    return {name: [value] for name, value in student.to_dict().items()}


def test_a_latency_constraint_is_drawn_tightened_and_explained() -> None:
    cost_model = make_cost_model()
    feasibility = Feasibility(
        space=SearchSpace.paper(),
        constraints=["latency_ms <= 1.5", "size_mb <= 3"],
        task_shape=TaskShape(arity=2),
        predicted={"latency_ms": cost_model},
    )
    students = draw(feasibility, 12, seed=0, pool=3_000)
    assert all(cost_model(student) <= 1.5 for student in students)
    assert len({student.position_embedding_type for student in students}) > 1
    slow = {**students[0].to_dict(), "num_hidden_layers": 12, "hidden_size": 96, "num_attention_heads": 12}
    verdict = feasibility.check(slow)
    assert "latency_ms <= 1.5" in verdict.violated
    assert verdict.violated["latency_ms <= 1.5"] == pytest.approx(
        cost_model(TRANSFORMER.configure(**slow)) - 1.5, rel=1e-6
    )
    found = tighten(feasibility, draws=20_000)
    assert found.ranges["num_hidden_layers"][1] < 12
    assert found.ranges["vocab_size"] != found.asked["vocab_size"]
    assert found.exact


def test_what_no_student_can_be_is_refused_by_name() -> None:
    with pytest.raises(InfeasibleSpaceError, match=r"'latency_ms <= 0\.1'"):
        Feasibility(
            space=SearchSpace.paper(),
            constraints=["latency_ms <= 0.1", "size_mb <= 3"],
            task_shape=TaskShape(arity=2),
            predicted={"latency_ms": make_cost_model()},
        )


def test_intervals_hold_every_student_of_a_box() -> None:
    cost_model = make_cost_model()
    feasibility = Feasibility(
        space=SearchSpace.paper(),
        constraints=["latency_ms <= 4"],
        task_shape=TaskShape(arity=2),
        predicted={"latency_ms": cost_model},
    )
    rng = np.random.default_rng(0)
    sizes = feasibility.lattice.sizes
    low = rng.integers(0, sizes, size=(400, 13))
    high = np.minimum(low + rng.integers(0, 20, size=low.shape), sizes - 1)
    categories = [0, 4, 10]  # tokenizer, hidden_act, position_embedding_type: a box has a single one
    high[:, categories] = low[:, categories]
    inside = low + np.rint(rng.random(low.shape) * (high - low)).astype(np.int64)
    can, must = judged(feasibility, Boxes(low=low, high=high))
    latency_holds = feasibility.held(feasibility.lattice.decode(inside))["latency_ms <= 4"]
    heads_hold = feasibility.held(feasibility.lattice.decode(inside))[feasibility.constraints[0].text]
    assert not (latency_holds & heads_hold & ~can).any()
    assert not (must & ~latency_holds).any()
    assert 0 < can.sum() < len(can)


def test_weights_are_found_again() -> None:
    """On figures that are exactly such a sum, and on noisy ones whose noise it reports."""
    feasibility = Feasibility(space=SearchSpace.paper(), constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))
    students = draw(feasibility, 40, seed=0, pool=3_000)
    truth = np.asarray([float(make_cost_model()(student)) for student in students])
    exact = _fitted(students, truth.tolist())
    assert exact.median_error < 1e-6
    assert exact.rank_correlation == pytest.approx(1.0)
    noise = np.random.default_rng(0).uniform(0.9, 1.1, size=len(truth))
    noisy = _fitted(students, (truth * noise).tolist())
    assert 0.02 < noisy.median_error < 0.12
    assert all(weight > 0 for weight in noisy.weights.values())
    predicted = [
        sum(TRANSFORMER.device_terms(s, TaskShape(arity=2))[n] * w for n, w in noisy.weights.items()) for s in students
    ]
    assert np.median(np.abs(predicted / truth - 1)) < 0.08


def test_too_few_or_impossible_figures_are_refused(student: Configuration) -> None:
    with pytest.raises(StudyError, match="at least 12 measured students, got 3"):
        _fitted([student] * 3, [1.0, 2.0, 3.0])
    with pytest.raises(StudyError, match="figures above 0"):
        _fitted([student] * 12, [1.0] * 11 + [0.0])


def test_it_comes_back_equal_and_faulty_ones_are_refused() -> None:
    cost_model = make_cost_model()
    stored = json.loads(json.dumps(cost_model.to_dict()))
    assert CostModel.from_dict(stored) == cost_model
    assert cost_model.is_of({"name": "cpu", "model": "some processor", "threads": 1})
    assert not cost_model.is_of({"name": "cpu", "model": "some processor", "threads": 2})
    for fault in ({"format": 9}, {"weights": {"nonsense": 1.0}}, {"weights": {"pass": -1.0}}, {"form": "triple"}):
        with pytest.raises(StoredValueError, match=r"^CostModel must be as avatar-optuna stored it: "):
            CostModel.from_dict({**stored, **fault})
    with pytest.raises(dataclasses.FrozenInstanceError):
        cost_model.quantity = "other"  # type: ignore[misc]
