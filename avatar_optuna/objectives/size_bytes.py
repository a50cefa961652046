"""Bytes of a student's weights on disk."""

from __future__ import annotations

from typing import Any

from avatar_optuna.costs import TaskShape, size_bytes
from avatar_optuna.objectives._kinds import Direction, FormulaObjective, Source


class SizeBytes(FormulaObjective):
    """Shown in megabytes of 1,000,000 bytes."""

    name = "size_bytes"
    title = "size"
    unit = "MB"
    scale = 1e-6
    digits = 2
    direction: Direction = "minimize"
    is_logarithmic = True
    source: Source = "formula"

    def formula(self, shape: Any, task_shape: TaskShape) -> Any:
        """Of the weights file, never less than it will weigh."""
        return size_bytes(shape, task_shape)


OBJECTIVE: FormulaObjective = SizeBytes()
