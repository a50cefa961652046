"""What a policy decides on, read from a study: its students, their curves, what they cost, and the budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.costs import TaskShape
from avatar_optuna.indicator import LearningCurves
from avatar_optuna.objectives import EFFECTIVENESS, formulas
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.schema import Job, JobResult
from avatar_optuna.students import Configuration
from avatar_optuna.study import Pace, Prices, TimeBudget, Trainings, stored_cost_models, student_name, training_times


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A student that was begun, or a candidate.

    Args:
        name: Unique in the study: the number of the search trial that proposed it, or "sample-" and a number.
        student: Its configuration.
        asked_for: Epochs that its jobs ask for.
        is_running: Whether a job of it waits or runs.
        is_lost: Whether a job of it failed for good.
        result: Of its longest job that is done.
    """

    name: str
    student: Configuration
    asked_for: int = 0
    is_running: bool = False
    is_lost: bool = False
    result: JobResult | None = None

    def after(self, trial: FrozenTrial, job: Job) -> Begun:
        """With one more of its jobs."""
        result = JobResult.from_trial(trial) if trial.state is TrialState.COMPLETE else None
        is_longer = result is not None and (self.result is None or job.epochs >= self.asked_for)
        return Begun(
            name=self.name,
            student=job.hyperparameters,
            asked_for=max(self.asked_for, job.epochs),
            is_running=self.is_running or not trial.state.is_finished(),
            is_lost=self.is_lost or trial.state is TrialState.FAIL,
            result=result if is_longer else self.result,
        )


@dataclass(frozen=True, kw_only=True)
class StoredTrainings:
    """The jobs of a study, as policies see them; each call reads the database anew.

    Args:
        workforce: Of the study.
        task_shape: Of its task.
    """

    workforce: Workforce
    task_shape: TaskShape

    def trials(self) -> list[FrozenTrial]:
        """Jobs of students, in their order."""
        return self.workforce.study.distilled.get_trials(deepcopy=False)

    def jobs(self) -> list[Job]:
        """All that were queued."""
        return [Job.from_trial(trial) for trial in self.trials()]

    def queued(self) -> list[Job]:
        """Those that wait or run."""
        return [Job.from_trial(trial) for trial in self.trials() if not trial.state.is_finished()]

    def students_in_full(self) -> int:
        """Jobs that trained a student to the end."""
        done = (trial for trial in self.trials() if trial.state is TrialState.COMPLETE)
        return sum(Job.from_trial(trial).purpose == "front" for trial in done)

    def budget(self) -> TimeBudget | None:
        """The budget of time, where the study has one."""
        return TimeBudget.of(self.workforce.study.storage, self.workforce.study.settings)

    def read(self, candidates: Sequence[Begun], round_: int) -> tuple[Trainings, list[Begun]]:
        """What the policy sees in a round, and who the students are: those begun, then candidates."""
        settings = self.workforce.study.settings
        known: dict[str, Begun] = {}
        for trial in self.trials():
            job = Job.from_trial(trial)
            name = student_name(job)
            known[name] = known.get(name, Begun(name=name, student=job.hyperparameters)).after(trial, job)
        begun = {one.student for one in known.values()}
        students = [*known.values(), *(one for one in candidates if one.student not in begun)]
        configurations = [one.student for one in students]
        left, prices = self._left(configurations, round_)
        if prices is None:
            left -= sum(one.asked_for for one in known.values())
        trainings = Trainings(
            students=configurations,
            curves=_curves(students, epochs=settings.rungs[-1], metric=settings.measurement.effectiveness),
            is_lost=np.asarray([one.is_lost for one in students]),
            costs=self._costs(configurations),
            rungs=settings.rungs,
            left=left,
            prices=prices,
            running={row: one.asked_for for row, one in enumerate(students) if one.is_running},
        )
        if prices is not None:
            trainings = replace(trainings, left=trainings.left - trainings.price_of_running)
        return trainings, students

    def _left(self, students: Sequence[Configuration], round_: int) -> tuple[float, Prices | None]:
        """What the first rounds have: epochs, those begun included; or seconds of workers that are left, and prices."""
        settings, budget = self.workforce.study.settings, self.budget()
        if budget is None:
            return settings.budget(round_ + 1), None
        workers = self.workforce.num_workers
        pace = Pace.fit(training_times(self.trials()), self.task_shape)
        left_s = budget.left_of_share_s(min(1.0, (round_ + 1) / settings.search.rounds))
        prices = Prices(
            epoch=pace.epoch_s(students) if pace is not None else np.ones(len(students)),
            step=pace.step_s if pace is not None else 0.0,
            left_s=left_s,
            workers=workers,
            is_measured=pace is not None,
        )
        return left_s * workers, prices

    def _costs(self, students: Sequence[Configuration]) -> npt.NDArray[np.float64]:
        names = [name for name in self.workforce.study.settings.search.searched_objectives if name != EFFECTIVENESS]
        known: Mapping[str, Any] = {
            **formulas(names, self.task_shape),
            **stored_cost_models(self.workforce.study),
        }
        return np.asarray([[float(known[name](student)) for name in names] for student in students])


def _curves(students: Sequence[Begun], *, epochs: int, metric: str) -> LearningCurves:
    """Figures of a metric, or balanced accuracy where a job has none of it, and losses, by epoch."""
    figures, losses = np.full((len(students), epochs), np.nan), np.full((len(students), epochs), np.nan)
    for row, one in enumerate(students):
        for place, entry in enumerate(one.result.history[:epochs] if one.result is not None else ()):
            figures[row, place] = entry["valid"].get(metric, entry["valid"]["balanced_accuracy"])
            losses[row, place] = np.nan_to_num(entry["valid"]["loss"], nan=1e3, posinf=1e3)
    return LearningCurves(figures=figures, losses=losses)
