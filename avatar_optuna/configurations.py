"""Many configurations at once: columns of values, and the lattice of codes that the search moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import FloatDistribution, IntDistribution

from avatar_optuna.space import SearchSpace, values_of
from avatar_optuna.students import (
    Configuration,
    Divides,
    Hyperparameter,
    Reading,
    StudentFamily,
    UncheckedConfiguration,
)

CONTINUOUS_STEPS = 1_000
"""Steps into which a range without a step of its own is cut."""

Codes = npt.NDArray[np.int64]
"""Shape (configurations, hyperparameters): the index of each value among the values of its distribution."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfigurationTable(Reading):
    """Configurations of one family by hyperparameter: arrays of one length, read like one `Configuration`.

    Args:
        family: Whose configurations they are.
        values: By name; whole numbers int64, real numbers float64, categories arrays of text; those that may be omitted
            may be missing.
    """

    family: StudentFamily
    values: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    def value(self, name: str) -> npt.NDArray[Any]:
        if name not in self.values:
            return np.full(len(self), self.family.omitted[name])
        return np.asarray(self.values[name])

    def place(self, name: str) -> npt.NDArray[Any]:
        column, choices = self.value(name), self.family.by_name[name].choices
        return np.asarray(sum((column == choice) * index for index, choice in enumerate(choices)))

    def is_category(self, name: str, value: str) -> npt.NDArray[np.bool_]:
        return np.asarray(self.value(name) == value)

    def flag(self, name: str, value: str) -> Any:
        """An array of 1 or 0, one number where the hyperparameter is omitted."""
        if name not in self.values:
            return int(self.family.omitted[name] == value)
        return np.asarray(self.values[name] == value, dtype=np.int64)

    def quotient(self, rule: Divides) -> npt.NDArray[Any]:
        """Rounded down where the divisor does not divide."""
        return np.asarray(self.values[rule.dividend] // self.values[rule.divisor])

    @classmethod
    def from_students(
        cls, students: Sequence[UncheckedConfiguration], *, family: StudentFamily | None = None
    ) -> ConfigurationTable:
        """Columns in the order of the students, all of one family: that given, or that of the first student."""
        family = family if family is not None else students[0].family
        columns = {
            spec.name: spec.column([student.values[spec.name] for student in students])
            for spec in family.hyperparameters
        }
        return cls(family=family, values=columns)

    def students(self) -> list[Configuration]:
        """The configurations one by one, as plain values.

        Raises:
            InputError: One is no valid student.
        """
        names = tuple(self.values)
        lists = [self.values[name].tolist() for name in names]
        return [Configuration(self.family, dict(zip(names, row, strict=True))) for row in zip(*lists, strict=True)]


class Lattice:
    """The values of each hyperparameter, numbered.

    Args:
        space: Ranges without a step are cut into `CONTINUOUS_STEPS`, evenly or in the logarithm.
        points: Further values of such ranges; those outside of a range are left out.
    """

    def __init__(self, space: SearchSpace, *, points: Mapping[str, Sequence[float]] | None = None) -> None:
        self.family, self.names = space.family, space.names
        self.axes: list[npt.NDArray[Any]] = [
            _axis(spec, space, (points or {}).get(spec.name, ())) for spec in space.hyperparameters
        ]
        self.sizes: Codes = np.asarray([len(axis) for axis in self.axes], dtype=np.int64)
        self.is_continuous = [_is_continuous(space, name) for name in self.names]
        self.is_numeric: npt.NDArray[np.bool_] = np.asarray([not s.is_category for s in space.hyperparameters])

    @cached_property
    def multiples(self) -> list[tuple[int, int, Codes]]:
        """For each rule of the family: the places of divisor and dividend, and for each of their codes the code of the
        dividend's nearest multiple, or -1, in a table of shape (divisors, dividends).
        """
        return [self._nearest_multiples(rule) for rule in self.family.divides]

    def _nearest_multiples(self, rule: Divides) -> tuple[int, int, Codes]:
        divisor, dividend = self.names.index(rule.divisor), self.names.index(rule.dividend)
        divisors, dividends = self.axes[divisor], self.axes[dividend]
        table = np.full((len(divisors), len(dividends)), -1, dtype=np.int64)
        for row, number in enumerate(divisors):
            fitting = np.flatnonzero(dividends % number == 0)
            if len(fitting):
                distance = np.abs(dividends[:, None] - dividends[fitting][None, :])
                table[row] = fitting[distance.argmin(axis=1)]
        return divisor, dividend, table

    def decode(self, codes: Codes) -> ConfigurationTable:
        """Codes of shape (n, hyperparameters) to columns of length n."""
        columns = {name: self.axes[index][codes[:, index]] for index, name in enumerate(self.names)}
        return ConfigurationTable(family=self.family, values=columns)

    def encode_students(self, students: Sequence[UncheckedConfiguration]) -> Codes:
        """Codes of students, which may be none; shape (students, hyperparameters)."""
        return self.encode(ConfigurationTable.from_students(students, family=self.family))

    def encode(self, columns: ConfigurationTable) -> Codes:
        """Columns to codes, each value to the nearest one that is there (a foreign category to the first)."""
        return np.stack(
            [_nearest(axis, columns.values[name]) for name, axis in zip(self.names, self.axes, strict=True)], axis=1
        )


def _is_continuous(space: SearchSpace, name: str) -> bool:
    distribution = space.distributions[name]
    return isinstance(distribution, FloatDistribution) and distribution.step is None


def _axis(spec: Hyperparameter, space: SearchSpace, points: Sequence[float]) -> npt.NDArray[Any]:
    distribution = space.distributions[spec.name]
    if isinstance(distribution, IntDistribution):
        return np.arange(distribution.low, distribution.high + 1, distribution.step, dtype=np.int64)
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        low, high, count = distribution.low, distribution.high, CONTINUOUS_STEPS + 1
        if low == high:
            return np.asarray([low])
        axis = np.geomspace(low, high, count) if distribution.log else np.linspace(low, high, count)
        axis = np.clip(axis, low, high)
        inside = [point for point in points if low <= point <= high]
        return np.union1d(axis, np.asarray(inside)) if inside else axis
    values = values_of(distribution)
    return spec.column(values if spec.is_category else sorted(values))


def _nearest(axis: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if axis.dtype.kind == "U":
        matches = values[:, None] == axis[None, :]
        return np.asarray(matches.argmax(axis=1), dtype=np.int64)
    right = np.clip(np.searchsorted(axis, values), 0, len(axis) - 1)
    left = np.maximum(right - 1, 0)
    nearer_left = np.abs(axis[left] - values) <= np.abs(axis[right] - values)
    return np.asarray(np.where(nearer_left, left, right), dtype=np.int64)
