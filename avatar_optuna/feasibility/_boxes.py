"""Boxes of configurations, and what interval arithmetic knows about a whole box at once.

A constraint that cannot hold at any point of a box rules out all of them in one evaluation. This is sound and never
complete: what it cannot rule out is split, or left to the solver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes
from avatar_optuna.constraints import PREDICTED_NAMES, Constraint, read_number
from avatar_optuna.feasibility._feasibility import Feasibility
from avatar_optuna.students import Divides, Reading

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_TOLERANCE = 1e-12
"""Relative: floats carry whole numbers exactly to 2^53, and what lies within their rounding beyond stays possible."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """Ranges of codes, ends included; a category is always a single code where a constraint depends on it.

    Args:
        low, high: Shape (boxes, hyperparameters).
    """

    low: Codes
    high: Codes

    def __len__(self) -> int:
        return len(self.low)

    def chosen(self, rows: Any) -> Boxes:
        """Some of the boxes."""
        return Boxes(low=self.low[rows], high=self.high[rows])

    def volumes(self) -> Array:
        """Configurations in each box; shape (boxes,)."""
        return np.asarray(np.prod(self.high - self.low + 1.0, axis=1))

    @classmethod
    def joined(cls, parts: Iterable[Boxes]) -> Boxes:
        """All boxes of the parts, at least one of which must be there."""
        listed = list(parts)
        return cls(low=np.concatenate([p.low for p in listed]), high=np.concatenate([p.high for p in listed]))

    def expanded(self, index: int, codes: npt.NDArray[np.int64]) -> Boxes:
        """Each box cut into its slices at the codes given of one hyperparameter, box after box."""
        low, high = np.repeat(self.low, len(codes), axis=0), np.repeat(self.high, len(codes), axis=0)
        low[:, index] = high[:, index] = np.tile(codes, len(self))
        return Boxes(low=low, high=high)

    def halved(self, columns: npt.NDArray[np.int64]) -> Boxes:
        """Each box cut in two across the hyperparameter, among those at these places, that is widest for its place.

        A box that is a single code in all of them stays whole.
        """
        extent = (self.high[:, columns] - self.low[:, columns]) / (self.low[:, columns] + 8.0)
        across = columns[extent.argmax(axis=1)]
        rows = np.arange(len(self))
        first, last = self.low[rows, across], self.high[rows, across]
        splits = last > first
        upper_low, lower_high = self.low.copy(), self.high.copy()
        middle = (first + last) // 2
        lower_high[rows, across] = np.where(splits, middle, last)
        upper_low[rows, across] = middle + 1
        return Boxes(
            low=np.concatenate([self.low, upper_low[splits]]),
            high=np.concatenate([lower_high, self.high[splits]]),
        )


class Interval:
    """Numbers known to lie between two ends; arithmetic keeps them between.

    Args:
        low, high: Shape (n,) or scalars.
    """

    __array_ufunc__ = None  # so that array + interval comes here

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)

    def __add__(self, other: Any) -> Interval:
        other = _interval(other)
        return Interval(self.low + other.low, self.high + other.high)

    __radd__ = __add__

    def __neg__(self) -> Interval:
        return Interval(-self.high, -self.low)

    def __sub__(self, other: Any) -> Interval:
        return self + -_interval(other)

    def __rsub__(self, other: Any) -> Interval:
        return _interval(other) + -self

    def __mul__(self, other: Any) -> Interval:
        other = _interval(other)
        corners = [a * b for a in (self.low, self.high) for b in (other.low, other.high)]
        low, high = np.minimum(corners[0], corners[1]), np.maximum(corners[0], corners[1])
        for corner in corners[2:]:
            low, high = np.minimum(low, corner), np.maximum(high, corner)
        return Interval(low, high)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Interval:
        other = _interval(other)  # above 0: the parser lets nothing else divide
        return self * Interval(1 / other.high, 1 / other.low)

    def __rtruediv__(self, other: Any) -> Interval:
        return _interval(other) / self

    def __floordiv__(self, other: Any) -> Interval:
        quotient = self / other
        slack = _TOLERANCE * np.maximum(np.abs(quotient.low), np.abs(quotient.high))
        return Interval(np.floor(quotient.low - slack), np.floor(quotient.high + slack))

    def __rfloordiv__(self, other: Any) -> Interval:
        return _interval(other) // self

    def __mod__(self, other: Any) -> Interval:
        other = _interval(other)
        same = (other.low == other.high) & (self.low // other.low == self.high // other.low)
        return Interval(np.where(same, self.low % other.low, 0.0), np.where(same, self.high % other.low, other.high))

    def __rmod__(self, other: Any) -> Interval:
        return _interval(other) % self

    def __lt__(self, other: Any) -> Possible:
        return self.__le__(other)

    def __le__(self, other: Any) -> Possible:
        other = _interval(other)
        slack = _TOLERANCE * (np.abs(self.low) + np.abs(other.high))
        certain = _TOLERANCE * (np.abs(self.high) + np.abs(other.low))
        return Possible(self.low <= other.high + slack, self.high < other.low - certain)

    def __gt__(self, other: Any) -> Possible:
        return _interval(other).__le__(self)

    def __ge__(self, other: Any) -> Possible:
        return _interval(other).__le__(self)

    def __eq__(self, other: object) -> Possible:  # type: ignore[override]
        both = (self <= other) & (self >= other)
        other = _interval(other)
        points = (self.low == self.high) & (other.low == other.high) & (self.low == other.low)
        return Possible(both.can, points & (np.abs(self.low) < 2.0**53))

    def __ne__(self, other: object) -> Possible:  # type: ignore[override]
        return (self == other) ^ True

    __hash__ = None  # type: ignore[assignment]


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


def _interval(value: Any) -> Interval:
    return value if isinstance(value, Interval) else Interval(value, value)


def _possible(value: Any) -> Possible:
    if isinstance(value, Possible):
        return value
    known = np.asarray(value, dtype=np.bool_)
    return Possible(known, known)


class BoxReading(Reading):
    """Reads the names of an expression as intervals over boxes.

    Args:
        feasibility: Gives the values behind the codes, the form of the task and the cost models.
        boxes: What is read.
    """

    def __init__(self, feasibility: Feasibility, boxes: Boxes) -> None:
        self.family = feasibility.family
        self._feasibility, self._boxes = feasibility, boxes
        self._numbers: dict[str, Any] = {}

    def number(self, name: str) -> Any:
        """A number of an expression."""
        if name not in self._numbers:
            self._numbers[name] = read_number(name, self, self._feasibility.task_shape, self._feasibility.predicted)
        return self._numbers[name]

    def is_category(self, name: str, value: str) -> Any:
        """A test of a category, all of whose boxes have a single one."""
        axis, low, _ = self._ends(name)
        return axis[low] == value

    def flag(self, name: str, value: str) -> Interval:
        is_value = self.is_category(name, value)
        return Interval(is_value, is_value)

    def value(self, name: str) -> Interval:
        axis, low, high = self._ends(name)
        return Interval(axis[low], axis[high])

    def place(self, name: str) -> Interval:
        """A single one in each box."""
        axis, low, _ = self._ends(name)
        places = np.asarray([self.family.by_name[name].choices.index(choice) for choice in axis.tolist()])[low]
        return Interval(places, places)

    def quotient(self, rule: Divides) -> Interval:
        """What is no whole number is ruled out elsewhere."""
        dividend, divisor = self.value(rule.dividend), self.value(rule.divisor)
        return Interval(dividend.low // divisor.high, dividend.high // divisor.low)

    def _ends(self, name: str) -> tuple[npt.NDArray[Any], Codes, Codes]:
        """The values of a hyperparameter, and the codes between which each box has it."""
        index = self.family.names.index(name)
        return self._feasibility.lattice.axes[index], self._boxes.low[:, index], self._boxes.high[:, index]


def judged(feasibility: Feasibility, boxes: Boxes) -> tuple[Flags, Flags]:
    """Which boxes may hold a feasible configuration, and which surely hold nothing else; shape (boxes,) each."""
    can, must = np.ones(len(boxes), dtype=np.bool_), np.ones(len(boxes), dtype=np.bool_)
    reading = BoxReading(feasibility, boxes)
    for constraint in feasibility.constraints:
        verdict = _verdict(constraint, reading)
        can &= verdict.can
        must &= verdict.must
    return can, must


def shaved(feasibility: Feasibility, boxes: Boxes, columns: npt.NDArray[np.int64]) -> Boxes:
    """Boxes without the halves, of the hyperparameters at these places, that cannot hold a feasible configuration."""
    low, high = boxes.low.copy(), boxes.high.copy()
    for index in columns:
        middle = (low[:, index] + high[:, index]) // 2
        upper = low.copy()
        upper[:, index] = np.minimum(middle + 1, high[:, index])
        keeps, _ = judged(feasibility, Boxes(low=upper, high=high))
        high[:, index] = np.where(keeps, high[:, index], middle)
        middle = (low[:, index] + high[:, index]) // 2
        lower = high.copy()
        lower[:, index] = middle
        keeps, _ = judged(feasibility, Boxes(low=low, high=lower))
        low[:, index] = np.where(keeps, low[:, index], np.minimum(middle + 1, high[:, index]))
    return Boxes(low=low, high=high)


def _verdict(constraint: Constraint, reading: BoxReading) -> Possible:
    """What the boxes say of one constraint; nothing where it needs a cost model that does not read intervals."""
    try:
        return _possible(constraint.holds(reading))
    except (TypeError, ValueError, AttributeError):
        if not constraint.names & set(PREDICTED_NAMES):
            raise
        return Possible(np.True_, np.False_)


def whole_space(feasibility: Feasibility) -> Boxes:
    """The space as one box for each combination of the categories that constraints depend on.

    Hyperparameters that no constraint depends on are left at their first code: they change nothing.
    """
    concerned, names = feasibility.costly_names(), feasibility.lattice.names
    high = np.where([name in concerned for name in names], feasibility.lattice.sizes - 1, 0)[None, :]
    boxes = Boxes(low=np.zeros_like(high), high=high)
    for index, name in enumerate(names):
        if name in concerned and not feasibility.lattice.is_numeric[index]:
            boxes = boxes.expanded(index, np.arange(feasibility.lattice.sizes[index]))
    return boxes
