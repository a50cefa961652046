"""What the names of an expression mean: one expression, several readings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from avatar_optuna.costs import TaskShape, num_parameters
from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives import BUILT_IN, calibrated, formulas
from avatar_optuna.students import Reading, StudentFamily

COST_NAMES = ("size_bytes", "size_mb", "parameters", "flops")
PREDICTED_NAMES = tuple(sorted(calibrated(BUILT_IN)))
BYTES_PER_MB = 1_000_000


def whole_names(family: StudentFamily) -> frozenset[str]:
    """What an expression over a family may name that is a whole number whatever the student is."""
    whole = {spec.name for spec in family.hyperparameters if spec.is_whole}
    return frozenset({*whole, "size_bytes", "parameters", "flops", *family.quotients})


def number_names(family: StudentFamily) -> tuple[str, ...]:
    """Every number that an expression over a family may name."""
    numeric = (spec.name for spec in family.hyperparameters if not spec.is_category)
    return (*numeric, *COST_NAMES, *family.quotients, *PREDICTED_NAMES)


class ExpressionReading(Reading):
    """Reads the names of an expression, and divides as its numbers do.

    Args:
        family: Whose configurations it reads.
        task_shape: Functions an input, and labels.
        predicted: Functions of a shape for names that only a calibrated cost model gives.
    """

    task_shape: TaskShape
    predicted: Mapping[str, Callable[[Any], Any]]

    def number(self, name: str) -> Any:
        """One of `number_names`; megabytes are 1,000,000 bytes.

        Raises:
            InputError: The name needs a cost model that this study has not calibrated.
        """
        if name == "size_mb":
            return self.divided(self.number("size_bytes"), BYTES_PER_MB)
        if name == "parameters":
            return num_parameters(self, self.task_shape)
        if name in PREDICTED_NAMES:
            if name not in self.predicted:
                raise InputError(
                    f"a constraint on {name} needs a cost model calibrated on this device, and there is none"
                )
            return self.predicted[name](self)
        if name in BUILT_IN or not (name in self.family.by_name or name in self.family.quotients):
            return formulas([name], self.task_shape)[name](self)
        return getattr(self, name)

    def constant(self, value: float) -> Any:
        """A number that stands in an expression; a float stands for its decimal text."""
        raise NotImplementedError

    def divided(self, left: Any, right: Any) -> Any:
        """A quotient that need not be whole."""
        return left / right
