"""What a student costs by its shape alone: parameters, bytes and forward FLOPs, as sums of named terms.

The formulas are those of the student's family (see `students`). One formula, several readings: every function here
takes a shape whose numbers are ints, NumPy arrays, intervals or Z3 terms, so that the report, the sampler and the
solver cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from avatar_optuna.exceptions import InputError


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskShape:
    """What the head of a model reads and answers.

    Args:
        arity: Functions that one input holds: 1 (vulnerability prediction) or 2 (clone detection), each of them
            encoded on its own.
        num_labels: Labels that are told apart.

    Raises:
        InputError: No head could have this shape.
    """

    arity: int
    num_labels: int = 2

    def __post_init__(self) -> None:
        if self.arity not in (1, 2):
            raise InputError(f"arity must be 1 or 2 functions an input, got {self.arity!r}")
        if self.num_labels < 2:
            raise InputError(f"num_labels must be at least 2, got {self.num_labels!r}")

    def __str__(self) -> str:
        """Such as "pairs of functions and 2 labels"."""
        return f"{'pairs of functions' if self.is_pair else 'single functions'} and {self.num_labels} labels"

    @property
    def is_pair(self) -> bool:
        """Whether an input is two functions."""
        return self.arity == 2

    @property
    def form(self) -> str:
        """ "single" or "pair": how stored files name the arity."""
        return _FORMS[self.arity]

    @classmethod
    def from_form(cls, form: str, num_labels: int = 2) -> TaskShape:
        """Read what `form` wrote.

        Raises:
            InputError: The form is unknown.
        """
        for arity, name in _FORMS.items():
            if name == form:
                return cls(arity=arity, num_labels=num_labels)
        raise InputError(f"form must be one of {', '.join(_FORMS.values())}, got {form!r}")


_FORMS = {1: "single", 2: "pair"}


class CostFormulas(Protocol):
    """The cost formulas of a family that are read here; each takes a shape of that family."""

    def parameter_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]: ...
    def size_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]: ...
    def flops_terms(self, shape: Any, task_shape: TaskShape) -> dict[str, Any]: ...


class Shape(Protocol):
    """One student, or many at once, as cost formulas read them (see `students.Reading`)."""

    @property
    def family(self) -> CostFormulas: ...


def num_parameters(shape: Shape, task_shape: TaskShape) -> Any:
    """Parameters of a student: the sum of `parameter_terms` of its family; exact."""
    return sum(shape.family.parameter_terms(shape, task_shape).values())


def size_bytes(shape: Shape, task_shape: TaskShape) -> Any:
    """Bytes of a student's `model.safetensors`: its weights, and an upper bound of the file's header."""
    return sum(shape.family.size_terms(shape, task_shape).values())


def flops(shape: Shape, task_shape: TaskShape) -> Any:
    """FLOPs of the matrix products for one input at full length: what the search minimises."""
    return sum(shape.family.flops_terms(shape, task_shape).values())
