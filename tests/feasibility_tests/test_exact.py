"""Constraints over arrays against rational arithmetic, at the edges where floats go wrong."""

from __future__ import annotations

import itertools
import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.constraints import ExactReading
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError, StudyError
from avatar_optuna.feasibility import Feasibility, draw, tighten, uniform_codes
from avatar_optuna.feasibility._intervals import verdict
from avatar_optuna.space import SearchSpace

PAPER = SearchSpace.paper()
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
TENTHS = tuple(itertools.product(range(2, 6), repeat=2))
RATES = PAPER.replace(learning_rate=FloatDistribution(1e-5, 1e-3, log=True))
"""In decimals, whole tenths: the oracle."""


def _feasibility(constraint: str, space: SearchSpace = PAPER, **more: Any) -> Feasibility:
    return Feasibility(space=space, constraints=[constraint], task_shape=TaskShape(arity=2), **more)


@pytest.mark.parametrize(
    ("constraint", "tenths"),
    [
        ("hidden_dropout_prob + attention_probs_dropout_prob > 0.6", [(a, b) for a, b in TENTHS if a + b > 6]),
        ("hidden_dropout_prob + attention_probs_dropout_prob <= 0.6", [(a, b) for a, b in TENTHS if a + b <= 6]),
        ("hidden_dropout_prob - attention_probs_dropout_prob == 0.1", [(a, b) for a, b in TENTHS if a - b == 1]),
        ("hidden_dropout_prob - attention_probs_dropout_prob != 0.1", [(a, b) for a, b in TENTHS if a - b != 1]),
        ("0.1 + 0.2 < hidden_dropout_prob", [(a, b) for a, b in TENTHS if a > 3]),
        ("1 / 3 * hidden_dropout_prob >= 0.1", [(a, b) for a, b in TENTHS if a >= 3]),
    ],
)
def test_decimals_are_counted_as_decimals(constraint: str, tenths: list[tuple[int, int]]) -> None:
    feasibility = _feasibility(constraint)
    columns = feasibility.lattice.decode(uniform_codes(feasibility, 2_000, np.random.default_rng(0)))
    held = feasibility.held(columns)[constraint]
    places = np.rint(np.column_stack([columns.values[name] for name in DROPOUTS]) * 10).astype(int).tolist()
    assert held.tolist() == [tuple(place) in tenths for place in places]
    tightened = tighten(feasibility, draws=20_000)
    assert tightened.exact
    for index, name in enumerate(DROPOUTS):
        values = [pair[index] / 10 for pair in tenths]
        assert tightened.ranges[name] == (min(values), max(values))
    assert 1 - tightened.broken[constraint] == pytest.approx(len(tenths) / 16, abs=0.02)
    students = draw(feasibility, 8, seed=0, pool=500)
    assert all(
        (round(s.hidden_dropout_prob * 10), round(s.attention_probs_dropout_prob * 10)) in tenths for s in students
    )


def test_whole_numbers_stay_exact_beyond_floats() -> None:
    feasibility = _feasibility("vocab_size ** 4 % 2 == 1", PAPER.replace(vocab_size=IntDistribution(49_900, 50_265)))
    columns = feasibility.lattice.decode(uniform_codes(feasibility, 500, np.random.default_rng(0)))
    assert (feasibility.held(columns)["vocab_size ** 4 % 2 == 1"] == (columns.values["vocab_size"] % 2 == 1)).all()
    tightened = tighten(feasibility, draws=2_000)
    assert tightened.exact
    assert tightened.ranges["vocab_size"] == (49_901, 50_265)


@pytest.mark.parametrize("constraint", ["learning_rate == 5e-4", "learning_rate * 2 == 1e-3"])
def test_a_single_value_of_a_continuous_range_is_found(constraint: str) -> None:
    feasibility = _feasibility(constraint, RATES)
    tightened = tighten(feasibility, draws=100_000)
    assert tightened.exact
    assert tightened.ranges["learning_rate"] == (5e-4, 5e-4)
    assert 0 < tightened.share < 0.001
    assert {student.learning_rate for student in draw(feasibility, 4, seed=0, pool=500)} == {5e-4}


