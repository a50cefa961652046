"""One worker: claims a job, does it, says that it lives, and leaves nothing half done."""

from __future__ import annotations

import logging
import math
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar
from uuid import uuid4

from optuna.artifacts._protocol import ArtifactStore
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from avatar_optuna.exceptions import JobLostError
from avatar_optuna.pool._identity import is_certainly_gone, this_process
from avatar_optuna.pool._job import ArtifactCheckpoints, Executor, JobContext, JobOutcome
from avatar_optuna.pool._patience import Patience, StorePatience
from avatar_optuna.pool._slots import Slot
from avatar_optuna.schema import CURVE, PROGRESS, Job, distilled_name
from avatar_optuna.storage import (
    Claim,
    JobQueue,
    Storage,
    WorkerRegistry,
    artifact_attributes,
    remove_files,
    upload_directory,
)

logger = logging.getLogger(__name__)

T = TypeVar("T")

_DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError)
_LONGEST_REASON = 500
_LONGEST_CURVE = 200


@dataclass(frozen=True, kw_only=True)
class PoolTiming:
    """How often what happens.

    Args:
        heartbeat_interval_s: How often a worker says that it lives.
        grace_period_s: How long after its last heartbeat a job is taken from its worker.
        poll_interval_s: How often an idle worker looks for jobs.
        max_losses: How many workers in a row a job may lose without finishing an epoch.
        store_patience_s: How long an artifact store that is full or read-only is waited for.
    """

    heartbeat_interval_s: float = 15.0
    grace_period_s: float = 60.0
    poll_interval_s: float = 0.5
    max_losses: int = 10
    store_patience_s: float = 600.0


class _StoppedError(BaseException):
    """The worker was told to stop while it did a job."""


