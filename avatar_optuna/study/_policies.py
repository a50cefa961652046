"""Which student is trained next, and how far: a function of what is stored, so that a study goes on as it would have.

A policy is asked whenever all that it asked for is done. What it sees are the students that were begun, in the order
of their jobs, and candidates that nobody has trained; what it says are students and the epochs to train them to.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.exceptions import StudyError
from avatar_optuna.indicator import CurveModel, Indicator, IndicatorUnion, LearningCurves, StudyIndicator
from avatar_optuna.pareto import CostGrid, crowding_distances, fronts
from avatar_optuna.space_union import StudySpace
from avatar_optuna.students import Configuration

Array = npt.NDArray[np.float64]

_FINISHED_BEFORE_FIT = 2
_LEVELS = (0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98)
_FACTOR = 3


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a policy asks for.

    Args:
        student: Its place among the students.
        epochs: To train it to.
    """

    student: int
    epochs: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainings:
    """What a policy sees.

    Args:
        students: Those that were begun, then candidates.
        curves: What is known of each.
        is_lost: Whose training failed for good; shape (students,).
        costs: Of each, to be minimised; shape (students, costs).
        rungs: Epochs after which a training may stop, ascending; the last is a full training.
        left: Student-epochs that may be spent.
    """

    students: Sequence[Configuration]
    curves: LearningCurves
    is_lost: npt.NDArray[np.bool_]
    costs: Array
    rungs: tuple[int, ...]
    left: int

    @property
    def epochs(self) -> npt.NDArray[np.int64]:
        """That each is trained; shape (students,)."""
        return self.curves.epochs

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """Epochs to the end of each; shape (students,)."""
        return self.rungs[-1] - self.epochs

    @property
    def finished(self) -> npt.NDArray[np.int64]:
        """Places of those that are trained to the end."""
        return np.flatnonzero(self.missing == 0)

    @property
    def is_open(self) -> npt.NDArray[np.bool_]:
        """Which can be trained further; shape (students,)."""
        return (self.missing > 0) & ~self.is_lost

    @cached_property
    def best(self) -> Array:
        """The best figure of each so far, 0 where there is none; shape (students,)."""
        return np.asarray(np.nan_to_num(self.curves.figures, nan=0.0).max(axis=1))

    @cached_property
    def grid(self) -> CostGrid:
        """Over the costs of all students."""
        return CostGrid(self.costs)

    def next_rung(self, student: int) -> int:
        """The epochs that it is trained to next."""
        return next(rung for rung in self.rungs if rung > self.epochs[student])

    def to_finish_of_each_family(self) -> list[Step]:
        """The same in the families, in their order, that have fewer than two students trained to the end."""
        for name in dict.fromkeys(student.family.name for student in self.students):
            is_own = np.asarray([student.family.name == name for student in self.students])
            if is_own[self.finished].sum() < _FINISHED_BEFORE_FIT and (steps := self.to_finish(is_own)):
                return steps
        return []

    def to_finish(self, among: npt.NDArray[np.bool_] | None = None) -> list[Step]:
        """Train to the end whoever adds most hypervolume an epoch with what it has reached, of those that can be."""
        is_able = self.is_open & (self.epochs > 0) & (self.missing <= self.left)
        able = np.flatnonzero(is_able if among is None else is_able & among)
        if not len(able):
            return []
        attained = self.grid.attained(self.finished, self.best[self.finished])
        gains = self.grid.gains(able, self.best[able], attained) / self.missing[able]
        return [Step(student=int(able[np.argmax(gains)]), epochs=self.rungs[-1])]


class Policy(Protocol):
    """Says what is trained next."""

    def next(self, trainings: Trainings) -> list[Step]:
        """Steps that can be done at once; none where nothing is left to do."""


