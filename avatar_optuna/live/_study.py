"""A study at one moment while it runs: what is done, who works on what, and what is still to come."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine

from avatar_optuna.live._to_go import TimeToGo, time_to_go
from avatar_optuna.pool import PoolStatus, status_of
from avatar_optuna.schema import CURVE, KEY, Job
from avatar_optuna.storage import ProgressSnapshot, read_progress
from avatar_optuna.study import TimeBudget, student_name, training_times
from avatar_optuna.verdict import Verdict, verdict_of
from avatar_optuna.view import StudyView, view_of_progress

StudentState = Literal["waiting", "running", "done", "failed"]
StudyState = Literal["finished", "running", "quiet", "standing"]
PhaseState = Literal["done", "going", "to come", "left out"]

_SAMPLE = "indicator/"
"""Keys of the paper's samples, whose last part may also be the number of a search trial."""
_QUIET_S = 600.0
"""Without a worker and with nothing stored for so long, a study counts as standing."""


@dataclass(frozen=True, kw_only=True)
class LiveStudent:
    """A student that was queued, with all of its jobs: a promoted one has several.

    Args:
        name: "indicator/0/3" or "sample-3" of a sample, else the number of the search trial that proposed it.
        job: Number of its last job.
        is_brief: Whether that job is no full training.
        epochs: That the last job asks for.
        state: Of the last job.
        curve: (epoch, figure on validation) of every epoch that is known.
    """

    name: str
    job: int
    is_brief: bool
    epochs: int
    state: StudentState
    curve: tuple[tuple[int, float], ...]

    @property
    def trained(self) -> int:
        """Epochs that are known to be done."""
        return self.curve[-1][0] if self.curve else 0

    @property
    def settled(self) -> int:
        """Epochs that nobody will train any more: all that were asked for where the job is over."""
        return self.epochs if self.state in ("done", "failed") else self.trained


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A part of a run.

    Args:
        title: In words.
        done: How much of it is done.
        total: Of how much; None where time or curves decide.
        state: Whether it is done, goes on, is to come, or was left out though later ones have begun.
    """

    title: str
    done: int
    total: int | None
    state: PhaseState


@dataclass(frozen=True, kw_only=True)
class LiveStudy:
    """What is known of a study at one moment.

    Args:
        view: Of it, without the rounds of its search.
        pool: Its queue and its workers.
        scored: By round: how many configurations the search has scored.
        students: All that were queued, in the order of their first jobs.
        budget: How much of its minutes is used; None where it has no such budget.
        to_go: How long it still takes.
        last_utc: When anything of it was stored, or a worker last heard, naive UTC; None before the first time.
        read_utc: When it was read, naive UTC.
    """

    view: StudyView
    pool: PoolStatus
    scored: Mapping[int, int]
    students: tuple[LiveStudent, ...]
    budget: TimeBudget | None
    to_go: TimeToGo
    last_utc: datetime | None
    read_utc: datetime

    @property
    def verdict(self) -> Verdict:
        """Whether its students are any good, as far as is known."""
        return verdict_of(self.view)

    @property
    def is_finished(self) -> bool:
        """Whether a run would find nothing left to do."""
        has_audit = self.view.audit is not None or not self.view.settings.measurement.audit
        return self.verdict.is_final and has_audit

    @property
    def state(self) -> StudyState:
        """ "finished"; "running" where a worker or `run` is there; "quiet" where neither is known to be, but something
        was stored within ten minutes, unless `run` is known to have been stopped; else "standing"."""
        if self.is_finished:
            return "finished"
        run = self.pool.run.state if self.pool.run is not None else None
        if self.pool.workers or any(not job.is_lost for job in self.pool.running) or run == "alive":
            return "running"
        if run == "gone":
            return "standing"
        return "quiet" if self.quiet_s is not None and self.quiet_s < _QUIET_S else "standing"

    @property
    def quiet_s(self) -> float | None:
        """Seconds since the last sign of it."""
        return (self.read_utc - self.last_utc).total_seconds() if self.last_utc is not None else None

    @property
    def phases(self) -> list[Phase]:
        """In their order; the first that is not done goes on, as far as anything does."""
        counted = _counted(self)
        begun = [index for index, (_, done, _) in enumerate(counted) if done]
        last_begun, phases, has_going = max(begun, default=-1), list[Phase](), self.is_finished
        for index, (title, done, total) in enumerate(counted):
            state: PhaseState
            if (total is not None and done >= total) or index < last_begun or self.is_finished:
                state = "done" if done else "left out"
            else:
                state, has_going = ("to come" if has_going else "going"), True
            phases.append(Phase(title=title, done=done, total=total, state=state))
        return phases


def read_live(storage: BaseStorage | Engine, study_name: str) -> LiveStudy:
    """Read a study at this moment; the trials of its search are counted, not read.

    Args:
        storage: Opened by `open_storage` or `open_for_reading`.
        study_name: The study, without "/distilled".

    Raises:
        InputError: The database holds no such study, or one that avatar_optuna did not create.
    """
    progress = read_progress(storage, study_name)
    view = view_of_progress(progress, study_name)
    pool, jobs = status_of(progress), [job for job in progress.jobs or () if KEY in job.user_attrs]
    students, budget = live_students(jobs, view.metric), TimeBudget.of(storage, view.settings)
    return LiveStudy(
        view=view,
        pool=pool,
        scored=progress.scored,
        students=students,
        budget=budget,
        to_go=time_to_go(
            view,
            scored=sum(progress.scored.values()),
            trained={student.name: (student.is_brief, student.settled) for student in students},
            times=training_times(jobs),
            budget=budget,
            workers=max(1, len(pool.workers), len(pool.running)),
        ),
        last_utc=_last_utc(progress),
        read_utc=_now(),
    )


def live_students(jobs: Sequence[FrozenTrial], metric: str) -> tuple[LiveStudent, ...]:
    """The students of jobs, those of one student put together; the order is that of their first jobs."""
    students: dict[str, LiveStudent] = {}
    for trial in jobs:
        job = Job.from_trial(trial)
        name = job.key if job.key.startswith(_SAMPLE) else student_name(job)
        before = students.get(name)
        known = dict(before.curve) if before is not None else {}
        history = [(entry["epoch"], entry["valid"].get(metric)) for entry in trial.user_attrs.get("history", ())]
        known |= {
            int(epoch): float(reached)
            for epoch, reached in history or trial.user_attrs.get(CURVE, ())
            if reached is not None
        }
        students[name] = LiveStudent(
            name=name,
            job=trial.number,
            is_brief=job.purpose == "indicator",
            epochs=job.epochs,
            state=_STATES[trial.state],
            curve=tuple(sorted(known.items())),
        )
    return tuple(students.values())


_STATES: Mapping[TrialState, StudentState] = {
    TrialState.WAITING: "waiting",
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "done",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "failed",
}


def _counted(study: LiveStudy) -> list[tuple[str, int, int | None]]:
    """Of each phase: its title, how much of it is done, of how much."""
    view, settings = study.view, study.view.settings
    search = settings.search
    rounds = max([search.rounds, *(number + 1 for number in study.scored)])
    ended = [student for student in study.students if student.state in ("done", "failed")]
    brief, full = [s for s in ended if s.is_brief], [s for s in ended if not s.is_brief]
    several = rounds > 1
    searched = [
        (f"Search{f', round {number + 1}' if several else ''}", study.scored.get(number, 0), search.n_trials)
        for number in range(rounds)
    ]
    phases: list[tuple[str, int, int | None]] = [("Teacher measured", int(view.teacher is not None), 1)]
    if search.policy == "paper":
        students = settings.distillation.students * rounds
        phases.append(("Samples for the indicator", len(brief), settings.indicator.samples))
        phases += [*searched, ("Students distilled to the end", len(full), students)]
    else:
        phases.append(("Students begun", len(study.students), None))
        phases += searched if search.policy == "rounds" else []
        phases.append(("Students trained to the end", len(full), None))
    compared = sum(student.is_compared for student in view.students)
    phases.append(("Timed beside the teacher", compared, len(view.students) or None))
    if settings.measurement.audit:
        phases.append(("FLOPs held against time", int(view.audit is not None), 1))
    return phases


def _last_utc(progress: ProgressSnapshot) -> datetime | None:
    now = _now()
    jobs = [job.datetime_complete or job.datetime_start for job in progress.jobs or ()]
    times = [time.astimezone(UTC).replace(tzinfo=None) for time in jobs if time is not None]
    ages = [record.heard_s for record in progress.workers] + [job.heartbeat_age_s for job in progress.running]
    ages += [progress.run.heard_s] if progress.run is not None else []
    times += [now - timedelta(seconds=age) for age in ages]
    times += [progress.scored_utc] if progress.scored_utc is not None else []
    return max(times, default=None)


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