class Worker:
    """Does jobs of one study until it is told to stop.

    SIGTERM and Ctrl-C hand the job back at once. A job that raises is retried by whoever comes next, `max_retries`
    times. Where the database is away, the worker waits for it; where the job was taken back meanwhile, it drops it.

    Args:
        artifacts: Where students and checkpoints go.
        max_retries: How many times a job that raised is begun again.
        until_empty: End when no job waits or runs, instead of waiting for more.
        on_claim: Called whenever a job was claimed.
    """

    def __init__(
        self,
        *,
        storage: Storage,
        study_name: str,
        execute: Executor,
        artifacts: ArtifactStore,
        slot: Slot,
        max_retries: int = 2,
        until_empty: bool = False,
        timing: PoolTiming | None = None,
        on_claim: Callable[[], object] | None = None,
    ) -> None:
        self.timing = timing or PoolTiming()
        self._execute, self._artifacts, self._slot = execute, artifacts, slot
        self._max_retries, self._until_empty = max_retries, until_empty
        self._on_claim = on_claim
        self._queue = JobQueue(storage, distilled_name(study_name))
        self._registry = WorkerRegistry(storage, distilled_name(study_name))
        process = this_process()
        self.name = f"{process['host']}-{process['pid']}-{uuid4().hex[:6]}"
        self._about = {"host": process["host"], "device": slot.name, "since": _utc_now(), "process": process}
        self._stopping = threading.Event()
        self._is_interruptible = self._is_interrupted = False
        self._main_thread: int | None = None
        self._claim: Claim | None = None
        self._lost: Claim | None = None  # the claim that was taken away last
        self._look_for_lost_at = 0.0
        self._patiently = Patience(self._stopping.is_set, self._put_off_looking)
        self._stored = StorePatience(self._stopping.is_set, self.timing.store_patience_s)

    def run(self) -> int:
        """Work until stopped (or the queue is empty); returns how many jobs were done."""
        done = 0
        with self._signals(), self._heart():
            while not self._stopping.is_set():
                try:
                    self._take_back_lost_jobs()
                    claim = self._patiently(lambda: self._queue.claim(self._progress(0)))
                    if claim is not None:
                        done += self._work(claim)
                    elif self._until_empty and not self._patiently(self._queue.is_busy):
                        break
                    else:
                        self._stopping.wait(self.timing.poll_interval_s)
                except _DATABASE_ERRORS:
                    if not self._stopping.is_set():
                        raise
        return done

    def stop(self) -> None:
        """Make `run` return after the job at hand; a signal also interrupts the job."""
        self._stopping.set()

    def interrupt(self) -> None:
        """Make `run` return soon, from another thread: a job at hand is handed back after its epoch."""
        self._is_interrupted = True
        self._stopping.set()

    def _work(self, claim: Claim) -> int:
        """Do one job; returns 1 if it is done."""
        if self._on_claim is not None:
            self._on_claim()
        self._claim = claim
        checkpoints = ArtifactCheckpoints(self._artifacts, self._queue, claim, self._patiently, self._stored)
        try:
            with tempfile.TemporaryDirectory(prefix="avatar-job-") as folder:
                self._is_interruptible = True
                if self._stopping.is_set():  # told so before it could interrupt
                    raise _StoppedError
                outcome = self._attempt(claim, checkpoints, Path(folder))
                files = self._store(outcome.directory) if outcome.directory is not None else {}
                self._is_interruptible = False
            self._finish(claim, replace(outcome.result, files=files))
            checkpoints.discard()
        except _StoppedError:
            self._is_interruptible = False
            self._patiently(lambda: self._queue.hand_back(claim))
            logger.info("job %d handed back", claim.trial.number)
        except JobLostError as error:
            self._is_interruptible = False
            logger.warning("%s", error)
        except _DATABASE_ERRORS:
            self._is_interruptible = False
            raise
        except Exception as error:
            self._is_interruptible = False
            self._fail(claim, error, checkpoints)
        else:
            return 1
        finally:
            self._is_interruptible = False
            self._claim = None
        return 0

    def _store(self, directory: Path) -> Mapping[str, Any]:
        return self._stored(lambda: upload_directory(self._artifacts, directory))

    def _attempt(self, claim: Claim, checkpoints: ArtifactCheckpoints, folder: Path) -> JobOutcome:
        job = Job.from_trial(claim.trial)
        since = _utc_now()

        curve: list[list[float]] = list(claim.trial.user_attrs.get(CURVE, ()))

        def report(epoch: int, reached: float | None = None) -> None:
            if self._lost is claim:
                raise JobLostError(claim.trial.number)
            said: dict[str, Any] = {PROGRESS: self._progress(epoch, since=since)}
            if reached is not None:
                curve[:] = extended(curve, epoch, reached)
                said[CURVE] = curve
            self._patiently(lambda: self._queue.set_attributes(claim, said))
            if self._is_interrupted:
                raise _StoppedError

        context = JobContext(
            number=claim.trial.number,
            attempt=claim.attempt,
            slot=self._slot,
            folder=folder,
            checkpoints=checkpoints,
            report=report,
        )
        outcome = self._execute(job, context)
        if any(math.isnan(value) for value in outcome.result.values()):
            raise ValueError(f"what was measured must be numbers, got {outcome.result.values()}")
        return outcome

    def _finish(self, claim: Claim, result: Any) -> None:
        try:
            self._patiently(
                lambda: self._queue.finish(
                    claim,
                    result.values(),
                    user_attributes=result.attributes(),
                    system_attributes=artifact_attributes(result.files),
                )
            )
        except JobLostError:
            remove_files(self._artifacts, result.files)
            raise

    def _fail(self, claim: Claim, error: Exception, checkpoints: ArtifactCheckpoints) -> None:
        reason = _sentence(error)
        try:
            final = self._patiently(lambda: self._queue.fail(claim, reason, max_retries=self._max_retries))
        except JobLostError as lost:
            logger.warning("%s", lost)
            return
        log = logger.error if final else logger.warning
        log("job %d failed%s: %s", claim.trial.number, "" if final else ", to be retried", reason, exc_info=error)
        if final:
            checkpoints.discard()

    def _take_back_lost_jobs(self) -> None:
        """Put jobs of dead workers back into the queue: at once where the process is known to be gone."""
        now = time.monotonic()
        if now < self._look_for_lost_at:
            return
        self._look_for_lost_at = now + min(self.timing.heartbeat_interval_s, 2.0)
        for job in self._patiently(self._queue.running):
            is_gone = is_certainly_gone(job.progress.get("process", {}))
            if is_gone or job.heartbeat_age_s > self.timing.grace_period_s:
                take_back = partial(self._queue.take_back, job, max_losses=self.timing.max_losses)
                if self._patiently(take_back):
                    logger.warning("job %d taken back from %s", job.number, job.progress.get("worker", "its worker"))

    def _put_off_looking(self) -> None:
        """After an outage others must beat again first: their heartbeats are as old as the outage."""
        self._look_for_lost_at = time.monotonic() + self.timing.heartbeat_interval_s

    def _progress(self, epoch: int, *, since: str | None = None) -> dict[str, Any]:
        return {**self._about, "worker": self.name, "epoch": epoch, "since": since or _utc_now()}

    @contextmanager
    def _heart(self) -> Iterator[None]:
        """Beat in a thread of its own: once for the worker, once for the job at hand."""
        ended = threading.Event()
        thread = threading.Thread(target=self._beat_until, args=(ended,), name="heart", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(timeout=self.timing.heartbeat_interval_s)
            try:
                self._registry.leave(self.name)
            except _DATABASE_ERRORS as error:
                logger.debug("could not say goodbye: %s", error)

    def _beat_until(self, ended: threading.Event) -> None:
        while True:
            wait_s = self.timing.heartbeat_interval_s
            claim = self._claim
            try:
                self._registry.beat(self.name, self._about)
                if claim is not None:
                    self._queue.beat(claim)
            except JobLostError:
                if claim is not None and self._claim is claim:
                    self._interrupt_lost_job(claim)
            except _DATABASE_ERRORS as error:
                logger.debug("no heartbeat: %s", error)
                wait_s = min(wait_s, 1.0)
            if ended.wait(wait_s):
                return

    def _interrupt_lost_job(self, claim: Claim) -> None:
        self._lost = claim
        if self._main_thread is not None:
            signal.pthread_kill(self._main_thread, signal.SIGUSR1)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Handle signals where this is the main thread, which alone may."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGUSR1: self._on_lost,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._main_thread = threading.get_ident()
        try:
            yield
        finally:
            self._main_thread = None
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_stop(self, *_: object) -> None:
        self._stopping.set()
        if self._is_interruptible:
            self._is_interruptible = False
            raise _StoppedError

    def _on_lost(self, *_: object) -> None:
        if self._is_interruptible and self._claim is not None and self._lost is self._claim:
            self._is_interruptible = False
            raise JobLostError(self._claim.trial.number)


def extended(curve: Sequence[Sequence[float]], epoch: int, reached: float) -> list[list[float]]:
    """A curve, as pairs of epoch and figure, with one more epoch; what is known of later ones is dropped.

    Of a long one every second epoch is left out: it is written anew after each epoch, and only looked at.
    """
    before = [list(point) for point in curve if point[0] < epoch]
    if len(before) >= _LONGEST_CURVE:
        before = before[::2]
    return [*before, [epoch, round(reached, 5)]]


def _sentence(error: Exception) -> str:
    """Why a job failed, in one line."""
    text = " ".join(str(error).split()) or "no further reason"
    return f"{type(error).__name__}: {text}"[:_LONGEST_REASON]


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
