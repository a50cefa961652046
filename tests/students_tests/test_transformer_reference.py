"""What the transformer family gave before it became an entry of a registry: same draws, same figures, bit by bit."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import Feasibility, draw, uniform_codes
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER

CONSTRAINTS = ("size_mb <= 3", "flops <= 2e10", "hidden_act in ['gelu', 'relu'] or num_hidden_layers < 6")
FIRST = {
    "tokenizer": "Unigram",
    "vocab_size": 4356,
    "num_hidden_layers": 2,
    "hidden_size": 45,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.3,
    "intermediate_size": 810,
    "num_attention_heads": 9,
    "attention_probs_dropout_prob": 0.4,
    "max_sequence_length": 459,
    "position_embedding_type": "absolute",
    "learning_rate": 5e-05,
    "batch_size": 32,
}


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@pytest.fixture(scope="module")
def feasibility() -> Feasibility:
    return Feasibility(space=SearchSpace.paper(), constraints=CONSTRAINTS, task_shape=TaskShape(arity=2))


@pytest.fixture(scope="module")
def students(feasibility: Feasibility) -> list[Configuration]:
    return draw(feasibility, 60, seed=3)


def test_draws_are_those_of_before(students: list[Configuration]) -> None:
    assert students[0].to_dict() == FIRST
    assert _digest([student.to_dict() for student in students]) == "01f3d32d969b0b01"


@pytest.mark.parametrize(("arity", "expected"), [(2, "393bd8a3dd2fd044"), (1, "f897bfd621210b10")])
def test_terms_of_costs_are_those_of_before(students: list[Configuration], arity: int, expected: str) -> None:
    formulas = [getattr(TRANSFORMER, name) for name in ("size_terms", "flops_terms", "parameter_terms", "device_terms")]
    task_shape = TaskShape(arity=arity)
    figures = [[{k: int(v) for k, v in f(s, task_shape).items()} for f in formulas] for s in students]
    assert _digest(figures) == expected


def test_verdicts_are_those_of_before(feasibility: Feasibility) -> None:
    rng = np.random.default_rng(0)
    table = feasibility.lattice.decode(uniform_codes(feasibility, 200, rng))
    rows = [{name: column[index].item() for name, column in table.values.items()} for index in range(200)]
    verdicts = [feasibility.check(row) for row in rows]
    assert verdicts[0].reason == "size_mb <= 3 is broken: size_mb is 42.9216"
    assert _digest([[v.feasible, dict(v.violated), v.reason] for v in verdicts]) == "aa2d1937e609508f"
    many = feasibility.lattice.decode(uniform_codes(feasibility, 200_000, rng))
    assert int(feasibility.holds(many).sum()) == 441
