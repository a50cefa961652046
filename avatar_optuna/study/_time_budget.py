"""The minutes that a study may take: how many of them are used, and what a training takes of the rest.

All of it is a function of what is stored, so a run that was killed, or that goes on elsewhere, has used what was used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.schema import Job, JobResult
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import work_times
from avatar_optuna.students import Configuration

Array = npt.NDArray[np.float64]

PAUSE_S = 10.0
"""Between two pieces of work, no more than this is deciding what comes next; a longer pause is a study that stood."""
_SHRINKAGE = 1.0
"""Sum of squares, of logarithms of FLOPs, that speaks for seconds that do not depend on FLOPs."""


@dataclass(frozen=True, kw_only=True)
class TimeBudget:
    """How much of the minutes of a study is used.

    Args:
        minutes: That it may take.
        used_s: That it was at work, in seconds.
    """

    minutes: float
    used_s: float

    @classmethod
    def of(cls, storage: BaseStorage | Engine, settings: StudySettings) -> Self | None:
        """Of a stored study; None where it has no budget of minutes."""
        minutes = settings.search.budget_minutes
        if minutes is None:
            return None
        return cls(minutes=minutes, used_s=seconds_at_work(work_times(storage, settings.name)))

    @property
    def left_s(self) -> float:
        """Seconds that are left, 0 where more than all was used."""
        return max(0.0, 60 * self.minutes - self.used_s)

    def left_of_share_s(self, share: float) -> float:
        """Seconds that are left of the first share of the budget."""
        return max(0.0, 60 * self.minutes * share - self.used_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"minutes": self.minutes, "used_minutes": self.used_s / 60, "left_minutes": self.left_s / 60}

    def __str__(self) -> str:
        return f"{self.used_s / 60:.1f} of {self.minutes:g} minutes used, {self.left_s / 60:.1f} left"


def seconds_at_work(times: Iterable[tuple[datetime, datetime]], *, pause_s: float = PAUSE_S) -> float:
    """Seconds in which at least one of the pieces of work was going on, and pauses of at most `pause_s` between them.

    Args:
        times: Begin and end of each.
    """
    total, until = 0.0, None
    for begun, ended in sorted(times):
        if until is None:
            until = begun
        gap_s = (begun - until).total_seconds()
        start = begun if gap_s > pause_s else until
        if ended > start:
            total += (ended - start).total_seconds()
        until = max(until, ended)
    return total


@dataclass(frozen=True, kw_only=True)
class TrainingTime:
    """What one job took.

    Args:
        student: That it trained.
        epochs: That it trained it for, without those that it went on from.
        training_s: Of these epochs.
        seconds: Of the whole job, loading of data and teacher aside, which a worker does once.
    """

    student: Configuration
    epochs: int
    training_s: float
    seconds: float

    @property
    def epoch_s(self) -> float:
        """Seconds of an epoch."""
        return self.training_s / self.epochs


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What trainings take on the devices of a study, as its jobs, or students that were timed, show.

    Seconds of an epoch go with a power of the FLOPs of a student, of which few or like students say that it is 0.

    Args:
        task_shape: Of the task.
        times: Of at least one job.
        power: From 0 to 1.
        log_flops, log_epoch_s: Where the times have their middle.
        step_s: What a job takes besides its epochs: their median.
    """

    task_shape: TaskShape
    times: tuple[TrainingTime, ...]
    power: float
    log_flops: float
    log_epoch_s: float
    step_s: float

    @classmethod
    def fit(cls, times: Sequence[TrainingTime], task_shape: TaskShape) -> Self | None:
        """From what is known; None where no job trained an epoch."""
        times = tuple(one for one in times if one.epochs > 0 and one.training_s > 0)
        if not times:
            return None
        sizes = np.log([max(1.0, float(flops(one.student, task_shape))) for one in times])
        seconds = np.log([one.epoch_s for one in times])
        centred = sizes - sizes.mean()
        power = float(centred @ (seconds - seconds.mean()) / (centred @ centred + _SHRINKAGE))
        return cls(
            task_shape=task_shape,
            times=times,
            power=min(1.0, max(0.0, power)),
            log_flops=float(sizes.mean()),
            log_epoch_s=float(seconds.mean()),
            step_s=float(np.median([max(0.0, one.seconds - one.training_s) for one in times])),
        )

    def epoch_s(self, students: Sequence[Configuration]) -> Array:
        """Seconds of an epoch of each student: its own where it was trained, else as expected; shape (students,)."""
        own = {one.student: one.epoch_s for one in self.times}
        sizes = np.log([max(1.0, float(flops(student, self.task_shape))) for student in students])
        expected = np.exp(self.log_epoch_s + self.power * (sizes - self.log_flops))
        return np.asarray([own.get(student, value) for student, value in zip(students, expected, strict=True)])


def training_times(trials: Iterable[FrozenTrial]) -> list[TrainingTime]:
    """What the jobs that are done took."""
    known: dict[str, list[tuple[Job, JobResult]]] = {}
    for trial in trials:
        if trial.state is TrialState.COMPLETE:
            job = Job.from_trial(trial)
            known.setdefault(student_name(job), []).append((job, JobResult.from_trial(trial)))
    times = []
    for jobs in known.values():
        before = 0
        for job, result in sorted(jobs, key=lambda pair: pair[0].epochs):
            own = result.history[before:] if job.continues else result.history
            before = job.epochs
            training_s = sum(float(entry["seconds"]) for entry in own)
            student = job.hyperparameters
            seconds = result.seconds - result.loading_seconds
            times.append(TrainingTime(student=student, epochs=len(own), training_s=training_s, seconds=seconds))
    return times


def student_name(job: Job) -> str:
    """What names its student in all of its jobs, such as "sample-3" or "217"."""
    return job.key.rpartition("/")[2]