def test_the_end_of_a_continuous_range_is_exact_only_where_z3_ruled_out_the_rest() -> None:
    end_is_known = tighten(_feasibility("learning_rate >= 3.3e-4", RATES), draws=1_000)
    assert end_is_known.exact
    assert end_is_known.ranges["learning_rate"] == (3.3e-4, 1e-3)
    end_is_not = tighten(_feasibility("learning_rate * 2 >= 7.77e-4", RATES), draws=1_000)
    assert not end_is_not.exact
    assert 3.8e-4 < end_is_not.ranges["learning_rate"][0] <= 3.885e-4


@pytest.mark.parametrize("constraint", ["learning_rate * 3 == 1e-3", "learning_rate ** 2 == 2e-7"])
def test_a_value_that_no_study_could_hold_is_refused(constraint: str) -> None:
    with pytest.raises(InputError, match=r"numbers of more than twelve digits: .*'learning_rate': 0\.000"):
        _feasibility(constraint, RATES)


@pytest.mark.parametrize("held", [True, False])
def test_a_disagreement_is_loud_in_either_direction(held: bool, student_values: dict[str, Any]) -> None:
    feasibility = _feasibility("size_mb <= 30")
    columns = ConfigurationTable.from_students([feasibility.space.configuration(student_values)])
    feasibility.confirm(columns, np.asarray([True]))
    feasible = _feasibility("size_mb <= 30" if not held else "size_mb >= 30")
    with pytest.raises(StudyError, match="disagree, which is a fault of avatar_optuna"):
        feasible.confirm(columns, np.asarray([held]))


def test_what_the_solver_cannot_decide_is_named_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("avatar_optuna.feasibility._solver.TIMEOUT_MS", 1_000)
    hard = "flops ** 2 * size_bytes ** 2 % 99991 == 7 and flops % 7919 == 3"
    begun = time.perf_counter()
    with pytest.raises(InputError, match=r"cannot decide within 1 s and 4,096 MB .* satisfies 'flops \*\* 2"):
        _feasibility(hard)
    assert time.perf_counter() - begun < 30, "a second for all, one for each constraint, and a busy machine"


@st.composite
def expressions(draw_: st.DrawFn) -> str:
    """Comparisons whose two sides are close: sums and products of the dropouts, the rate and a size."""
    names = st.sampled_from([*DROPOUTS, "learning_rate", "hidden_size", "head_size", "size_mb"])
    numbers = st.sampled_from(["0.1", "0.3", "7", "1e-4", "1 / 3", "96"])
    leaves = st.one_of(names, numbers)
    sides = st.recursive(
        leaves,
        lambda inner: st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from("+-*"), inner),
        max_leaves=3,
    )
    left, operator = draw_(names), draw_(st.sampled_from(["<", "<=", "==", "!=", ">", ">="]))
    right = draw_(sides)
    return f"{left} + {draw_(sides)} {operator} {right}" if draw_(st.booleans()) else f"{left} {operator} {right}"


@given(text=expressions(), seed=st.integers(0, 10**6))
def test_intervals_never_contradict_rational_arithmetic(text: str, seed: int) -> None:
    from avatar_optuna.constraints import parse_constraint

    constraint = parse_constraint(text, PAPER.family)
    rng = np.random.default_rng(seed)
    lattice = _PAPER_FEASIBILITY.lattice
    columns = lattice.decode(uniform_codes(_PAPER_FEASIBILITY, 16, rng))
    values = columns.values
    known = verdict(constraint, _PAPER_FEASIBILITY.reading_of(lambda name: (values[name], values[name])))
    can, must = np.broadcast_to(known.can, 16), np.broadcast_to(known.must, 16)
    for row in range(16):
        student = {name: column[row].item() for name, column in values.items()}
        holds = constraint.holds(ExactReading(PAPER.family, student, TaskShape(arity=2)))
        assert must[row] <= holds <= can[row]


_PAPER_FEASIBILITY = _feasibility("size_mb <= 30")


def test_exact_numbers_are_those_of_fractions() -> None:
    reading = ExactReading(PAPER.family, {"hidden_dropout_prob": 0.1 + 0.2}, TaskShape(arity=1))
    number = reading.value("hidden_dropout_prob")
    assert number.value == Fraction(3, 10), "read to twelve digits"
    assert (number * 0.1 - 1e-2 / (2 + number)).value == Fraction(3, 100) - Fraction(1, 100) / Fraction(23, 10)
    assert ((7 - number) // 2).value == 3
    assert (7 % (number * 10)).value == 1
