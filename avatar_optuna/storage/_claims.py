"""Jobs in Optuna's tables: a WAITING trial is claimed by one worker, and goes back, finishes or fails.

A retried job is the same trial, RUNNING set back to WAITING, so a job can neither be lost nor exist twice. The number
of times a job was begun fences it: whoever writes must hold the latest attempt, so a worker that comes back late
changes nothing. Every write is one transaction that locks the trial's row, or the whole database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Engine, and_, exists, func, literal_column, or_, select, update

from avatar_optuna.exceptions import JobLostError
from avatar_optuna.schema import ATTEMPTS, CHECKPOINT, CURVE, EARLIER, ERRORS, FAILED, LOSSES, PROGRESS
from avatar_optuna.storage._attributes import delete_attribute, get_attributes, set_attributes
from avatar_optuna.storage._database import engine_of, reading, study_id_of
from avatar_optuna.storage._tables import (
    TRIAL_HEARTBEATS,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
)
from avatar_optuna.storage._trial_writer import value_rows
from avatar_optuna.storage._trials import read_trials
from avatar_optuna.storage.dialects import dialect_of

# The epochs that a trial asks for, as JSON.
_EPOCHS = select(TRIAL_USER_ATTRIBUTES.c.value_json).where(
    TRIAL_USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, TRIAL_USER_ATTRIBUTES.c.key == "epochs"
)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The right to work on a job.

    Args:
        trial: The job as it stood when it was claimed.
        attempt: How many times it has been begun, this time included.
    """

    trial: FrozenTrial
    attempt: int

    @property
    def trial_id(self) -> int:
        """The trial's id in the database."""
        return self.trial._trial_id


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A job that some worker holds.

    Args:
        trial_id: The trial's id in the database.
        number: The trial's number.
        attempt: How many times it has been begun.
        epochs: How many epochs it asks for; None where it is no distillation job.
        heartbeat_age_s: Seconds since its last heartbeat, by the database's clock.
        progress: What its worker last said, see `records.PROGRESS`.
        begun_utc: When this attempt began, naive UTC.
    """

    trial_id: int
    number: int
    attempt: int
    epochs: int | None
    heartbeat_age_s: float
    progress: Mapping[str, Any]
    begun_utc: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class JobDuration:
    """How long a job took.

    Args:
        begun_utc: When its last attempt began, naive UTC.
        done_utc: When it was done, naive UTC.
        epochs: How many epochs it asked for.
    """

    begun_utc: datetime
    done_utc: datetime
    epochs: int


class JobQueue:
    """The jobs of one study.

    Args:
        storage: Opened by `open_storage`.
        study_name: The study that holds the jobs.

    Raises:
        InputError: There is no such study.
    """

    def __init__(self, storage: BaseStorage | Engine, study_name: str) -> None:
        self._engine = engine_of(storage)
        self._study_id = study_id_of(storage, study_name)
        self._dialect = dialect_of(self._engine)
        self._now: ColumnElement[Any] = literal_column(self._dialect.now_sql)
        self._age_s: ColumnElement[Any] = literal_column(self._dialect.heartbeat_age_s_sql)

    def claim(self, progress: Mapping[str, Any] | None = None) -> Claim | None:
        """Take the oldest waiting job, or None where none waits; exactly one caller gets it.

        Args:
            progress: Stored as the job's first progress: who has taken it.
        """
        waiting = select(TRIALS.c.trial_id).where(self._in_state(TrialState.WAITING)).order_by(TRIALS.c.trial_id)
        if not self._dialect.has_row_locks:
            with reading(self._engine) as connection:  # an idle worker must not lock the database
                if connection.execute(waiting.limit(1)).scalar() is None:
                    return None
        with self._engine.begin() as connection:
            trial_id = connection.execute(waiting.limit(1).with_for_update(skip_locked=True)).scalar()
            if trial_id is None:
                return None
            connection.execute(
                update(TRIALS)
                .where(TRIALS.c.trial_id == trial_id, TRIALS.c.state == TrialState.WAITING)
                .values(state=TrialState.RUNNING, datetime_start=_utc_now())
            )
            before = get_attributes(connection, TRIAL_USER_ATTRIBUTES, trial_id)
            attempt = before.get(ATTEMPTS, 0) + 1
            attributes = {ATTEMPTS: attempt, PROGRESS: dict(progress or {})}
            set_attributes(connection, TRIAL_USER_ATTRIBUTES, trial_id, attributes)
            self._set_heartbeat(connection, trial_id)
            (trial,) = read_trials(connection, self._study_id, including=[trial_id], after=None)
        return Claim(trial=trial, attempt=attempt)

    def beat(self, claim: Claim) -> None:
        """Say that the worker lives.

        Raises:
            JobLostError: The job is no longer this claim's.
        """
        statement = update(TRIAL_HEARTBEATS).where(
            TRIAL_HEARTBEATS.c.trial_id == claim.trial_id,
            exists().where(TRIALS.c.trial_id == claim.trial_id, TRIALS.c.state == TrialState.RUNNING),
            exists().where(self._attempt_is(claim.trial_id, claim.attempt)),
        )
        with self._engine.begin() as connection:
            if connection.execute(statement.values(heartbeat=self._now)).rowcount != 1:
                raise JobLostError(claim.trial.number)

    def set_attributes(self, claim: Claim, attributes: Mapping[str, Any]) -> None:
        """Set user attributes of the running job, such as its progress; counts as a heartbeat.

        Raises:
            JobLostError: The job is no longer this claim's.
        """
        with self._engine.begin() as connection:
            self._hold(connection, claim)
            set_attributes(connection, TRIAL_USER_ATTRIBUTES, claim.trial_id, attributes)
            self._set_heartbeat(connection, claim.trial_id)

    def finish(
        self,
        claim: Claim,
        values: Sequence[float],
        *,
        user_attributes: Mapping[str, Any],
        system_attributes: Mapping[str, Any],
    ) -> None:
        """Make the job COMPLETE, with all its results or none. Finishing twice is finishing once.

        Raises:
            JobLostError: The job is no longer this claim's.
        """
        with self._engine.begin() as connection:
            if not self._hold(connection, claim, unless=TrialState.COMPLETE):
                return
            rows = [{"trial_id": claim.trial_id, **row} for row in value_rows(values)]
            self._dialect.insert_rows(connection, TRIAL_VALUES, rows)
            set_attributes(connection, TRIAL_USER_ATTRIBUTES, claim.trial_id, user_attributes)
            set_attributes(connection, TRIAL_SYSTEM_ATTRIBUTES, claim.trial_id, system_attributes)
            self._leave(connection, claim.trial_id, TrialState.COMPLETE)

    def hand_back(self, claim: Claim) -> None:
        """Make the job WAITING again, as a worker does that is told to stop.

        Raises:
            JobLostError: The job is no longer this claim's.
        """
        with self._engine.begin() as connection:
            if self._hold(connection, claim, unless=TrialState.WAITING):
                self._leave(connection, claim.trial_id, TrialState.WAITING)

    def fail(self, claim: Claim, reason: str, *, max_retries: int) -> bool:
        """Record why an attempt failed: the job waits for its next attempt, or is FAILed once no retry is left.

        Returns:
            Whether the job is FAILed for good.

        Raises:
            JobLostError: The job is no longer this claim's.
        """
        with self._engine.begin() as connection:
            self._hold(connection, claim)
            before = get_attributes(connection, TRIAL_USER_ATTRIBUTES, claim.trial_id)
            errors = [*before.get(ERRORS, ()), reason]
            final = len(errors) > max_retries
            attributes = {ERRORS: errors} | ({FAILED: reason} if final else {})
            set_attributes(connection, TRIAL_USER_ATTRIBUTES, claim.trial_id, attributes)
            self._leave(connection, claim.trial_id, TrialState.FAIL if final else TrialState.WAITING)
        return final

    def running(self) -> list[RunningJob]:
        """The jobs that workers hold, those that plain Optuna runs (without a heartbeat of ours) left out."""
        with reading(self._engine) as connection:
            return running_jobs(connection, self._study_id)

    def take_back(self, job: RunningJob, *, max_losses: int) -> bool:
        """Make a job whose worker is gone WAITING again, unless it has beaten since `running` read it.

        A job that loses its workers more than `max_losses` times without finishing an epoch in between is FAILed: it
        would take down every worker there is.

        Returns:
            Whether the job was taken back.
        """
        with self._engine.begin() as connection:
            if not self._holds(connection, job.trial_id, job.attempt):
                return False
            age = select(self._age_s).select_from(TRIAL_HEARTBEATS).where(TRIAL_HEARTBEATS.c.trial_id == job.trial_id)
            if float(connection.execute(age).scalar_one()) < job.heartbeat_age_s:
                return False
            losses = get_attributes(connection, TRIAL_USER_ATTRIBUTES, job.trial_id).get(LOSSES, 0) + 1
            attributes: dict[str, Any] = {LOSSES: losses}
            if losses > max_losses:
                attributes[FAILED] = f"its worker was lost {losses} times without an epoch in between"
            set_attributes(connection, TRIAL_USER_ATTRIBUTES, job.trial_id, attributes)
            last_heard = _utc_now() - timedelta(seconds=job.heartbeat_age_s)
            state = TrialState.FAIL if FAILED in attributes else TrialState.WAITING
            self._leave(connection, job.trial_id, state, ended=last_heard)
        return True

    def counts(self) -> dict[TrialState, int]:
        """How many jobs are in each state."""
        statement = select(TRIALS.c.state, func.count()).where(TRIALS.c.study_id == self._study_id)
        with reading(self._engine) as connection:
            rows = connection.execute(statement.group_by(TRIALS.c.state)).all()
        return dict.fromkeys(TrialState, 0) | {row[0]: int(row[1]) for row in rows}

    def is_busy(self) -> bool:
        """Whether any job waits or runs."""
        open_ = select(exists().where(or_(*(self._in_state(s) for s in (TrialState.WAITING, TrialState.RUNNING)))))
        with reading(self._engine) as connection:
            return bool(connection.execute(open_).scalar())

    def failed(self) -> list[FrozenTrial]:
        """The jobs that failed for good."""
        with reading(self._engine) as connection:
            return read_trials(connection, self._study_id, states=[TrialState.FAIL])

    def durations(self, limit: int = 50) -> list[JobDuration]:
        """The jobs done last, newest first."""
        statement = select(TRIALS.c.datetime_start, TRIALS.c.datetime_complete, _EPOCHS.scalar_subquery())
        statement = statement.where(self._in_state(TrialState.COMPLETE)).order_by(TRIALS.c.datetime_complete.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(statement.limit(limit)).all()
        return [JobDuration(begun_utc=start, done_utc=end, epochs=json.loads(text or "1")) for start, end, text in rows]

    def epochs_queued(self) -> int:
        """The epochs that all waiting jobs ask for."""
        statement = select(TRIAL_USER_ATTRIBUTES.c.value_json).join(TRIALS)
        statement = statement.where(self._in_state(TrialState.WAITING), TRIAL_USER_ATTRIBUTES.c.key == "epochs")
        with reading(self._engine) as connection:
            return sum(json.loads(text) for text in connection.execute(statement).scalars())

    def _in_state(self, state: TrialState) -> ColumnElement[bool]:
        return and_(TRIALS.c.study_id == self._study_id, TRIALS.c.state == state)

    def _attempt_is(self, trial_id: int, attempt: int) -> ColumnElement[bool]:
        columns = TRIAL_USER_ATTRIBUTES.c
        return and_(columns.trial_id == trial_id, columns.key == ATTEMPTS, columns.value_json == json.dumps(attempt))

    def _hold(self, connection: Connection, claim: Claim, *, unless: TrialState | None = None) -> bool:
        """Lock the claim's trial; False where an earlier try of the same transaction has already led to `unless`."""
        if self._holds(connection, claim.trial_id, claim.attempt):
            return True
        if unless is not None and self._holds(connection, claim.trial_id, claim.attempt, state=unless):
            return False
        raise JobLostError(claim.trial.number)

    def _holds(
        self, connection: Connection, trial_id: int, attempt: int, *, state: TrialState = TrialState.RUNNING
    ) -> bool:
        statement = select(TRIALS.c.state).where(TRIALS.c.trial_id == trial_id).with_for_update()
        if connection.execute(statement).scalar() != state:
            return False
        return bool(connection.execute(select(exists().where(self._attempt_is(trial_id, attempt)))).scalar())

    def _leave(
        self, connection: Connection, trial_id: int, state: TrialState, *, ended: datetime | None = None
    ) -> None:
        """End an attempt, now or at another naive UTC time; what it took is kept where another attempt follows."""
        ended = ended or _utc_now()
        values: dict[str, Any] = {"state": state}
        if state.is_finished():
            values["datetime_complete"] = ended
        else:
            self._keep_attempt(connection, trial_id, ended)
            values["datetime_start"] = None
        connection.execute(update(TRIALS).where(TRIALS.c.trial_id == trial_id).values(values))
        delete_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, PROGRESS)
        if state.is_finished():
            for key in (CHECKPOINT, CURVE):
                delete_attribute(connection, TRIAL_USER_ATTRIBUTES, trial_id, key)

    def _keep_attempt(self, connection: Connection, trial_id: int, ended: datetime) -> None:
        begun = connection.execute(select(TRIALS.c.datetime_start).where(TRIALS.c.trial_id == trial_id)).scalar()
        if begun is None:
            return
        before = get_attributes(connection, TRIAL_USER_ATTRIBUTES, trial_id).get(EARLIER, [])
        attempts = [*before, [begun.isoformat(), max(begun, ended).isoformat()]]
        set_attributes(connection, TRIAL_USER_ATTRIBUTES, trial_id, {EARLIER: attempts})

    def _set_heartbeat(self, connection: Connection, trial_id: int) -> None:
        row = {"trial_id": trial_id, "heartbeat": self._now}
        connection.execute(self._dialect.upsert(TRIAL_HEARTBEATS, [row], key=["trial_id"], value="heartbeat"))


