"""What a family declares of each of its hyperparameters, and of one that must divide another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution


@dataclass(frozen=True, kw_only=True)
class Hyperparameter:
    """One hyperparameter of a family.

    Args:
        name: As study files, databases and expressions write it.
        kind: "whole" and "real" are numbers; the values of a "category" are text.
        default: Where a study file does not say otherwise.
        low, high: The least and the most that a student can have, and that a study file may ask for; of a category
            unused.
        choices: Every value of a category, in the order of their places.
        in_formulas: Whether the formulas for parameters, bytes or FLOPs read it.
        in_device_terms: Whether `device_terms` reads it.
        is_logarithmic: Whether the indicator takes its logarithm.
        is_curved: Whether the indicator takes its square besides.
        exact_step: Step of the lattice on which the exact front is computed.
        omitted: What students have whose space does not mention it, so that it is then neither a parameter of trials
            nor an axis of the lattice; None where every space has it.
    """

    name: str
    kind: Literal["whole", "real", "category"]
    default: BaseDistribution
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    in_formulas: bool = False
    in_device_terms: bool = False
    is_logarithmic: bool = False
    is_curved: bool = False
    exact_step: int = 1
    omitted: Any = None

    @property
    def is_category(self) -> bool:
        """Whether its values are text, in no order that means anything."""
        return self.kind == "category"

    @property
    def is_whole(self) -> bool:
        """Whether its values are whole numbers."""
        return self.kind == "whole"

    def fault(self, value: object) -> str | None:
        """The rule that a value breaks, and the value, as the end of a sentence; None where it can be used."""
        if self.is_category:
            return None if value in self.choices else f"must be one of {', '.join(self.choices)}, got {value!r}"
        kind, types = ("a whole number", (int,)) if self.is_whole else ("a number", (int, float))
        if isinstance(value, bool) or not isinstance(value, types):
            return f"must be {kind}, got {value!r}"
        if not self.low <= value <= self.high:
            return f"must lie in [{self.low:g}, {self.high:g}], got {value!r}"
        return None

    def column(self, values: Any) -> npt.NDArray[Any]:
        """Many values as an array: whole numbers int64, real numbers float64, categories text."""
        dtypes = {"whole": np.int64, "real": np.float64, "category": np.str_}
        return np.asarray(values, dtype=dtypes[self.kind])


@dataclass(frozen=True, kw_only=True)
class Divides:
    """An implied constraint of a family: one whole number divides another.

    Args:
        divisor, dividend: Names of two whole hyperparameters.
        quotient: Name under which formulas and expressions read the dividend over the divisor.
    """

    divisor: str
    dividend: str
    quotient: str

    @property
    def text(self) -> str:
        """As an expression."""
        return f"{self.dividend} % {self.divisor} == 0"
