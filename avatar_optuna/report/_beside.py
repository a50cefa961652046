"""Two studies side by side: what of each, and how far the student of one lies above that of the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, json_to_distribution

from avatar_optuna.metrics import difference_of_draws
from avatar_optuna.report._content import Content
from avatar_optuna.schema import Difference, ResampledFigure
from avatar_optuna.view import DistilledStudent, metric_title
from avatar_optuna.words import span

_DEFAULT_METRIC = "balanced_accuracy"
_LIMITS_BYTES = (10_000, 35_000, 100_000, 350_000, 1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)


@dataclass(frozen=True, kw_only=True)
class SizeLimit:
    """The most effective student of each study that keeps a limit; None where none does.

    Args:
        size_bytes: The limit.
        best: Of the first and of the second study.
    """

    size_bytes: int
    best: tuple[DistilledStudent | None, DistilledStudent | None]


@dataclass(frozen=True)
class Beside:
    """Two studies, finished or not.

    Args:
        first: All that a report shows of one.
        second: Of the other.
    """

    first: Content
    second: Content

    @property
    def sides(self) -> tuple[Content, Content]:
        """Both, in their order."""
        return self.first, self.second

    @property
    def names(self) -> tuple[str, str]:
        """What the two are called; two of one name come from two databases."""
        first, second = self.first.name, self.second.name
        return (first, second) if first != second else (f"{first} (first)", f"{second} (second)")

    @property
    def metric(self) -> str:
        """In which both are shown: their own where that is one, else balanced accuracy, which every student has."""
        return self.first.metric if self.first.metric == self.second.metric else _DEFAULT_METRIC

    @property
    def metric_title(self) -> str:
        """That, as people write it."""
        return metric_title(self.metric)

    @property
    def chosen(self) -> tuple[DistilledStudent | None, DistilledStudent | None]:
        """The recommended student of each, else its most effective; None where none is distilled."""
        return self.first.shown_student, self.second.shown_student

    def reached(self, student: DistilledStudent, split: str = "valid") -> float | None:
        """What a student reaches in the metric that both are shown in; None where it was not measured."""
        value = student.metrics(split).get(self.metric)
        return float(value) if value is not None else None

    @cached_property
    def is_same_data(self) -> bool | None:
        """Whether both stand on the same data; None where that was not recorded."""
        if self.first.data is None or self.second.data is None:
            return None
        return bool(self.first.data["fingerprint"] == self.second.data["fingerprint"])

    @cached_property
    def _pair(self) -> tuple[ResampledFigure, ResampledFigure] | str:
        """The same figure of both chosen students on the same test inputs, or why there is none."""
        for name, student in zip(self.names, self.chosen, strict=True):
            if student is None:
                return f"no student of {name} is distilled yet"
            if not student.is_compared:
                return (
                    f"the run of {name} has not compared student {student.job} with its teacher yet, which is "
                    "when its answers to the test inputs are kept"
                )
            if not student.resampled:
                return (
                    f"an earlier version compared student {student.job} of {name}, and did not keep its "
                    "answers to the test inputs"
                )
        own, other = (student.resampled for student in self.chosen if student is not None)
        by_metric = {figure.metric: figure for figure in other}
        shared = [(figure, by_metric[figure.metric]) for figure in own if figure.metric in by_metric]
        if not shared:
            return "the answers of the two were not kept in the same metric"
        same = [(one, two) for one, two in shared if one.inputs == two.inputs]
        return same[0] if same else "the two studies have other test inputs"

    @property
    def difference(self) -> Difference | None:
        """How far the first study's chosen student lies above the second's on the same test inputs; None: not known."""
        if isinstance(self._pair, str):
            return None
        own, other = self._pair
        value, interval = difference_of_draws((own.value, own.draws), (other.value, other.draws))
        return Difference(metric=own.metric, value=value, interval=interval)

    @property
    def why_unpaired(self) -> str:
        """Why there is no difference, as the end of a sentence; nothing where there is one."""
        return self._pair if isinstance(self._pair, str) else ""

    @property
    def limits(self) -> list[SizeLimit]:
        """The best under limits of size, those left out under which the best are the same as under the one before."""
        rows: list[SizeLimit] = []
        for size_bytes in _LIMITS_BYTES:
            best = (self._best(self.first.students, size_bytes), self._best(self.second.students, size_bytes))
            if _jobs(best) != (_jobs(rows[-1].best) if rows else [None, None]):
                rows.append(SizeLimit(size_bytes=size_bytes, best=best))
        return rows

    def _best(self, students: Sequence[DistilledStudent], size_bytes: int) -> DistilledStudent | None:
        small = [student for student in students if student.size_bytes <= size_bytes]
        return max(small, key=lambda student: (self.reached(student) or 0.0, -student.size_bytes), default=None)

    @property
    def changed_settings(self) -> list[tuple[str, str, str]]:
        """Settings in which they differ: key, of the first, of the second."""
        own, other = (dict(_flat(content.settings.to_dict())) for content in self.sides)
        keys = [key for key in dict.fromkeys((*own, *other)) if key != "name" and own.get(key) != other.get(key)]
        return [(key, own.get(key, "not set"), other.get(key, "not set")) for key in keys]


def _jobs(students: Sequence[DistilledStudent | None]) -> list[int | None]:
    return [student.job if student is not None else None for student in students]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """`("search.rounds", "2")` of nested settings."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        elif value is not None:
            yield f"{prefix}{key}", _written(value)


def _written(value: Any) -> str:
    """A setting as people read it; a distribution, which is stored as Optuna's JSON, as its choices or its ends."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if not isinstance(value, str) or not value.startswith('{"name"'):
        return str(value)
    distribution = json_to_distribution(value)
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(map(str, distribution.choices))
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    return span((distribution.low, distribution.high))