class RandomPolicy:
    """Candidates in their order, each to the end."""

    def next(self, trainings: Trainings) -> list[Step]:
        full = trainings.rungs[-1]
        waiting = np.flatnonzero(trainings.is_open & (trainings.epochs == 0))
        return [Step(student=int(one), epochs=full) for one in waiting[: trainings.left // full]]


class SuccessiveHalving:
    """As many candidates as the budget allows; the better third of each rung goes on, by non-dominated sorting."""

    def next(self, trainings: Trainings) -> list[Step]:
        rungs, epochs = trainings.rungs, trainings.epochs
        if not (epochs > 0).any() and not trainings.is_lost.any():
            gaps = np.diff((0, *rungs))
            a_student = float((gaps / _FACTOR ** np.arange(len(rungs))).sum())
            count = max(1, int(trainings.left / a_student))
            return [Step(student=one, epochs=rungs[0]) for one in range(min(count, len(trainings.students)))]
        for rung, following in itertools.pairwise(rungs):
            reached = np.flatnonzero((epochs >= rung) | trainings.is_lost)
            if (epochs >= following).any() or not len(reached):
                continue
            alive = np.flatnonzero((epochs == rung) & ~trainings.is_lost)
            wanted = alive[_by_sorting(trainings, alive)][: max(1, -(-len(reached) // _FACTOR))]
            steps = _affordable(trainings, [Step(student=int(one), epochs=following) for one in wanted])
            if steps:
                return steps
        return trainings.to_finish()


class RoundsPolicy:
    """Ours: what promises most hypervolume for each epoch that it still needs is trained to its next rung.

    Args:
        at_once: Steps that are asked for together, each as if those before it reached what is expected of them.
        model: Fitted on the curves; None before there is one, and then students are trained to the end that it needs.
    """

    def __init__(self, model: FinalModel | None, *, at_once: int) -> None:
        self.model, self._at_once = model, at_once

    def next(self, trainings: Trainings) -> list[Step]:
        if self.model is None or trainings.left < trainings.rungs[-1]:
            return trainings.to_finish()
        grid, best = trainings.grid, trainings.best
        everyone = np.arange(len(trainings.students))
        means, figures = self.model.predict(trainings)
        attained = grid.attained(trainings.finished, best[trainings.finished])
        is_open, steps = trainings.is_open.copy(), list[Step]()
        for _ in range(self._at_once):
            promised = grid.gains(everyone, figures, attained) / np.maximum(trainings.missing, 1)
            student = int(np.argmax(np.where(is_open, promised, -1.0)))
            if not is_open[student] or promised[student] <= 0:
                break
            steps.append(Step(student=student, epochs=trainings.next_rung(student)))
            is_open[student] = False
            attained = grid.with_student(attained, student, float(means[student]))
        return _affordable(trainings, steps) or trainings.to_finish()


class FinalModel:
    """What curves say of the final effectiveness of a study's students, by family.

    Args:
        members: A fitted model for each family, by its name.
    """

    def __init__(self, members: dict[str, CurveModel]) -> None:
        self.members = members

    @classmethod
    def fit(cls, trainings: Trainings, *, space: StudySpace) -> FinalModel | None:
        """Fit on all students that were begun; None where a family has too few that are trained to the end."""
        members = {}
        for member in space.members:
            is_own = np.asarray([student.family is member.family for student in trainings.students])
            begun = np.flatnonzero(is_own & (trainings.epochs > 0))
            if np.isin(begun, trainings.finished).sum() < _FINISHED_BEFORE_FIT:
                return None
            columns = ConfigurationTable.from_students([trainings.students[one] for one in begun.tolist()])
            try:
                members[member.family.name] = CurveModel.fit(
                    columns, trainings.curves.part(begun), space=member, rungs=trainings.rungs[:-1]
                )
            except StudyError:  # fewer than it needs
                return None
        return cls(members)

    @property
    def indicator(self) -> StudyIndicator:
        """What it says of configurations that nobody has trained."""
        indicators: dict[str, Indicator] = {name: model.indicator for name, model in self.members.items()}
        return next(iter(indicators.values())) if len(indicators) == 1 else IndicatorUnion(members=indicators)

    def predict(self, trainings: Trainings) -> tuple[Array, Array]:
        """Expected final effectiveness of each student, shape (students,), and quantiles of it, (levels, students)."""
        from scipy.special import expit, ndtri

        means, stds = np.zeros(len(trainings.students)), np.zeros(len(trainings.students))
        for name, model in self.members.items():
            own = np.flatnonzero([student.family.name == name for student in trainings.students])
            if len(own):
                columns = ConfigurationTable.from_students([trainings.students[one] for one in own.tolist()])
                means[own], stds[own] = model.predict(columns, trainings.curves.part(own))
        return np.asarray(expit(means)), np.asarray(expit(means + stds * ndtri(_LEVELS)[:, None]))


def _by_sorting(trainings: Trainings, students: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Places in `students`, best first: rank, then crowding distance."""
    values = np.column_stack([-trainings.best[students], trainings.costs[students]])
    ranks, distances = fronts(values), np.zeros(len(students))
    for rank in np.unique(ranks):
        distances[ranks == rank] = crowding_distances(values[ranks == rank])
    return np.lexsort((-distances, ranks))


def _affordable(trainings: Trainings, steps: Sequence[Step]) -> list[Step]:
    """The steps in their order, those left out that what is left does not pay for."""
    left, chosen = trainings.left, []
    for step in steps:
        cost = step.epochs - int(trainings.epochs[step.student])
        if cost <= left:
            chosen.append(step)
            left -= cost
    return chosen
