"""Floating-point operations of one forward pass."""

from __future__ import annotations

from typing import Any

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.objectives._kinds import Direction, FormulaObjective, Source


class Flops(FormulaObjective):
    """Shown in millions."""

    name = "flops"
    title = "computation"
    unit = "MFLOPs"
    scale = 1e-6
    digits = 1
    direction: Direction = "minimize"
    is_logarithmic = True
    source: Source = "formula"

    def formula(self, shape: Any, task_shape: TaskShape) -> Any:
        """Of the matrix products of one input at full length."""
        return flops(shape, task_shape)


OBJECTIVE: FormulaObjective = Flops()
