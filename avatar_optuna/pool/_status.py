"""What the pool is doing, for people and for programs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.pool._identity import is_certainly_alive, is_certainly_gone
from avatar_optuna.schema import ATTEMPTS, FAILED, KEY, distilled_name
from avatar_optuna.storage import (
    JobDuration,
    JobQueue,
    ProgressSnapshot,
    RunningJob,
    RunRecord,
    RunRegistry,
    WorkerRecord,
    WorkerRegistry,
)

_SILENT_S = 60.0
_RATE_WINDOW_S = 600.0
_NEWEST = 50


@dataclass(frozen=True, kw_only=True)
class RunningStatus:
    """A job at work.

    Args:
        epochs: Epochs asked for; None where it is no distillation job.
        since: When this attempt began, ISO 8601 in UTC.
        attempt: How many times it was begun.
        heartbeat_age_s: Seconds since its last heartbeat.
        is_lost: Whether its worker is gone, or was not heard for a minute: another takes the job up.
    """

    number: int
    worker: str | None
    host: str | None
    device: str | None
    epoch: int
    epochs: int | None
    since: str | None
    attempt: int
    heartbeat_age_s: float
    is_lost: bool


@dataclass(frozen=True, kw_only=True)
class FailedStatus:
    """A job that failed for good.

    Args:
        key: Its key, or None if it was not enqueued by avatar_optuna.
        attempts: How many times it was begun.
    """

    number: int
    key: str | None
    reason: str
    attempts: int


@dataclass(frozen=True, kw_only=True)
class WorkerStatus:
    """A worker that is alive.

    Args:
        job: Number of the job it has, or None where it is idle.
    """

    worker: str
    host: str
    device: str
    since: str
    job: int | None


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """What the `run` of a study said last of what it does.

    Args:
        what: Such as "teacher: epochs".
        done: How much of it is done; None where nothing of it is, or it cannot be counted.
        total: Of how much; None where it cannot be counted.
        host: Its machine.
        since: When that began, ISO 8601 in UTC.
        heard_s: Seconds since it said so.
        state: "alive" where it was heard within a minute or its process is known to run, "gone" where its process is
            known to have ended without a word, else "silent": it is in a long step, or was stopped.
    """

    what: str
    done: int | None
    total: int | None
    host: str
    since: str
    heard_s: float
    state: Literal["alive", "silent", "gone"]

    @property
    def at(self) -> str:
        """What it does and how far it is, such as "teacher: epochs, 1 of 3"."""
        return self.what if self.done is None or self.total is None else f"{self.what}, {self.done:,} of {self.total:,}"


@dataclass(frozen=True, kw_only=True)
class PoolStatus:
    """The pool of one study.

    Args:
        workers: Workers that were heard within a minute and whose process is not known to be gone.
        jobs_per_minute: Jobs done in the last ten minutes by the minute, or None where none was.
        seconds_to_go: For all jobs queued and running, by the epochs of those done last; None where unknown.
        run: What its `run` does; None where none is there, or the last one ended well.
    """

    queued: int
    running: tuple[RunningStatus, ...]
    done: int
    failed: tuple[FailedStatus, ...]
    workers: tuple[WorkerStatus, ...]
    jobs_per_minute: float | None
    seconds_to_go: float | None
    run: RunStatus | None

    @property
    def is_finished(self) -> bool:
        """Whether no job waits or runs."""
        return self.queued == 0 and not self.running

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "is_finished": self.is_finished}


def pool_status(storage: BaseStorage, study_name: str) -> PoolStatus:
    """What the pool of a study is doing; an `InputError` where there is no such study."""
    queue = JobQueue(storage, distilled_name(study_name))
    counts = queue.counts()
    return _made(
        counts=counts,
        running=queue.running(),
        records=WorkerRegistry(storage, distilled_name(study_name)).workers(),
        failed=queue.failed() if counts[TrialState.FAIL] else (),
        durations=queue.durations(),
        epochs_queued=queue.epochs_queued(),
        run=RunRegistry(storage, distilled_name(study_name)).record(),
    )


def status_of(progress: ProgressSnapshot) -> PoolStatus:
    """The same of a study that was read whole."""
    jobs = progress.jobs or ()
    by_state = {state: [job for job in jobs if job.state is state] for state in TrialState}
    return _made(
        counts={state: len(own) for state, own in by_state.items()},
        running=progress.running,
        records=progress.workers,
        failed=by_state[TrialState.FAIL],
        durations=_durations(by_state[TrialState.COMPLETE]),
        epochs_queued=sum(job.user_attrs.get("epochs", 0) for job in by_state[TrialState.WAITING]),
        run=progress.run,
    )


def _made(
    *,
    counts: Mapping[TrialState, int],
    running: Sequence[RunningJob],
    records: Sequence[WorkerRecord],
    failed: Sequence[FrozenTrial],
    durations: Sequence[JobDuration],
    epochs_queued: int,
    run: RunRecord | None,
) -> PoolStatus:
    alive = [r for r in records if r.heard_s < _SILENT_S and not is_certainly_gone(r.about.get("process", {}))]
    jobs = {job.progress.get("worker"): job.number for job in running}
    return PoolStatus(
        queued=counts[TrialState.WAITING],
        running=tuple(map(_running, running)),
        done=counts[TrialState.COMPLETE],
        failed=tuple(map(_failed, failed)),
        workers=tuple(_worker(record, jobs.get(record.worker)) for record in alive),
        jobs_per_minute=_rate(durations),
        seconds_to_go=_seconds_to_go(durations, running, epochs_queued, max(len(alive), len(running))),
        run=_run(run) if run is not None else None,
    )


def _run(record: RunRecord) -> RunStatus:
    process = record.about["process"]
    state: Literal["alive", "silent", "gone"]
    if is_certainly_gone(process):
        state = "gone"
    else:
        state = "alive" if record.heard_s < _SILENT_S or is_certainly_alive(process) else "silent"
    return RunStatus(
        **{name: record.about[name] for name in ("what", "done", "total", "since")},
        host=process["host"],
        heard_s=round(record.heard_s, 1),
        state=state,
    )


def _durations(done: Sequence[FrozenTrial]) -> list[JobDuration]:
    """Of the jobs done last, newest first."""
    timed = [(job.datetime_complete, job) for job in done if job.datetime_start and job.datetime_complete]
    newest = sorted(timed, key=lambda pair: pair[0], reverse=True)[:_NEWEST]
    return [
        JobDuration(begun_utc=_utc(job.datetime_start), done_utc=_utc(end), epochs=job.user_attrs.get("epochs", 1))
        for end, job in newest
    ]


def _utc(local: datetime | None) -> datetime:
    """A naive time of a trial, which is local, as naive UTC."""
    assert local is not None
    return local.astimezone(UTC).replace(tzinfo=None)


def _running(job: RunningJob) -> RunningStatus:
    return RunningStatus(
        number=job.number,
        **{name: job.progress.get(name) for name in ("worker", "host", "device", "since")},
        epoch=job.progress.get("epoch") or 0,
        epochs=job.epochs,
        attempt=job.attempt,
        heartbeat_age_s=round(job.heartbeat_age_s, 1),
        is_lost=job.heartbeat_age_s > _SILENT_S or is_certainly_gone(job.progress.get("process", {})),
    )


def _failed(trial: FrozenTrial) -> FailedStatus:
    said = trial.user_attrs
    reason = said.get(FAILED, "failed by another program")
    return FailedStatus(number=trial.number, key=said.get(KEY), reason=reason, attempts=said.get(ATTEMPTS, 0))


def _worker(record: WorkerRecord, job: int | None) -> WorkerStatus:
    about = {name: record.about[name] for name in ("host", "device", "since")}
    return WorkerStatus(worker=record.worker, **about, job=job)


def _rate(durations: Sequence[JobDuration]) -> float | None:
    """Of the jobs done last, at most ten minutes ago, over the time that they took together."""
    now = datetime.now(UTC).replace(tzinfo=None)
    recent = [d for d in durations if (now - d.done_utc).total_seconds() < _RATE_WINDOW_S]
    if not recent:
        return None
    span_s = (now - min(d.begun_utc for d in recent)).total_seconds()
    return len(recent) / (max(span_s, 1.0) / 60.0)


def _seconds_to_go(
    durations: Sequence[JobDuration], running: Sequence[RunningJob], epochs_queued: int, workers: int
) -> float | None:
    if not workers or (not durations and (running or epochs_queued)):
        return None if running or epochs_queued else 0.0
    left = epochs_queued
    for job in running:
        left += max(job.epochs - (job.progress.get("epoch") or 0), 0) if job.epochs else 1
    if not left:
        return 0.0
    seconds = statistics.median((d.done_utc - d.begun_utc).total_seconds() / d.epochs for d in durations)
    return left * seconds / workers
