"""The reading of one configuration by its exact numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from avatar_optuna.constraints._reading import ExpressionReading
from avatar_optuna.costs import TaskShape
from avatar_optuna.students import Divides, StudentFamily


def exact(value: float) -> int | Fraction:
    """What a number's decimal text stands for, to twelve digits: 0.1 + 0.2 is meant to be 0.3."""
    return value if isinstance(value, int) else Fraction(f"{value:.12g}")


class Exact:
    """A rational number; a float beside it stands for its decimal text, as the solver reads it.

    Args:
        value: Whole where it can be: that is faster.
    """

    __slots__ = ("value",)

    def __init__(self, value: int | Fraction) -> None:
        self.value = value

    def __add__(self, other: Any) -> Exact:
        return Exact(self.value + _rational(other))

    def __sub__(self, other: Any) -> Exact:
        return Exact(self.value - _rational(other))

    def __rsub__(self, other: Any) -> Exact:
        return Exact(_rational(other) - self.value)

    def __mul__(self, other: Any) -> Exact:
        return Exact(self.value * _rational(other))

    def __truediv__(self, other: Any) -> Exact:
        return Exact(Fraction(self.value) / _rational(other))

    def __rtruediv__(self, other: Any) -> Exact:
        return Exact(Fraction(_rational(other)) / self.value)

    def __floordiv__(self, other: Any) -> Exact:
        return Exact(self.value // _rational(other))

    def __rfloordiv__(self, other: Any) -> Exact:
        return Exact(_rational(other) // self.value)

    def __mod__(self, other: Any) -> Exact:
        return Exact(self.value % _rational(other))

    def __rmod__(self, other: Any) -> Exact:
        return Exact(_rational(other) % self.value)

    def __neg__(self) -> Exact:
        return Exact(-self.value)

    def __abs__(self) -> Exact:
        return Exact(max(self.value, -self.value))

    def __float__(self) -> float:
        return float(self.value)

    def __lt__(self, other: Any) -> bool:
        return bool(self.value < _rational(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.value <= _rational(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self.value > _rational(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self.value >= _rational(other))

    def __eq__(self, other: object) -> bool:
        return bool(self.value == _rational(other))

    __radd__, __rmul__ = __add__, __mul__
    __hash__ = None  # type: ignore[assignment]


def _rational(number: Any) -> Any:
    if isinstance(number, Exact):
        return number.value
    return Fraction(repr(number)) if isinstance(number, float) else number


class ExactReading(ExpressionReading):
    """Reads one configuration by its exact numbers.

    Args:
        family: Whose configuration it is.
        values: Of the hyperparameters that are read.
        task_shape: Functions an input, and labels.
        predicted: Functions of a shape for names that only a calibrated cost model gives.
    """

    def __init__(
        self,
        family: StudentFamily,
        values: Mapping[str, Any],
        task_shape: TaskShape,
        predicted: Mapping[str, Callable[[Any], Any]] = MappingProxyType({}),
    ) -> None:
        self.family, self.task_shape, self.predicted = family, task_shape, predicted
        self.values = {**family.omitted, **values}

    def constant(self, value: float) -> Exact:
        return Exact(_rational(value))

    def value(self, name: str) -> Exact:
        return Exact(exact(self.values[name]))

    def place(self, name: str) -> Exact:
        return Exact(self.family.by_name[name].choices.index(self.values[name]))

    def is_category(self, name: str, value: str) -> bool:
        return bool(self.values[name] == value)

    def flag(self, name: str, value: str) -> Exact:
        return Exact(int(self.is_category(name, value)))

    def select(self, name: str, cases: Mapping[str, Callable[[], Any]]) -> Any:
        return cases[self.values[name]]()

    def quotient(self, rule: Divides) -> Exact:
        """Rounded down where the divisor does not divide, but at least 1."""
        return Exact(max(self.values[rule.dividend] // self.values[rule.divisor], 1))
