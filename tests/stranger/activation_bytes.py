"""An objective by formula: how much memory the widest layer's activations take."""

from __future__ import annotations

from typing import Any

from avatar_optuna.costs import TaskShape
from avatar_optuna.objectives import Direction, Source
from avatar_optuna.students import StudentFamily


class ActivationBytes:
    """Float32 activations of one input at full length; of a transformer, those within a feed-forward block."""

    name = "activation_bytes"
    title = "activations"
    unit = "kB"
    scale = 1e-3
    digits = 1
    direction: Direction = "minimize"
    is_logarithmic = True
    source: Source = "formula"

    def reads(self, family: StudentFamily) -> frozenset[str]:
        return frozenset({"max_sequence_length", _width(family)})

    def formula(self, shape: Any, task_shape: TaskShape) -> Any:
        return 4 * task_shape.arity * shape.max_sequence_length * getattr(shape, _width(shape.family))


def _width(family: StudentFamily) -> str:
    return "intermediate_size" if "intermediate_size" in family.by_name else "width"


OBJECTIVE = ActivationBytes()
