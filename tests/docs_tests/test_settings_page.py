"""The settings page lists exactly the keys that exist, with their types and defaults."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from avatar_optuna.constraints import number_names
from avatar_optuna.kinds import TASK_KINDS, TEACHER_KINDS
from avatar_optuna.settings._study import SECTIONS
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import FAMILIES
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.students.transformer import TRANSFORMER

PAGE = Path(__file__).parents[2] / "docs/settings.md"
_TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false"}


def _tables() -> dict[str, dict[str, list[str]]]:
    """Of each section, the rows of what exists: key to (type, default, meaning). Planned keys are below `###`."""
    tables: dict[str, dict[str, list[str]]] = {}
    section, is_planned = "", False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            is_planned = line.startswith("### ")
            heading = re.fullmatch(r"## (?:`\[|Hyperparameters of `)(\w+)\]?`.*", line)
            section = heading[1] if heading else section if is_planned else ""
        row = re.fullmatch(r"\| `(\w+)` \| (.+) \|", line)
        if row is not None and section and not is_planned:
            tables.setdefault(section, {})[row[1]] = re.split(r"(?<!\\) \| ", row[2])
    return tables


def _type(annotation: Any) -> str:
    if annotation in _TYPES:
        return _TYPES[annotation]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (types.UnionType, typing.Union):
        return _type(next(argument for argument in arguments if argument is not type(None)))
    return f"list of {_type(arguments[0])}s" if origin is tuple else "table"


def _default(value: Any) -> str:
    if value is dataclasses.MISSING:
        return "required"
    if value is None:
        return "none"
    if isinstance(value, tuple):
        return f"`[{', '.join(_default(entry).strip('`') for entry in value)}]`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{str(value).lower()}`"


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_is_described(name: str) -> None:
    section = SECTIONS[name]
    annotations = typing.get_type_hints(section)
    expected = {
        field.name: [_type(annotations[field.name]), _default(field.default)]
        for field in dataclasses.fields(section)  # type: ignore[arg-type]
        if field.name != "options"  # what a kind takes besides
    }
    described = _tables()[name]
    kinds = TEACHER_KINDS.names() if name == "teacher" else ()
    options = {option for kind in kinds for option in TEACHER_KINDS.get(kind).option_names}
    if name == "task":
        options = {option for kind in TASK_KINDS.names() for option in _task_options(kind)}
    assert set(described) == {*expected, *kinds, *options}
    assert {key: row[:2] for key, row in described.items() if key in expected} == expected
    assert all(described[kind][1] == "none" for kind in kinds)
    assert all(len(row) == 3 and row[2].endswith(".") for row in described.values())


def _task_options(name: str) -> Iterable[str]:
    """Of a kind of this package: one of another, that the tests register, says its own."""
    return TASK_KINDS.get(name).option_names if name in TASK_KINDS._built_in else ()


def _ranges(space: SearchSpace) -> dict[str, str]:
    def text(distribution: Any) -> str:
        if isinstance(distribution, CategoricalDistribution):
            return ", ".join(str(choice) for choice in distribution.choices)
        assert isinstance(distribution, IntDistribution | FloatDistribution)
        step = f", step {distribution.step}" if isinstance(distribution, FloatDistribution) else ""
        return f"{distribution.low} to {distribution.high}{step}"

    distributions = {
        spec.name: space.distributions.get(spec.name, spec.default) for spec in space.family.hyperparameters
    }
    return {name: text(distribution) for name, distribution in distributions.items()}


def test_the_space_is_the_paper_s() -> None:
    expected = {**_ranges(SearchSpace.paper()), "family": ", ".join(FAMILIES.names())}
    assert {key: row[0] for key, row in _tables()["space"].items()} == expected


def test_the_hyperparameters_of_hashed_students_are_the_family_s() -> None:
    expected = _ranges(SearchSpace.default(HASHED))
    assert {key: row[0] for key, row in _tables()["hashed"].items()} == expected


def test_every_name_of_a_constraint_is_described() -> None:
    described = set(_tables()["constraints"]) - {"expressions"}
    assert described == set(number_names(TRANSFORMER)) - set(TRANSFORMER.names)
