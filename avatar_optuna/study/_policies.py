"""Which student is trained next, and how far: a function of what is stored, so that a study goes on as it would have.

A policy is asked whenever all that it asked for is done. What it sees and what it says stand in `_trainings.py`.
"""

from __future__ import annotations

import itertools
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.exceptions import StudyError
from avatar_optuna.indicator import CurveModel, Indicator, IndicatorUnion, StudyIndicator
from avatar_optuna.pareto import crowding_distances, fronts
from avatar_optuna.space_union import StudySpace
from avatar_optuna.study._trainings import FINISHED_BEFORE_FIT, Step, Trainings

Array = npt.NDArray[np.float64]

_LEVELS = (0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.9, 0.98)
_FACTOR = 3
_LEAST_PRICE = 1e-9  # of students that are trained to the end, which nobody asks for


class Policy(Protocol):
    """Says what is trained next."""

    def next(self, trainings: Trainings) -> list[Step]:
        """Steps that can be done at once; none where nothing is left to do."""


class RandomPolicy:
    """Candidates in their order, each to the end."""

    def next(self, trainings: Trainings) -> list[Step]:
        if trainings.prices is not None and not trainings.prices.is_measured:
            return trainings.openings(least=0)
        steps = [Step(student=int(one), epochs=trainings.rungs[-1]) for one in np.flatnonzero(trainings.is_open)]
        return trainings.ahead(trainings.affordable(steps))


class SuccessiveHalving:
    """As many candidates as the budget allows; the better third of each rung goes on, by non-dominated sorting."""

    def next(self, trainings: Trainings) -> list[Step]:
        rungs, epochs = trainings.rungs, trainings.epochs
        if steps := self._begin(trainings):
            return steps
        for rung, following in itertools.pairwise(rungs):
            reached = np.flatnonzero((epochs >= rung) | trainings.is_lost)
            if (epochs >= following).any() or not len(reached):
                continue
            alive = np.flatnonzero((epochs == rung) & ~trainings.is_lost)
            wanted = alive[_by_sorting(trainings, alive)][: max(1, -(-len(reached) // _FACTOR))]
            steps = trainings.affordable([Step(student=int(one), epochs=following) for one in wanted])
            if steps:
                return steps
        return trainings.to_finish()

    def _begin(self, trainings: Trainings) -> list[Step]:
        """The first rung of as many as can be followed to the end; with a budget of time, of some at a time."""
        prices = trainings.prices
        has_begun = bool(((trainings.epochs > 0) | trainings.is_lost).any())
        if (trainings.epochs > trainings.rungs[0]).any() or (prices is None and has_begun):
            return []
        if prices is not None and not prices.is_measured:
            return trainings.openings(least=0)
        return trainings.ahead(trainings.affordable(_next_candidates(trainings)))


class AsynchronousHalving:
    """Successive halving without a wait: a student goes on as soon as it is among the best third of its rung so far.

    Where nobody can go on, the next candidate is begun, as many as the budget can follow to the end. After Li et al.,
    "A System for Massively Parallel Hyperparameter Tuning" (MLSys 2020), with non-dominated sorting in place of one
    figure.
    """

    def next(self, trainings: Trainings) -> list[Step]:
        """One step: it is asked again for every worker that is free."""
        rungs = trainings.rungs
        if trainings.prices is not None and not trainings.prices.is_measured:
            return [] if trainings.running else trainings.openings(least=0)
        for rung, following in reversed(list(itertools.pairwise(rungs))):
            steps = trainings.affordable([Step(student=one, epochs=following) for one in _promotable(trainings, rung)])
            if steps:
                return steps[:1]
        if steps := trainings.affordable(_next_candidates(trainings))[:1]:
            return steps
        return [] if trainings.running else trainings.to_finish()


class RoundsPolicy:
    """Ours: what promises most hypervolume for each epoch that it still needs is trained to its next rung.

    Args:
        at_once: Steps that are asked for together, each as if those before it reached what is expected of them.
        model: Fitted on the curves; None before there is one, and then students are trained to the end that it needs.
    """

    def __init__(self, model: FinalModel | None, *, at_once: int) -> None:
        self.model, self._at_once = model, at_once

    def next(self, trainings: Trainings) -> list[Step]:
        if self.model is None or trainings.room < trainings.full_price:
            return trainings.to_finish()
        grid, best = trainings.grid, trainings.best
        everyone = np.arange(len(trainings.students))
        means, figures = self.model.predict(trainings)
        attained = grid.attained(trainings.finished, best[trainings.finished])
        for student in trainings.running:
            attained = grid.with_student(attained, student, float(means[student]))
        is_open, steps = trainings.is_open.copy(), list[Step]()
        for _ in range(self._at_once):
            promised = grid.gains(everyone, figures, attained) / np.maximum(trainings.prices_to_end, _LEAST_PRICE)
            student = int(np.argmax(np.where(is_open, promised, -1.0)))
            if not is_open[student] or promised[student] <= 0:
                break
            steps.append(Step(student=student, epochs=trainings.next_rung(student)))
            is_open[student] = False
            attained = grid.with_student(attained, student, float(means[student]))
        return trainings.affordable(steps) or trainings.to_finish()


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
            if np.isin(begun, trainings.finished).sum() < FINISHED_BEFORE_FIT:
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


def _next_candidates(trainings: Trainings) -> list[Step]:
    """The first rung of those that are still to be begun: of all, as many as the whole budget follows to the end."""
    rungs, prices, epochs = trainings.rungs, trainings.prices, trainings.epochs
    shares = 1 / _FACTOR ** np.arange(len(rungs))
    a_student = float((np.diff((0, *rungs)) * shares).sum())
    if prices is not None:
        a_student = a_student * float(np.median(prices.epoch)) + prices.step * float(shares.sum())
    is_begun = (epochs > 0) | trainings.is_lost
    is_begun[list(trainings.running)] = True
    count = max(1, int((trainings.left + trainings.spent) / a_student)) - int(is_begun.sum())
    waiting = np.flatnonzero(trainings.is_open & (epochs == 0))[: max(0, count)]
    return [Step(student=int(one), epochs=rungs[0]) for one in waiting]


def _promotable(trainings: Trainings, rung: int) -> list[int]:
    """Who stands at a rung and is among the best third of those that reached it; the best first."""
    reached = np.flatnonzero((trainings.epochs >= rung) & ~trainings.is_lost)
    best = reached[_by_sorting(trainings, reached, epochs=rung)][: len(reached) // _FACTOR]
    is_able = trainings.is_open & (trainings.epochs == rung)
    return [int(one) for one in best if is_able[one]]


def _by_sorting(
    trainings: Trainings, students: npt.NDArray[np.int64], *, epochs: int | None = None
) -> npt.NDArray[np.int64]:
    """Places in `students`, best first (rank, then crowding distance); by their first epochs, or all."""
    best = trainings.best if epochs is None else trainings.best_after(epochs)
    values = np.column_stack([-best[students], trainings.costs[students]])
    ranks, distances = fronts(values), np.zeros(len(students))
    for rank in np.unique(ranks):
        distances[ranks == rank] = crowding_distances(values[ranks == rank])
    return np.lexsort((-distances, ranks))
