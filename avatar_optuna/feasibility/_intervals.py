"""Interval arithmetic whose rounding is bounded: what it says of a condition is proven; else it says nothing.

Floats are as fast as arrays get, but they are not the decimals that a study file writes: 0.1 + 0.2 > 0.3. Each interval
carries a bound of the rounding behind its ends, which is 0 for whole numbers up to 2^53. A comparison within that bound
stays undecided, and is decided exactly elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.constraints import PREDICTED_NAMES, Constraint, ExpressionReading
from avatar_optuna.costs import TaskShape
from avatar_optuna.students import Divides, StudentFamily

_EXACT_TO = 2.0**53
_DIVIDES_TO = 2.0**50
"""A quotient of whole numbers up to this is never rounded up to a whole number."""

_ROUNDING = 2.0**-51
"""Relative, of one operation: four times what IEEE 754 allows, so that bounds computed in floats are bounds."""

_DIGITS_ROUNDING = 1e-12
"""Relative: a real hyperparameter is read to twelve digits (see `constraints.exact`)."""


class Interval:
    """Numbers known to lie between two ends; arithmetic keeps them between.

    Args:
        low, high: Shape (n,) or scalars; the same object where each interval is a single number.
        least, most: Below and above all of the ends.
        error: The numbers meant may lie this far outside of the ends.
        is_whole: Whether the numbers meant are whole.
    """

    __slots__ = ("error", "high", "is_whole", "least", "low", "most")
    __array_ufunc__ = None  # so that array + interval comes here

    def __init__(self, low: Any, high: Any, least: float, most: float, error: float, is_whole: bool) -> None:
        self.low, self.high, self.least, self.most, self.is_whole = low, high, least, most, is_whole
        largest = max(abs(least), abs(most))
        self.error = error if is_whole and error == 0 and largest <= _EXACT_TO else error + _ROUNDING * largest

    @classmethod
    def between(cls, low: npt.NDArray[Any], high: npt.NDArray[Any]) -> Interval:
        """Values of a hyperparameter, or flags, between ends; shape (n,) each."""
        is_whole = low.dtype.kind in "biu"
        least, most = float(low.min(initial=0)), float(high.max(initial=0))
        first = low.astype(np.float64)
        last = first if high is low else high.astype(np.float64)
        error = 0.0 if is_whole else _DIGITS_ROUNDING * max(abs(least), abs(most))
        return cls(first, last, least, most, error, is_whole)

    @property
    def is_point(self) -> bool:
        """Whether each interval is a single number."""
        return self.low is self.high

    def __add__(self, other: Any) -> Interval:
        if other is _NOTHING:  # where `sum` begins
            return self
        other = _interval(other)
        low = self.low + other.low
        high = low if self.is_point and other.is_point else self.high + other.high
        error = self.error + other.error
        return Interval(
            low, high, self.least + other.least, self.most + other.most, error, self.is_whole and other.is_whole
        )

    __radd__ = __add__

    def __neg__(self) -> Interval:
        low = -self.high
        high = low if self.is_point else -self.low
        return Interval(low, high, -self.most, -self.least, self.error, self.is_whole)

    def __sub__(self, other: Any) -> Interval:
        return self + -_interval(other)

    def __rsub__(self, other: Any) -> Interval:
        return _interval(other) + -self

    def __mul__(self, other: Any) -> Interval:
        other = _interval(other)
        if self.is_point and other.is_point:
            low = high = self.low * other.low
        elif self.least >= 0 and other.least >= 0:
            low, high = self.low * other.low, self.high * other.high
        else:
            corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
            low, high = np.minimum(corners[0], corners[1]), np.maximum(corners[0], corners[1])
            for corner in corners[2:]:
                low, high = np.minimum(low, corner), np.maximum(high, corner)
        if self.least >= 0 and other.least >= 0:
            least, most = self.least * other.least, self.most * other.most
        else:
            ends = [a * b for a in (self.least, self.most) for b in (other.least, other.most)]
            least, most = min(ends), max(ends)
        error = 0.0
        if self.error or other.error:
            largest, others = max(abs(self.least), abs(self.most)), max(abs(other.least), abs(other.most))
            error = self.error * (others + other.error) + largest * other.error
        return Interval(low, high, least, most, error, self.is_whole and other.is_whole)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Interval:
        other = _interval(other)  # above 0: the parser lets nothing else divide
        least = float(np.min(other.low, initial=math.inf)) - other.error
        if not 0 < least < math.inf:
            return Interval(self.low, self.high, self.least, self.most, math.inf, False)
        if self.is_point and other.is_point:
            low = high = self.low / other.low
        else:
            low = np.minimum(self.low / other.high, self.low / other.low)
            high = np.maximum(self.high / other.high, self.high / other.low)
        first, last = min(self.least / least, self.least / other.most), max(self.most / least, self.most / other.most)
        error = (self.error + max(abs(first), abs(last)) * other.error) / least
        return Interval(low, high, first, last, error, False)

    def __rtruediv__(self, other: Any) -> Interval:
        return _interval(other) / self

    def __floordiv__(self, other: Any) -> Interval:
        other = _interval(other)
        quotient = self / other
        if self._divides_exactly(other):
            low = np.floor(quotient.low)
            high = low if quotient.is_point else np.floor(quotient.high)
        else:
            low, high = np.floor(quotient.low - quotient.error), np.floor(quotient.high + quotient.error)
        slack = 1 + quotient.error
        return Interval(low, high, quotient.least - slack, quotient.most + slack, 0.0, True)

    def _divides_exactly(self, other: Interval) -> bool:
        """Whether rounding a quotient down in floats is rounding the exact one down."""
        is_small = max(abs(self.least), abs(self.most), other.most) <= _DIVIDES_TO
        return self.is_whole and other.is_whole and self.error == 0 == other.error and is_small

    def __rfloordiv__(self, other: Any) -> Interval:
        return _interval(other) // self

    def __mod__(self, other: Any) -> Interval:
        other = _interval(other)
        if not self._divides_exactly(other):
            low, high = np.zeros_like(other.high), other.high
        elif self.is_point and other.is_point:
            low = high = self.low - np.floor(self.low / other.low) * other.low
        else:
            same = (other.low == other.high) & (self.low // other.low == self.high // other.low)
            low = np.where(same, self.low % other.low, 0.0)
            high = np.where(same, self.high % other.high, other.high - 1)
        return Interval(low, high, 0.0, other.most, 0.0, True)

    def __rmod__(self, other: Any) -> Interval:
        return _interval(other) % self

    def _compared(self, other: Any) -> tuple[Interval, float]:
        """The other side, and how far two ends must be apart to tell which of the numbers meant is larger."""
        other = _interval(other)
        error = self.error + other.error
        if error == 0:
            return other, 0.0
        return other, 2 * error + _ROUNDING * max(abs(other.least), abs(other.most))

    def __lt__(self, other: Any) -> Possible:
        other, error = self._compared(other)
        return _known(lambda: (self.low < other.high + error, self.high < other.low - error), error)

    def __le__(self, other: Any) -> Possible:
        other, error = self._compared(other)
        return _known(lambda: (self.low <= other.high + error, self.high <= other.low - error), error)

    def __gt__(self, other: Any) -> Possible:
        return _interval(other).__lt__(self)

    def __ge__(self, other: Any) -> Possible:
        return _interval(other).__le__(self)

    def __eq__(self, other: object) -> Possible:  # type: ignore[override]
        side, error = self._compared(other)

        def ends() -> tuple[Any, Any]:
            if error == 0 and self.is_point and side.is_point:
                same = self.low == side.low
                return same, same
            can = (self.low <= side.high + error) & (self.high >= side.low - error)
            is_same = (self.low == self.high) & (side.low == side.high) & (self.low == side.low)
            return can, is_same if error == 0 else np.zeros_like(can)

        return _known(ends, error)

    def __ne__(self, other: object) -> Possible:  # type: ignore[override]
        return (self == other) ^ True

    __hash__ = None  # type: ignore[assignment]


_NOTHING = 0


@dataclass(frozen=True, eq=False)
class Possible:
    """What is known of a condition in each box.

    Args:
        can: Whether it may hold somewhere.
        must: Whether it surely holds everywhere.
    """

    can: Any
    must: Any

    __array_ufunc__ = None

    def __and__(self, other: Any) -> Possible:
        other = _possible(other)
        return Possible(self.can & other.can, self.must & other.must)

    __rand__ = __and__

    def __or__(self, other: Any) -> Possible:
        other = _possible(other)
        return Possible(self.can | other.can, self.must | other.must)

    __ror__ = __or__

    def __xor__(self, other: bool) -> Possible:
        assert other is True
        return Possible(~np.asarray(self.must), ~np.asarray(self.can))


_UNKNOWN = Possible(np.True_, np.False_)


def _known(ends: Callable[[], tuple[Any, Any]], error: float) -> Possible:
    """What a comparison tells; nothing where the numbers are too large for floats."""
    return Possible(*ends()) if math.isfinite(error) else _UNKNOWN


def _interval(value: Any) -> Interval:
    if isinstance(value, Interval):
        return value
    if isinstance(value, int | float):
        number = float(value)
        return Interval(number, number, number, number, 0.0, number.is_integer())
    array = np.asarray(value)
    return Interval.between(array, array)


def _possible(value: Any) -> Possible:
    if isinstance(value, Possible):
        return value
    known = np.asarray(value, dtype=np.bool_)
    return Possible(known, known)


Ends = Callable[[str], tuple[npt.NDArray[Any], npt.NDArray[Any]]]
"""Of a name, the lowest and the highest value in each box."""


class IntervalReading(ExpressionReading):
    """Reads the names of an expression as intervals.

    Args:
        family: Whose configurations they are.
        task_shape: Functions an input, and labels.
        predicted: Functions of a shape for names that only a calibrated cost model gives.
        ends: Of a name, the lowest and the highest value in each box, shape (boxes,) each; of a category, whose boxes
            have a single one, the same array twice.
        omitted: What the space omits, by name: the same in all students.
    """

    def __init__(
        self,
        family: StudentFamily,
        task_shape: TaskShape,
        predicted: Mapping[str, Callable[[Any], Any]],
        ends: Ends,
        omitted: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.family, self.task_shape, self.predicted, self.omitted = family, task_shape, predicted, omitted
        self._ends = ends
        self._numbers: dict[str, Any] = {}
        self._values: dict[str, Interval] = {}
        self._categories: dict[tuple[str, str], Any] = {}

    def number(self, name: str) -> Any:
        """A number of an expression."""
        if name not in self._numbers:
            self._numbers[name] = super().number(name)
        return self._numbers[name]

    def constant(self, value: float) -> Interval:
        return _interval(value)

    def is_category(self, name: str, value: str) -> Any:
        if (name, value) not in self._categories:  # comparing text is the slowest of all
            known = self.omitted[name] if name in self.omitted else self._ends(name)[0]
            self._categories[name, value] = known == value
        return self._categories[name, value]

    def flag(self, name: str, value: str) -> Any:
        is_category = self.is_category(name, value)
        return int(is_category) if name in self.omitted else _interval(is_category)

    def value(self, name: str) -> Interval:
        if name not in self._values:
            omitted = self.omitted.get(name)
            self._values[name] = Interval.between(*self._ends(name)) if omitted is None else _interval(omitted)
        return self._values[name]

    def place(self, name: str) -> Interval:
        choices = self.family.by_name[name].choices
        return _interval(sum(self.is_category(name, choice) * index for index, choice in enumerate(choices)))

    def quotient(self, rule: Divides) -> Interval:
        """At least 1; what is no whole number is ruled out elsewhere."""
        quotient = self.value(rule.dividend) // self.value(rule.divisor)
        low = np.maximum(quotient.low, 1.0)
        high = low if quotient.is_point else np.maximum(quotient.high, 1.0)
        return Interval(low, high, max(quotient.least, 1.0), max(quotient.most, 1.0), 0.0, True)


def verdict(constraint: Constraint, reading: IntervalReading) -> Possible:
    """What intervals say of one constraint; nothing where it needs a cost model that does not read intervals."""
    try:
        return _possible(constraint.holds(reading))
    except (TypeError, ValueError, AttributeError):
        if not constraint.names & set(PREDICTED_NAMES):
            raise
        return _UNKNOWN
