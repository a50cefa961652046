from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER


def test_the_thirteen_of_the_paper_in_its_order() -> None:
    thirteen, further = TRANSFORMER.names[:13], TRANSFORMER.names[13:]
    assert set(further) == set(TRANSFORMER.omitted), "further ones are omitted where a study does not mention them"
    assert thirteen[0] == "tokenizer"
    assert thirteen[-1] == "batch_size"


def test_round_trip_through_json(student: Configuration) -> None:
    assert TRANSFORMER.configure(**json.loads(json.dumps(student.to_dict()))) == student


def test_frozen(student: Configuration) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        student.vocab_size = 5
    with pytest.raises(TypeError):
        student.values["vocab_size"] = 5  # type: ignore[index]


def test_a_copy_is_the_same_and_equal_configurations_are_found_in_a_set(student: Configuration) -> None:
    assert copy.deepcopy(student) is student
    assert student.replace(vocab_size=1000) in {student}
    assert student.replace(vocab_size=1001) not in {student}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tokenizer", "Sentencepiece"),
        ("vocab_size", 0),
        ("vocab_size", True),
        ("vocab_size", 1000.0),
        ("vocab_size", np.int64(1000)),
        ("hidden_act", "tanh"),
        ("hidden_dropout_prob", 1.0),
        ("hidden_dropout_prob", float("nan")),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("position_embedding_type", "rotary"),
        ("num_attention_heads", 7),
    ],
)
def test_refuses_what_no_student_has(student_values: dict[str, Any], name: str, value: Any) -> None:
    with pytest.raises(InputError, match=name):
        TRANSFORMER.configure(**{**student_values, name: value})


def test_mapping_must_hold_exactly_the_thirteen(student_values: dict[str, Any]) -> None:
    del student_values["vocab_size"]
    with pytest.raises(InputError, match="missing \\['vocab_size'\\], unknown \\['vocab'\\]"):
        TRANSFORMER.configure(**{**student_values, "vocab": 1000})


def test_derived_shape(student_values: dict[str, Any]) -> None:
    shapes = {
        kind: TRANSFORMER.configure(**{**student_values, "position_embedding_type": kind})
        for kind in ("absolute", "relative_key", "relative_key_query")
    }
    assert [s.has_absolute_positions for s in shapes.values()] == [1, 0, 0]
    assert [s.num_distance_products for s in shapes.values()] == [0, 1, 2]
    assert shapes["absolute"].head_size == 12
