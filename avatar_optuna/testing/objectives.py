"""What every objective must do: a name, a unit and a direction that fit, a formula that all readers can evaluate."""

from __future__ import annotations

import math
from typing import cast

import numpy as np

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.objectives import OBJECTIVES, FormulaObjective, MeasuredObjective, MeasuredStudent, ObjectiveKind
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, Configuration

_SHAPES = (TaskShape(arity=1), TaskShape(arity=2))
_DRAWN = 20


def check_objective(kind: ObjectiveKind, *, student: MeasuredStudent | None = None) -> None:
    """Check an objective against the contract.

    Args:
        kind: The entry; a formula is also evaluated by the solver, so it must be registered under its name.
        student: What a measured objective is tried on.

    Raises:
        AssertionError: The objective breaks the contract; the message says how.
    """
    assert kind.name.isidentifier(), f"the name must be usable in constraints, got {kind.name!r}"
    names = FAMILIES.get(DEFAULT_FAMILY).names
    assert kind.name not in names, f"{kind.name} is the name of a hyperparameter"
    assert kind.title, "the title must not be empty"
    assert kind.unit, "the unit must not be empty: it is the heading of the column"
    assert kind.direction in ("maximize", "minimize"), f"the direction is maximize or minimize, got {kind.direction!r}"
    assert math.isfinite(kind.scale), f"the scale must be a finite number, got {kind.scale}"
    assert kind.scale > 0, f"the scale must be above 0 so that the direction holds as shown, got {kind.scale}"
    assert isinstance(kind.digits, int), f"digits must be a whole number, got {kind.digits!r}"
    assert kind.digits >= 0, f"digits must be a whole number of at least 0, got {kind.digits!r}"
    if kind.source == "formula":
        _check_formula(cast(FormulaObjective, kind))
    elif kind.source == "measured":
        assert student is not None, "a measured objective is checked on a student: give one"
        _check_measurement(cast(MeasuredObjective, kind), student)
    else:
        assert kind.name in ("effectiveness", "latency_ms", "energy_j"), (
            f"the source must be formula or measured, got {kind.source!r}: the others belong to built-in objectives"
        )


def _check_formula(kind: FormulaObjective) -> None:
    family = FAMILIES.get(DEFAULT_FAMILY)
    others = set(kind.reads(family)) - set(family.names)
    assert not others, f"reads must name hyperparameters of the family, got {sorted(others)}"
    for task_shape in _SHAPES:
        space = SearchSpace.paper()
        judge = Feasibility(space=space, constraints=(), task_shape=task_shape)
        students = draw(judge, _DRAWN, seed=0)
        values = [float(kind.formula(student, task_shape)) for student in students]
        assert all(map(math.isfinite, values)), "the formula must give finite numbers"
        table = kind.formula(ConfigurationTable.from_students(students), task_shape)
        assert np.allclose(np.broadcast_to(np.asarray(table, dtype=np.float64), _DRAWN), values), (
            "the formula must give the same of a table of configurations as of each: use +, -, * and // alone"
        )
        _check_reads(kind, task_shape, students, values)
        _check_solver(kind, task_shape, students, values)


def _check_reads(
    kind: FormulaObjective, task_shape: TaskShape, students: list[Configuration], values: list[float]
) -> None:
    family = students[0].family
    read = set(kind.reads(family))
    for student, value, other in zip(students, values, [*students[1:], students[0]], strict=True):
        mixed = {name: (student if name in read else other).values[name] for name in family.names}
        try:
            moved = family.configure(**mixed)
        except InputError:
            continue  # such as heads that do not divide the width
        assert float(kind.formula(moved, task_shape)) == value, (
            f"the formula must depend on {', '.join(sorted(read))} alone, as its reads say"
        )


def _check_solver(
    kind: FormulaObjective, task_shape: TaskShape, students: list[Configuration], values: list[float]
) -> None:
    assert OBJECTIVES.get(kind.name) is kind, f"the objective must be registered under its name {kind.name!r}"
    median = float(np.median(values))
    judge = Feasibility(space=SearchSpace.paper(), constraints=(f"{kind.name} <= {median!r}",), task_shape=task_shape)
    for student, value in zip(students, values, strict=True):
        verdict = judge.check(student.to_dict())
        assert verdict.feasible == (value <= median), (
            f"the solver must judge {kind.name} <= {median:g} as the formula does, of {value:g} it says "
            f"{'feasible' if verdict.feasible else verdict.reason}"
        )


def _check_measurement(kind: MeasuredObjective, student: MeasuredStudent) -> None:
    value = kind.measure(student)
    assert isinstance(value, float), f"the figure must be a float, got {type(value).__name__}"
    assert math.isfinite(value), f"the figure must be finite, got {value}"
