"""The registry of objectives, and what is derived from several of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.objectives._kinds import Direction, FormulaObjective, MeasuredObjective, ObjectiveKind
from avatar_optuna.registry import Registry
from avatar_optuna.students import StudentFamily

CostFormula = Callable[[Any], Any]
"""Of a shape: a student, or columns of students."""

EFFECTIVENESS = "effectiveness"
BUILT_IN = (EFFECTIVENESS, "size_bytes", "flops", "latency_ms", "energy_j", "robustness")

OBJECTIVES: Registry[ObjectiveKind] = Registry(
    "objectives", noun="objective", built_in={name: f"avatar_optuna.objectives.{name}:OBJECTIVE" for name in BUILT_IN}
)


def directions(names: Iterable[str]) -> list[Direction]:
    """Which way each objective is better."""
    return [OBJECTIVES.get(name).direction for name in names]


def signs(names: Iterable[str]) -> npt.NDArray[np.float64]:
    """Shape (objectives,): -1 where more is better, else 1. Values times these are all minimised."""
    return direction_signs(directions(names))


def direction_signs(directions_: Iterable[str]) -> npt.NDArray[np.float64]:
    """The same of directions: "maximize" or "minimize"."""
    return np.asarray([-1.0 if direction == "maximize" else 1.0 for direction in directions_])


def searched(names: Iterable[str]) -> tuple[str, ...]:
    """The objectives that the search knows: all but those that need a distilled student."""
    return tuple(name for name in names if OBJECTIVES.get(name).source != "measured")


def measured(names: Iterable[str]) -> dict[str, MeasuredObjective]:
    """The objectives that need a distilled student, by name."""
    kinds = {name: OBJECTIVES.get(name) for name in names}
    return {name: cast(MeasuredObjective, kind) for name, kind in kinds.items() if kind.source == "measured"}


def calibrated(names: Iterable[str]) -> frozenset[str]:
    """The objectives that only a cost model calibrated on a device gives."""
    return frozenset(name for name in names if OBJECTIVES.get(name).source == "calibrated")


def formulas(names: Iterable[str], task_shape: TaskShape) -> dict[str, CostFormula]:
    """The objectives that a formula gives, by name, each as a function of a shape."""
    kinds = {name: OBJECTIVES.get(name) for name in names}
    return {
        name: partial(cast(FormulaObjective, kind).formula, task_shape=task_shape)
        for name, kind in kinds.items()
        if kind.source == "formula"
    }


def has_formula(name: str) -> bool:
    """Whether a name is an objective that a formula gives: a constraint may name it."""
    return name in OBJECTIVES.names() and OBJECTIVES.get(name).source == "formula"


def reads(names: Iterable[str], family: StudentFamily) -> frozenset[str]:
    """The hyperparameters of a family on which the formulas among these objectives depend."""
    kinds = [OBJECTIVES.get(name) for name in names]
    return frozenset().union(
        *(cast(FormulaObjective, kind).reads(family) for kind in kinds if kind.source == "formula")
    )


def written(name: str, value: float) -> str:
    """A value as people read it, without its unit: `1.09` of 1,090,000 bytes, `0.0049` of 4,880."""
    kind = OBJECTIVES.get(name)
    scaled = value * kind.scale
    for_two_figures = 1 - math.floor(math.log10(abs(scaled))) if scaled else 0
    return f"{scaled:,.{max(kind.digits, for_two_figures)}f}"
