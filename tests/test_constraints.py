"""Expressions are parsed, not evaluated; every reading of one agrees."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.constraints import ExactReading, parse_constraint
from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.exceptions import InputError
from avatar_optuna.feasibility._intervals import IntervalReading, verdict
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER
from tests.strategies import small_students

# Expression, and the same in Python's own words.
CASES: list[tuple[str, Any]] = [
    ("hidden_size % 16 == 0", lambda s: s.hidden_size % 16 == 0),
    ("flops <= 2e9", lambda s: flops(s, TaskShape(arity=2)) <= 2e9),
    ("size_mb >= 0.02", lambda s: size_bytes(s, TaskShape(arity=2)) >= 20_000),
    ("8 < hidden_size <= 24", lambda s: 8 < s.hidden_size <= 24),
    ("hidden_size // num_attention_heads >= 4", lambda s: s.hidden_size // s.num_attention_heads >= 4),
    ("head_size ** 2 < 50", lambda s: s.head_size**2 < 50),
    ("(vocab_size - 1000) // hidden_size % 3 == 1", lambda s: (s.vocab_size - 1000) // s.hidden_size % 3 == 1),
    ("(hidden_size - 40) % 7 <= 3", lambda s: (s.hidden_size - 40) % 7 <= 3),
    ("flops ** 3 < 1e18 * 1e6", lambda s: flops(s, TaskShape(arity=2)) ** 3 < 10**24),
    ("intermediate_size / hidden_size > 1.5", lambda s: s.intermediate_size / s.hidden_size > 1.5),
    (
        "not (tokenizer == 'BPE' or hidden_act in ['gelu', 'relu'])",
        lambda s: s.tokenizer != "BPE" and s.hidden_act not in ("gelu", "relu"),
    ),
    (
        "'absolute' != position_embedding_type and hidden_dropout_prob < 0.35",
        lambda s: s.position_embedding_type != "absolute" and s.hidden_dropout_prob < 0.35,
    ),
    (
        "tokenizer not in ('Word',) or vocab_size - 2 * hidden_size > -3",
        lambda s: s.tokenizer != "Word" or s.vocab_size - 2 * s.hidden_size > -3,
    ),
]


@given(student=small_students())
@pytest.mark.parametrize(("text", "oracle"), CASES)
def test_an_expression_means_what_python_would_mean(text: str, oracle: Any, student: Configuration) -> None:
    constraint = parse_constraint(text, TRANSFORMER)
    reading = ExactReading(TRANSFORMER, student.values, TaskShape(arity=2))
    assert bool(constraint.holds(reading)) == oracle(student)
    values = ConfigurationTable.from_students([student, student]).values
    known = verdict(constraint, IntervalReading(TRANSFORMER, TaskShape(arity=2), {}, lambda n: (values[n], values[n])))
    assert np.all(known.can >= oracle(student))
    assert np.all(known.must <= oracle(student))
    assert "/" in text or np.all(known.can == known.must), "whole numbers are decided without rational arithmetic"
    assert (constraint.violation(reading) <= 0) == oracle(student)


def test_a_violation_is_in_the_unit_of_its_sides(student_values: dict[str, Any]) -> None:
    reading = ExactReading(TRANSFORMER, student_values, TaskShape(arity=1))
    assert parse_constraint("hidden_size <= 90", TRANSFORMER).violation(reading) == 6
    assert parse_constraint("hidden_size < 96", TRANSFORMER).violation(reading) == 1.0
    assert parse_constraint("tokenizer == 'Word'", TRANSFORMER).violation(reading) == 1.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('x') == 0", "is not allowed"),
        ("size_mb <= ", "must be an expression such as"),
        ("size_mb", "must be a comparison"),
        ("sise_mb <= 3", "sise_mb is unknown, expected one of"),
        ("hidden_size is 3", "'in' and 'is' do not compare"),
        ("tokenizer < 'BPE'", "only ==, != and in compare"),
        ("tokenizer == 'bpe'", "must be compared with BPE, WordPiece, Unigram, Word"),
        ("hidden_size ** 9 < 3", "must be raised to 1 to 4"),
        ("hidden_size / 0 < 3", "must be divided by a name or by a number above 0"),
        ("hidden_size % (vocab_size - 1000) == 0", "must be divided by a name"),
        ("learning_rate % 2 == 0", "must divide whole numbers"),
        ("size_mb // 2 == 0", "must divide whole numbers"),
        ("1 < 2", "a comparison must mention a hyperparameter or a cost, got"),
        ("1 < 2 and hidden_size > 3", "a comparison must mention a hyperparameter or a cost, got"),
        ("1 < 2 < hidden_size", "a comparison must mention a hyperparameter or a cost, got"),
        ("((flops ** 4) ** 4) % 3 == 1", "at most degree 8 and 2,000 terms, got degree 16"),
        ("flops ** 4 * size_bytes ** 4 % 3 == 1", "at most degree 8 and 2,000 terms, got degree 8 and about 108,900"),
        ("(lambda: 1)() < 3", "is not allowed"),
        ("hidden_size < 1e300", "must be a number below"),
        ("flops <= True", "must be a number"),
        ("(" * 500 + "1" + ")" * 500 + " < hidden_size", "at most 1000 characters"),
    ],
)
def test_what_is_not_allowed_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        parse_constraint(text, TRANSFORMER)


def test_a_figure_without_a_predictor_is_refused(student_values: dict[str, Any]) -> None:
    constraint = parse_constraint("latency_ms <= 5", TRANSFORMER)
    with pytest.raises(InputError, match="latency_ms needs a cost model calibrated on this device"):
        constraint.holds(ExactReading(TRANSFORMER, student_values, TaskShape(arity=1)))
    predicted = {"latency_ms": lambda shape: shape.hidden_size * 0.1}
    reading = ExactReading(TRANSFORMER, student_values, TaskShape(arity=1), predicted)
    assert constraint.violation(reading) == pytest.approx(4.6)
