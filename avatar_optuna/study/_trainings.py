"""The students of a study as a policy sees them: how far each is trained, and what it would take to go on.

They are the students that were begun, in the order of their jobs, and candidates that nobody has trained. What a policy
says of them are steps: students, and the epochs to train them to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from avatar_optuna.indicator import LearningCurves
from avatar_optuna.pareto import CostGrid
from avatar_optuna.students import Configuration

Array = npt.NDArray[np.float64]

FINISHED_BEFORE_FIT = 2
_OPENING_SHARE = 0.25
_AHEAD_SHARE = 0.25
_RESTART_SHARE = 0.1
_TRIES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Prices:
    """What trainings cost, in seconds of one worker.

    Args:
        epoch: Of an epoch of each student; shape (students,).
        step: Of a training besides its epochs.
        left_s: Seconds that are left: what one training may take at most.
        workers: That train side by side.
        is_measured: Whether any training was timed; prices mean nothing before.
    """

    epoch: Array
    step: float
    left_s: float
    workers: int
    is_measured: bool


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
        left: Student-epochs that may be spent; with prices, seconds of workers.
        prices: Where the budget is time; None where it is student-epochs.
        running: Epochs that a student is being trained to, by its place; what they take is no longer part of `left`.
    """

    students: Sequence[Configuration]
    curves: LearningCurves
    is_lost: npt.NDArray[np.bool_]
    costs: Array
    rungs: tuple[int, ...]
    left: float
    prices: Prices | None = None
    running: Mapping[int, int] = field(default_factory=dict)

    @property
    def epochs(self) -> npt.NDArray[np.int64]:
        """That each is trained; shape (students,)."""
        return self.curves.epochs

    @property
    def missing(self) -> npt.NDArray[np.int64]:
        """Epochs to the end of each; shape (students,)."""
        return self.rungs[-1] - self.epochs

    @cached_property
    def prices_to_end(self) -> Array:
        """Of what each needs to its end, in the unit of `left`; shape (students,)."""
        return self.price(np.arange(len(self.students)), self.rungs[-1])

    def price(self, students: npt.NDArray[np.int64], epochs: int) -> Array:
        """Of training each of some students to so many epochs, in the unit of `left`; shape (n,)."""
        missing = np.maximum(epochs - self.epochs[students], 0)
        if self.prices is None:
            return missing.astype(np.float64)
        return np.asarray(missing * self.prices.epoch[students] + self.prices.step * (missing > 0))

    @property
    def room(self) -> float:
        """What one training may take, in the unit of `left`."""
        return self.left if self.prices is None else min(self.left, self.prices.left_s)

    @property
    def full_price(self) -> float:
        """Of a whole training, as of the student in the middle."""
        full = self.rungs[-1]
        return full if self.prices is None else full * float(np.median(self.prices.epoch)) + self.prices.step

    @property
    def finished(self) -> npt.NDArray[np.int64]:
        """Places of those that are trained to the end."""
        return np.flatnonzero(self.missing == 0)

    @property
    def is_open(self) -> npt.NDArray[np.bool_]:
        """Which can be trained further now; shape (students,)."""
        is_open = (self.missing > 0) & ~self.is_lost
        is_open[list(self.running)] = False
        return is_open

    @property
    def ending(self) -> list[int]:
        """Places of those that are being trained to the end."""
        return [place for place, epochs in self.running.items() if epochs == self.rungs[-1]]

    @cached_property
    def best(self) -> Array:
        """The best figure of each so far, 0 where there is none; shape (students,)."""
        return self.best_after(self.rungs[-1])

    def best_after(self, epochs: int) -> Array:
        """The best figure of each in its first epochs, 0 where there is none; shape (students,)."""
        return np.asarray(np.nan_to_num(self.curves.figures[:, :epochs], nan=0.0).max(axis=1))

    @property
    def price_of_running(self) -> float:
        """Of what is being trained, as if it began now, in the unit of `left`."""
        return sum(float(self.price(np.asarray([place]), epochs)[0]) for place, epochs in self.running.items())

    @property
    def spent(self) -> float:
        """What the trainings so far took, and what the running ones will take, in the unit of `left`.

        Jobs are counted as if each rung up to a student's last had been one.
        """
        epochs = np.where(self.is_lost, np.maximum(self.epochs, self.rungs[0]), self.epochs)
        for place, asked in self.running.items():
            epochs[place] = asked
        if self.prices is None:
            return float(epochs.sum())
        jobs = (epochs[:, None] >= np.asarray(self.rungs)).sum(axis=1)
        return float((jobs * self.prices.step + epochs * self.prices.epoch).sum())

    @cached_property
    def grid(self) -> CostGrid:
        """Over the costs of all students."""
        return CostGrid(self.costs)

    def next_rung(self, student: int) -> int:
        """The epochs that it is trained to next.

        Whoever stops at a rung and goes on has to be begun anew: it stops only where this takes a small part of what
        is left to train then.
        """
        full = self.rungs[-1]
        rung = next(rung for rung in self.rungs if rung > self.epochs[student])
        if self.prices is None or not self.prices.is_measured:
            return rung
        return rung if self.prices.step <= _RESTART_SHARE * (full - rung) * self.prices.epoch[student] else full

    def to_finish_of_each_family(self) -> list[Step]:
        """The same in the families, in their order, that have fewer than two students trained to the end."""
        for name in dict.fromkeys(student.family.name for student in self.students):
            is_own = np.asarray([student.family.name == name for student in self.students])
            num_ended = is_own[self.finished].sum() + is_own[self.ending].sum()
            if num_ended < FINISHED_BEFORE_FIT and (steps := self.to_finish(is_own)):
                return steps
        return []

    def to_finish(self, among: npt.NDArray[np.bool_] | None = None) -> list[Step]:
        """Train to the end whoever adds most hypervolume an epoch with what it has reached, of those that can be."""
        is_able = self.is_open & (self.epochs > 0) & (self.prices_to_end <= self.room)
        able = np.flatnonzero(is_able if among is None else is_able & among)
        if not len(able):
            return []
        ended = [*self.finished.tolist(), *self.ending]
        attained = self.grid.attained(ended, self.best[ended])
        gains = self.grid.gains(able, self.best[able], attained) / self.prices_to_end[able]
        return [Step(student=int(able[np.argmax(gains)]), epochs=self.rungs[-1])]

    def affordable(self, steps: Sequence[Step]) -> list[Step]:
        """The steps in their order, those left out that what is left does not pay for."""
        left, chosen = self.left, []
        for step in steps:
            price = float(self.price(np.asarray([step.student]), step.epochs)[0])
            if price <= min(left, self.room):
                chosen.append(step)
                left -= price
        return chosen

    def ahead(self, steps: Sequence[Step]) -> list[Step]:
        """The first of the steps: as many as may be queued before the next look at the time.

        Those that begin at once, and others while all of them take a quarter of what is left at most; all of them where
        the budget is no time.
        """
        if self.prices is None:
            return list(steps)
        chosen, total = list[Step](), 0.0
        for step in steps:
            total += float(self.price(np.asarray([step.student]), step.epochs)[0])
            is_within = self.prices.is_measured and total <= _AHEAD_SHARE * self.left
            if len(chosen) >= self.prices.workers and not is_within:
                break
            chosen.append(step)
        return chosen

    def openings(self, *, least: int) -> list[Step]:
        """The first rung of candidates in their order; none once a student is trained further.

        With a budget of epochs, of as many as it pays for, at once. With one of time, of those that a quarter of it
        pays for, or of the least, as long as one of them can be trained to its end afterwards: of one for each worker
        first, which say what a training takes.

        Args:
            least: How many are begun all the same.
        """
        first, begun = self.rungs[0], np.flatnonzero((self.epochs > 0) | self.is_lost)
        if (self.epochs > first).any() or (self.prices is None and len(begun)):
            return []
        waiting = np.flatnonzero(self.is_open & (self.epochs == 0))
        steps = [Step(student=int(one), epochs=self.next_rung(int(one))) for one in waiting]
        if self.prices is None:
            return self.affordable(steps)
        if not self.prices.is_measured:
            return self.ahead(steps) if self.left > 0 and len(begun) < _TRIES * self.prices.workers else []
        spent = float(len(begun) * self.prices.step + first * self.prices.epoch[begun].sum())
        to_end = self.prices_to_end[begun[self.is_open[begun]]]
        room, chosen = self.left - float(min(to_end, default=0.0)), list[Step]()
        for count, step in enumerate(self.affordable(steps), start=len(begun)):
            price = float(self.price(np.asarray([step.student]), step.epochs)[0])
            spent, room = spent + price, room - price
            if room < 0 or (count >= least and spent > _OPENING_SHARE * (self.left + spent)):
                break
            chosen.append(step)
        return self.ahead(chosen)
