"""Stored objects come back equal, and what is not as it was stored is refused in one line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from avatar_optuna.exceptions import StoredValueError
from avatar_optuna.indicator import Indicator
from avatar_optuna.schema import AUDIT, Audit, EstimatedPower, StudyCost, TeacherRecord
from tests.test_schema import EXAMPLE_COST, example_audit

POWER = EstimatedPower(watts=65.0, assumption="a desktop processor", source="codecarbon")


def _replaced(values: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    changed: Any = json.loads(json.dumps(values))
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return dict(changed)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("students", 1, "flops"), "many", "Expected `int`, got `str` - at `$.students[1].flops`, got 'many'"),
        (
            ("misordered_interval",),
            [0.1],
            "Expected `array` of length 2, got 1 - at `$.misordered_interval`",
        ),
        (("trusted",), 1, "Expected `bool`, got `int` - at `$.trusted`, got 1"),
        (("worst", 0), 3, "Expected `object`, got `int` - at `$.worst[0]`, got 3"),
        (("verdict",), None, "Object missing required field `verdict`, got {"),
    ],
)
def test_a_fault_is_one_line_that_says_where_and_what(
    path: tuple[str | int, ...], value: object, message: str, student_values: dict[str, Any]
) -> None:
    stored = _replaced(example_audit(student_values).to_dict(), path, value)
    with pytest.raises(StoredValueError) as caught:
        Audit.from_dict(stored, place=f"study 'demo': {AUDIT}")
    start = "study 'demo': avatar:audit must be as avatar-optuna stored it: "
    assert str(caught.value).startswith(start + message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < len(start + message) + 80


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_object_is_refused(value: object) -> None:
    for kind in (Audit, StudyCost, EstimatedPower, TeacherRecord, Indicator):
        with pytest.raises(StoredValueError, match=f"{kind.__name__} must be as .*: it must be an object, got"):
            kind.from_dict(value)


def test_a_later_version_may_add_fields() -> None:
    assert EstimatedPower.from_dict({**POWER.to_dict(), "added": [1, 2]}) == POWER


def test_an_earlier_version_had_fewer_fields(student_values: dict[str, Any]) -> None:
    stored = example_audit(student_values).to_dict()
    for student in stored["students"]:
        del student["energy_j"]
    assert {student.energy_j for student in Audit.from_dict(stored).students} == {None}
    assert StudyCost.from_dict({"teacher": {"seconds": 60.0}}).phases["teacher"].jobs == 0


def test_stored_values_are_json_as_it_is_read_back(student_values: dict[str, Any]) -> None:
    for value in (example_audit(student_values), EXAMPLE_COST, POWER):
        assert json.loads(json.dumps(value.to_dict())) == value.to_dict()
