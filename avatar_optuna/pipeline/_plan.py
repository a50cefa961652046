"""What a run of a study would do and take: its phases, counted, and what they take by what was measured."""

from __future__ import annotations

import math
import resource
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from optuna.trial import TrialState

from avatar_optuna.distillation import CHECKPOINT_FILE
from avatar_optuna.indicator import LearningCurves
from avatar_optuna.measurement import TimedTraining
from avatar_optuna.schema import AUDIT, COMPARISON, COST, ROUND, TEACHER, Job, StudyCost, num_rounds
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import StudySnapshot
from avatar_optuna.students import Configuration
from avatar_optuna.study import Pace, SuccessiveHalving, TimeBudget, Trainings, TrainingTime, student_name
from avatar_optuna.tasks import Task
from avatar_optuna.words import count

_TRAINED_HERE = ("pretrained", "architecture")


@dataclass(frozen=True, kw_only=True)
class PlannedPhase:
    """One phase of a run.

    Args:
        name: Such as "search".
        what: All that it does, also what is done already.
        trainings: Of students, in all; None where time or the curves decide.
        trainings_done: Of these.
        epochs: Of all trainings together; None where time decides.
        epochs_done: Of these.
        is_done: Whether nothing of it is left.
        seconds: For what is left, estimated; None where it is not.
    """

    name: str
    what: str
    trainings: int | None = None
    trainings_done: int = 0
    epochs: int | None = None
    epochs_done: int = 0
    is_done: bool = False
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """What a run would do.

    Args:
        study: Name of the study.
        is_new: Whether the database holds nothing of it.
        policy: That chooses the students.
        workers: Of the run, or one where it leaves the jobs to others.
        phases: In their order.
        budget: Minutes, used and left, where the study has a budget of time.
        epoch_seconds, step_seconds: Of a student in the mean, and of a training besides its epochs.
        estimated_from: Where these come from, as a sentence.
        student_bytes, checkpoint_bytes: Of one student's files, and of the checkpoint of one that may be gone on with.
        disk_bytes: That artifacts will take in all, estimated.
        stored_bytes: That they take now.
        host_memory_bytes: Peak of this process, which has read the data and trained the timed students; None where
            none was timed.
        device_memory_bytes: Peak of the GPU's memory in the largest of these trainings; None without a GPU.
    """

    study: str
    is_new: bool
    policy: str
    workers: int
    phases: tuple[PlannedPhase, ...]
    budget: Mapping[str, float] | None
    epoch_seconds: float
    step_seconds: float
    estimated_from: str
    student_bytes: int
    checkpoint_bytes: int
    disk_bytes: int
    stored_bytes: int
    host_memory_bytes: int | None
    device_memory_bytes: int | None

    @property
    def seconds(self) -> float:
        """Of all phases whose time is estimated."""
        return sum(phase.seconds or 0.0 for phase in self.phases)

    @property
    def not_estimated(self) -> tuple[str, ...]:
        """Names of the phases that are left and whose time is not."""
        return tuple(phase.name for phase in self.phases if not phase.is_done and phase.seconds is None)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "seconds": self.seconds, "not_estimated": list(self.not_estimated)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Planner:
    """Makes the plan of what was read.

    Args:
        students: Drawn ones, which stand for those that will be trained.
        times: Of the jobs that are done.
        timed: Trainings that were timed, where there are no such jobs.
    """

    settings: StudySettings
    task: Task
    students: Sequence[Configuration]
    snapshot: StudySnapshot | None
    budget: TimeBudget | None
    times: Sequence[TrainingTime]
    timed: Sequence[TimedTraining]
    workers: int

    def plan(self) -> DryRun:
        is_paper = self.settings.search.policy == "paper"
        trained = [self._samples(), self._front()] if is_paper else [self._policy()]
        search = [self._search()] if self.settings.search.policy in ("paper", "rounds") else []
        between = [trained[0], *search, *trained[1:]]
        is_trained = all(phase.is_done for phase in between)
        phases = (self._teacher(), *between, self._comparison(is_trained), *self._audit())
        student_bytes, checkpoint_bytes = self._file_bytes()
        stored = self._stored_bytes()
        return DryRun(
            study=self.settings.name,
            is_new=self.snapshot is None,
            policy=str(self.settings.search.policy),
            workers=self.workers,
            phases=phases,
            budget=self._budget().to_dict() if self.settings.search.budget_minutes is not None else None,
            epoch_seconds=self.epoch_s,
            step_seconds=self.pace.step_s,
            estimated_from=self._source(),
            student_bytes=student_bytes,
            checkpoint_bytes=0 if is_paper else checkpoint_bytes,
            disk_bytes=stored + self._new_bytes(trained, student_bytes, checkpoint_bytes),
            stored_bytes=stored,
            host_memory_bytes=1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if self.timed else None,
            device_memory_bytes=max((one.device_memory_bytes or 0 for one in self.timed), default=0) or None,
        )

    # What trainings take ----------------------------------------------------------------------------------------------

    @cached_property
    def pace(self) -> Pace:
        timed = [
            TrainingTime(student=one.student, epochs=1, training_s=one.epoch_s, seconds=one.epoch_s + one.step_s)
            for one in self.timed
        ]
        pace = Pace.fit(self.times or timed, self.task.shape)
        assert pace is not None
        return pace

    @cached_property
    def epoch_s(self) -> float:
        """Of an epoch of a drawn student, in the mean."""
        return float(self.pace.epoch_s(self.students).mean())

    def _seconds(self, epochs: float, trainings: float) -> float:
        return (epochs * self.epoch_s + trainings * self.pace.step_s) / self.workers

    def _source(self) -> str:
        if self.times:
            return f"what {count(len(self.times), 'job')} of the study took"
        device = "cpu" if self.timed[0].device_memory_bytes is None else "the GPU"
        return (
            f"{len(self.timed)} drawn students (from the smallest to the largest) that were trained for some steps on "
            f"{device} now, on a part of the data"
        )

    # Phases -----------------------------------------------------------------------------------------------------------

    @property
    def _attributes(self) -> Mapping[str, Any]:
        return self.snapshot.attributes if self.snapshot is not None else {}

    @cached_property
    def _jobs(self) -> list[tuple[Job, bool]]:
        """Of students: each job, and whether it is done (or failed for good)."""
        trials = (self.snapshot.jobs or ()) if self.snapshot is not None else ()
        return [(Job.from_trial(trial), trial.state.is_finished()) for trial in trials]

    def _teacher(self) -> PlannedPhase:
        teacher = self.settings.teacher
        if teacher.kind in _TRAINED_HERE:
            inputs = len(self.task.train)
            what = f"fine-tunes the teacher ({teacher.kind}) for {teacher.epochs} epochs on {inputs:,} inputs, unless "
            what += "the cache holds it; measures it"
        else:
            what = f"loads the teacher ({teacher.kind}) and measures it"
        return PlannedPhase(name="teacher", what=what, is_done=TEACHER in self._attributes)

    def _samples(self) -> PlannedPhase:
        count, epochs = self.settings.indicator.samples, self.settings.indicator.epochs
        what = f"distils {count} drawn students for {_epochs(epochs)} each, to fit the indicator"
        return self._trained("samples", what, purpose="indicator", count=count, epochs=epochs)

    def _front(self) -> PlannedPhase:
        rounds, students = self.settings.search.rounds, self.settings.distillation.students
        count, epochs = rounds * students, self.settings.distillation.epochs
        what = f"distils {students} students of each round's front at most, for {_epochs(epochs)} each"
        return self._trained("distillation", what, purpose="front", count=count, epochs=epochs)

    def _trained(self, name: str, what: str, *, purpose: str, count: int, epochs: int) -> PlannedPhase:
        done = min(count, sum(is_done and job.purpose == purpose for job, is_done in self._jobs))
        return PlannedPhase(
            name=name,
            what=what,
            trainings=count,
            trainings_done=done,
            epochs=count * epochs,
            epochs_done=done * epochs,
            is_done=done == count,
            seconds=self._seconds((count - done) * epochs, count - done),
        )

    def _policy(self) -> PlannedPhase:
        """All trainings of a policy other than the paper's."""
        asked: dict[str, int] = {}
        for job, is_done in self._jobs:
            if is_done:
                asked[student_name(job)] = max(job.epochs, asked.get(student_name(job), 0))
        trainings_done, epochs_done = sum(is_done for _, is_done in self._jobs), sum(asked.values())
        name = "students" if self.settings.search.policy == "random" else "rungs"
        if self.settings.search.budget_minutes is not None:
            left_s, full = self._budget().left_s, self.settings.rungs[-1]
            a_student = full * self.epoch_s + self.pace.step_s
            epochs = full * left_s * self.workers / a_student
            return PlannedPhase(
                name=name,
                what=f"trains students while {self.settings.search.budget_minutes:g} minutes last, time for about "
                f"{count(max(0, round(epochs)), 'more epoch')}, where a full training has {full}",
                trainings_done=trainings_done,
                epochs_done=epochs_done,
                is_done=left_s == 0,
                seconds=left_s,
            )
        total = self.settings.budget(self.settings.search.rounds)
        left = max(0, total - epochs_done)
        trainings = {"random": self._random, "successive_halving": self._halving, "rounds": self._rounds}
        what, begun = trainings[str(self.settings.search.policy)](total)
        is_done = bool(epochs_done) and left < self.settings.rungs[0]
        return PlannedPhase(
            name=name,
            what=what,
            trainings=begun,
            trainings_done=trainings_done,
            epochs=total,
            epochs_done=epochs_done,
            is_done=is_done,
            seconds=self._seconds(left, left / total * begun),
        )

    def _random(self, total: int) -> tuple[str, int]:
        full = self.settings.rungs[-1]
        return f"trains {total // full} drawn students for {_epochs(full)} each", total // full

    def _rounds(self, total: int) -> tuple[str, int]:
        """The first rung of the samples; what comes then depends on curves, so that its trainings are an estimate."""
        rungs = self.settings.rungs
        begun = min(self.settings.indicator.samples, total // rungs[0])
        full = max(0, total - begun * rungs[0]) // rungs[-1]
        count = begun + full * len(rungs)
        return (
            f"begins {begun} drawn students for {_epochs(rungs[0])} each, then trains whoever promises most to its "
            f"next rung ({', '.join(map(str, rungs))} epochs): {full} to the end at most",
            count,
        )

    def _halving(self, total: int) -> tuple[str, int]:
        """Followed to its end on curves that mean nothing: how many reach a rung does not depend on them."""
        rungs, count = self.settings.rungs, max(1, total // self.settings.rungs[0])
        epochs, counts, left = np.zeros(count, dtype=int), dict.fromkeys(rungs, 0), total
        curves = np.linspace(0.5, 0.9, count)[:, None] + np.zeros(rungs[-1])
        while True:
            known = np.where(np.arange(rungs[-1]) < epochs[:, None], curves, np.nan)
            trainings = Trainings(
                students=[self.students[0]] * count,
                curves=LearningCurves(figures=known, losses=known),
                is_lost=np.zeros(count, dtype=bool),
                costs=np.linspace(1, 2, count)[:, None],
                rungs=rungs,
                left=left,
            )
            if not (steps := SuccessiveHalving().next(trainings)):
                break
            for step in steps:
                left -= step.epochs - int(epochs[step.student])
                epochs[step.student] = step.epochs
                counts[step.epochs] += 1
        said = ", ".join(f"{number} to {_epochs(rung)}" for rung, number in counts.items() if number)
        return f"trains drawn students rung by rung: {said}", sum(counts.values())

    def _search(self) -> PlannedPhase:
        search = self.settings.search
        rounds, n_trials = num_rounds(self._attributes, search.rounds), search.n_trials
        scored = self.snapshot.scored if self.snapshot is not None else []
        done = sum(min(n_trials, sum(t.user_attrs.get(ROUND) == r for t in scored)) for r in range(rounds))
        seconds, left = None, rounds * n_trials - done
        cost = StudyCost.from_dict(self._attributes[COST]) if COST in self._attributes else None
        if cost is not None and "search" in cost.phases and scored:
            seconds = left * cost.phases["search"].seconds / len(scored)
        each = f"in each of {rounds} rounds" if rounds > 1 else "in one round"
        each += " or more, as long as time is left" if search.budget_minutes is not None else ""
        what = f"scores {n_trials:,} feasible configurations {each} ({done:,} are scored)"
        return PlannedPhase(name="search", what=what, is_done=left == 0, seconds=seconds)

    def _comparison(self, is_trained: bool) -> PlannedPhase:
        what = "times students, teacher and CodeBERT side by side on the test split"
        return PlannedPhase(
            name="measurement", what=what, is_done=is_trained and COMPARISON in self._attributes, seconds=None
        )

    def _audit(self) -> list[PlannedPhase]:
        if not self.settings.measurement.audit:
            return []
        what = "times random students: whether FLOPs stand in for latency here"
        return [PlannedPhase(name="audit", what=what, is_done=AUDIT in self._attributes)]

    def _budget(self) -> TimeBudget:
        return self.budget or TimeBudget(minutes=self.settings.search.budget_minutes or 0.0, used_s=0.0)

    # Disk -------------------------------------------------------------------------------------------------------------

    def _file_bytes(self) -> tuple[int, int]:
        """Of a student's files, and of a checkpoint beside them; medians."""
        if self.timed:
            sizes = [(one.student_bytes, one.checkpoint_bytes) for one in self.timed]
            return int(statistics.median(a for a, _ in sizes)), int(statistics.median(b for _, b in sizes))
        students, checkpoints = [], []
        for files in self._stored_files():
            checkpoint = files.get(CHECKPOINT_FILE)
            checkpoints += [int(checkpoint["size_bytes"])] if checkpoint is not None else []
            students.append(sum(int(f["size_bytes"]) for name, f in files.items() if name != CHECKPOINT_FILE))
        return int(statistics.median(students or [0])), int(statistics.median(checkpoints or [0]))

    def _stored_files(self) -> list[Mapping[str, Any]]:
        trials = (self.snapshot.jobs or ()) if self.snapshot is not None else ()
        return [t.user_attrs.get("files", {}) for t in trials if t.state is TrialState.COMPLETE]

    def _stored_bytes(self) -> int:
        return sum(int(file["size_bytes"]) for files in self._stored_files() for file in files.values())

    def _new_bytes(self, trained: Sequence[PlannedPhase], student_bytes: int, checkpoint_bytes: int) -> int:
        """Of the jobs that are left: each keeps its student, and one that stops at a rung its checkpoint."""
        total = 0.0
        for phase in trained:
            if phase.trainings is not None:
                left = phase.trainings - phase.trainings_done
            else:
                left = math.ceil((phase.seconds or 0.0) * self.workers / (self.epoch_s + self.pace.step_s))
            has_checkpoints = phase.name == "rungs"
            total += max(0, left) * (student_bytes + has_checkpoints * checkpoint_bytes)
        return int(total)


def _epochs(number: int) -> str:
    return count(number, "epoch")
