"""Oracle: transformers' own RoBERTa, built and counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape, num_parameters, size_bytes
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER
from tests.strategies import small_students


@settings(max_examples=25, deadline=None)
@given(small_students())
def test_absolute_students_count_as_transformers_roberta(student: Configuration) -> None:
    from transformers import RobertaConfig, RobertaForSequenceClassification

    values = {**student.to_dict(), "position_embedding_type": "absolute"}
    student = TRANSFORMER.configure(**values)
    model = RobertaForSequenceClassification(
        RobertaConfig(
            vocab_size=student.vocab_size,
            hidden_size=student.hidden_size,
            num_hidden_layers=student.num_hidden_layers,
            num_attention_heads=student.num_attention_heads,
            intermediate_size=student.intermediate_size,
            max_position_embeddings=student.max_sequence_length + 2,
            type_vocab_size=1,
            num_labels=2,
        )
    )
    assert num_parameters(student, TaskShape(arity=1)) == sum(p.numel() for p in model.parameters())


def test_a_pair_head_reads_two_vectors(student: Configuration) -> None:
    single, pair = (TRANSFORMER.parameter_terms(student, TaskShape(arity=arity)) for arity in (1, 2))
    assert pair.pop("head_dense") - single.pop("head_dense") == student.hidden_size**2
    assert single == pair


def test_one_formula_reads_arrays_too(student_values: dict[str, Any]) -> None:
    students = [
        TRANSFORMER.configure(**{**student_values, "vocab_size": vocab, "position_embedding_type": kind})
        for vocab, kind in ((1000, "absolute"), (2000, "relative_key"), (3000, "relative_key_query"))
    ]

    columns = ConfigurationTable.from_students(students)
    for task_shape in (TaskShape(arity=1), TaskShape(arity=2)):
        np.testing.assert_array_equal(size_bytes(columns, task_shape), [size_bytes(s, task_shape) for s in students])


@pytest.mark.parametrize("task_shape", [TaskShape(arity=1), TaskShape(arity=2)])
def test_more_of_anything_never_weighs_less(student_values: dict[str, Any], task_shape: TaskShape) -> None:
    base = size_bytes(TRANSFORMER.configure(**student_values), task_shape)
    for name in ("vocab_size", "num_hidden_layers", "intermediate_size", "max_sequence_length"):
        grown = TRANSFORMER.configure(**{**student_values, name: student_values[name] + 1})
        assert size_bytes(grown, task_shape) > base
