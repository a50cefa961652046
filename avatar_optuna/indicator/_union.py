"""The indicator of a study: of one family, or one for each of several.

Each family has a regression of its own, for hyperparameters of one name mean different things in two families. What is
said of the trust in all of them together is the mean over the samples; a study's rank correlation is that within
families, and how sure it is which of two families' students is better follows from both intervals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.exceptions import StudyError
from avatar_optuna.indicator._indicator import Indicator
from avatar_optuna.space_union import StudySpace
from avatar_optuna.students import Configuration

Array = npt.NDArray[np.float64]

_ONE_SIDED_95 = 1.645


@dataclass(frozen=True, kw_only=True, eq=False)
class IndicatorUnion(Stored):
    """The fitted indicators of several families.

    Args:
        members: By the name of the family.
    """

    members: Mapping[str, Indicator]

    @classmethod
    def fit(
        cls, students: Sequence[Configuration], effectiveness: Sequence[float], *, space: StudySpace, **options: Any
    ) -> Self:
        """Fit each family on its own samples.

        Args:
            students: Configurations of the samples.
            effectiveness: What each reached, a fraction.
            space: Of the study.
            options: Further arguments of `Indicator.fit`, those with a value for each sample cut by family.

        Raises:
            StudyError: A family has too few samples.
        """
        members = {}
        for member in space.members:
            rows = [index for index, student in enumerate(students) if student.family is member.family]
            own = {name: [values[index] for index in rows] for name, values in options.items()}
            reached = [effectiveness[index] for index in rows]
            try:
                members[member.family.name] = Indicator.fit([students[i] for i in rows], reached, space=member, **own)
            except StudyError as error:
                raise StudyError(f"of the family {member.family.name}: {error}") from error
        return cls(members=members)

    def predict(self, students: Sequence[Configuration]) -> tuple[Array, Array]:
        """Predicted effectiveness and its standard deviation, as fractions; shape (students,) each."""
        means, stds = np.zeros(len(students)), np.zeros(len(students))
        for indicator, rows in self._rows(students):
            means[rows], stds[rows] = indicator.predict([students[index] for index in rows])
        return means, stds

    def rank_columns(self, columns: ConfigurationTable) -> Array:
        """Predicted effectiveness alone, of many configurations of one family; shape (n,)."""
        return self.members[columns.family.name].rank_columns(columns)

    def can_rank_neighbours(self, students: Sequence[Configuration]) -> npt.NDArray[np.bool_]:
        """For each student but the first, whether it is 95 % sure which of it and the one before is more effective."""
        return np.asarray(np.diag(self.rankable(students), 1))

    def rankable(self, students: Sequence[Configuration]) -> npt.NDArray[np.bool_]:
        """For each pair, whether it is 95 % sure which of the two is more effective; shape (students, students).

        Of two families it is where their intervals say so, whose errors are independent.
        """
        means, stds = self.predict(students)
        told = np.abs(means[:, None] - means[None, :]) >= _ONE_SIDED_95 * np.hypot(stds[:, None], stds[None, :])
        for indicator, rows in self._rows(students):
            told[np.ix_(rows, rows)] = indicator.rankable([students[index] for index in rows])
        return np.asarray(told)

    def _rows(self, students: Sequence[Configuration]) -> list[tuple[Indicator, list[int]]]:
        """Each indicator with the places of its family's students, where there are any."""
        rows = {name: [i for i, s in enumerate(students) if s.family.name == name] for name in self.members}
        return [(self.members[name], places) for name, places in rows.items() if places]

    def _mean(self, figure: Callable[[Indicator], float]) -> float:
        """Of a figure, by samples."""
        indicators = list(self.members.values())
        return float(np.average([figure(one) for one in indicators], weights=[one.num_samples for one in indicators]))

    @property
    def num_samples(self) -> int:
        """Of all families."""
        return sum(indicator.num_samples for indicator in self.members.values())

    @property
    def leave_one_out_error(self) -> float:
        """Root of the mean squared error of each sample predicted from all others of its family, as a fraction."""
        return math.sqrt(self._mean(lambda one: one.leave_one_out_error**2))

    @property
    def rank_correlation(self) -> float:
        """Mean over the families, by samples."""
        return self._mean(lambda one: one.rank_correlation)

    @property
    def coverage(self) -> float:
        """Share of the samples that lie in their 95 % interval."""
        return self._mean(lambda one: one.coverage)

    @property
    def rank_correlation_interval(self) -> tuple[float, float]:
        """Mean of the families' 95 % intervals, which is wider than the interval of the mean."""
        ends = (lambda one: one.rank_correlation_interval[0], lambda one: one.rank_correlation_interval[1])
        return self._mean(ends[0]), self._mean(ends[1])

    @property
    def ranks(self) -> bool:
        """Whether every family's does."""
        return all(indicator.ranks for indicator in self.members.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, by family."""
        return {"families": {name: indicator.to_dict() for name, indicator in self.members.items()}}

    @classmethod
    def from_dict(cls, values: Any, *, place: str | None = None) -> Self:
        """Read what `to_dict` wrote; a `StoredValueError` where it is something else."""
        families = values.get("families") if isinstance(values, Mapping) else None
        if not isinstance(families, Mapping):
            return super().from_dict(values, place=place)  # which says what is wrong
        return cls(members={name: Indicator.from_dict(own, place=place) for name, own in families.items()})


StudyIndicator = Indicator | IndicatorUnion


def indicator_kind(space: StudySpace) -> type[Indicator] | type[IndicatorUnion]:
    """What a study of a space fits and stores."""
    return Indicator if len(space.members) == 1 else IndicatorUnion


def fit_indicator(
    students: Sequence[Configuration], effectiveness: Sequence[float], *, space: StudySpace, **options: Any
) -> StudyIndicator:
    """Fit the indicator of a study; see `Indicator.fit` and `IndicatorUnion.fit`."""
    (first, *others) = space.members
    if others:
        return IndicatorUnion.fit(students, effectiveness, space=space, **options)
    return Indicator.fit(students, effectiveness, space=first, **options)