def running_jobs(connection: Connection, study_id: int) -> list[RunningJob]:
    """What `JobQueue.running` gives, of a study of jobs, in a transaction of the caller."""
    user, attempts = TRIAL_USER_ATTRIBUTES.alias("progress"), TRIAL_USER_ATTRIBUTES.alias("attempts")
    age_s: ColumnElement[Any] = literal_column(dialect_of(connection).heartbeat_age_s_sql)
    own = (TRIALS.c.trial_id, TRIALS.c.number, TRIALS.c.datetime_start)
    statement = (
        select(*own, attempts.c.value_json, _EPOCHS.scalar_subquery(), user.c.value_json, age_s)
        .join(TRIAL_HEARTBEATS, TRIAL_HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
        .join(attempts, and_(attempts.c.trial_id == TRIALS.c.trial_id, attempts.c.key == ATTEMPTS))
        .join(user, and_(user.c.trial_id == TRIALS.c.trial_id, user.c.key == PROGRESS))
        .where(TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.RUNNING)
        .order_by(TRIALS.c.trial_id)
    )
    return [
        RunningJob(
            trial_id=trial_id,
            number=number,
            attempt=json.loads(attempt),
            epochs=json.loads(asked_for) if asked_for is not None else None,
            heartbeat_age_s=float(age),
            progress=json.loads(progress),
            begun_utc=begun,
        )
        for trial_id, number, begun, attempt, asked_for, progress, age in connection.execute(statement)
    ]


def _utc_now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)
