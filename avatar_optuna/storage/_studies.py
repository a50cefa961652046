"""All studies of a database at a glance, and the removal of one."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState
from sqlalchemy import Connection, Engine, delete, func, select

from avatar_optuna.exceptions import StorageError
from avatar_optuna.schema import CHECKPOINT, COMPARISON, SETTINGS, distilled_name
from avatar_optuna.storage._database import engine_of, find_study_id, reading
from avatar_optuna.storage._tables import (
    STUDIES,
    STUDY_DIRECTIONS,
    STUDY_SYSTEM_ATTRIBUTES,
    STUDY_USER_ATTRIBUTES,
    TRIAL_CHILDREN,
    TRIAL_HEARTBEATS,
    TRIAL_USER_ATTRIBUTES,
    TRIALS,
)

if TYPE_CHECKING:  # optuna.artifacts loads boto3, which commands that only read a database need not wait for
    from optuna.artifacts._protocol import ArtifactStore

_FILES = "files"


@dataclass(frozen=True, kw_only=True)
class StudySummary:
    """One study of a database.

    Args:
        name: Its name.
        trials: Trials of its search.
        students: Distilled students of its fronts.
        waiting: Jobs that wait or run.
        failed: Jobs that failed for good.
        size_bytes: Of its files in the artifact store: students and checkpoints.
        is_compared: Whether its students have been timed beside their teacher, which a run does last.
        last_activity: When a trial was last stored or a worker last heard of, in UTC; None before the first.
    """

    name: str
    trials: int
    students: int
    waiting: int
    failed: int
    size_bytes: int
    is_compared: bool
    last_activity: datetime | None

    @property
    def state(self) -> str:
        """ "finished" or "unfinished"."""
        return "finished" if self.is_compared and not self.waiting else "unfinished"


def study_summaries(storage: BaseStorage | Engine) -> list[StudySummary]:
    """The studies that avatar_optuna made, by name; six statements, whatever their number."""
    with reading(engine_of(storage)) as connection:
        ids = {
            name: study_id for study_id, name in connection.execute(select(STUDIES.c.study_id, STUDIES.c.study_name))
        }
        columns = STUDY_USER_ATTRIBUTES.c
        keyed = select(columns.study_id, columns.key).where(columns.key.in_([SETTINGS, COMPARISON]))
        keys = {tuple(row) for row in connection.execute(keyed)}
        counts = Counter[tuple[int, TrialState]]()
        for study_id, state, number in connection.execute(
            select(TRIALS.c.study_id, TRIALS.c.state, func.count()).group_by(TRIALS.c.study_id, TRIALS.c.state)
        ):
            counts[study_id, state] = number
        students = _students(connection)
        sizes = {
            study_id: sum(int(r["size_bytes"]) for r in records) for study_id, records in _files(connection).items()
        }
        last = _last_activity(connection)
    summaries = []
    for name, study_id in sorted(ids.items()):
        jobs_id = ids.get(distilled_name(name), -1)
        if (study_id, SETTINGS) not in keys:
            continue
        times = [last[i] for i in (study_id, jobs_id) if i in last]
        summaries.append(
            StudySummary(
                name=name,
                trials=sum(number for (owner, _), number in counts.items() if owner == study_id),
                students=students.get(jobs_id, 0),
                waiting=counts[jobs_id, TrialState.WAITING] + counts[jobs_id, TrialState.RUNNING],
                failed=counts[jobs_id, TrialState.FAIL],
                size_bytes=sizes.get(jobs_id, 0),
                is_compared=(study_id, COMPARISON) in keys,
                last_activity=max(times).replace(tzinfo=UTC) if times else None,
            )
        )
    return summaries


def stored_files(storage: BaseStorage, study_name: str) -> dict[str, int]:
    """The files of a study's students and checkpoints: artifact id -> bytes."""
    with reading(engine_of(storage)) as connection:
        jobs_id = find_study_id(connection, distilled_name(study_name))
        files = _files(connection).get(jobs_id, []) if jobs_id is not None else []
    return {record["artifact_id"]: record["size_bytes"] for record in files}


def delete_study(storage: BaseStorage, study_name: str, store: ArtifactStore | None) -> None:
    """Remove a study and its jobs, their files first.

    Interrupted anywhere, the same call completes it: the database knows the files until the last of them is gone.

    Args:
        storage: Opened by `open_storage`; nobody else works on the study.
        study_name: The study, without "/distilled".
        store: Holds its files; None leaves them.

    Raises:
        StorageError: A file cannot be removed.
    """
    if store is not None:
        for artifact_id in stored_files(storage, study_name):
            _remove(store, artifact_id)
    with engine_of(storage).begin() as connection:
        for name in (study_name, distilled_name(study_name)):
            if (study_id := find_study_id(connection, name)) is not None:
                _delete_rows(connection, study_id)


def _remove(store: ArtifactStore, artifact_id: str) -> None:
    from optuna.artifacts.exceptions import ArtifactNotFound

    try:
        store.remove(artifact_id)
    except ArtifactNotFound:
        return  # an interrupted call has removed it
    except Exception as error:  # a client's own errors, for S3
        raise StorageError(f"artifact {artifact_id} cannot be removed, and the study stays: {error}") from error


def _delete_rows(connection: Connection, study_id: int) -> None:
    of_study = select(TRIALS.c.trial_id).where(TRIALS.c.study_id == study_id)
    for table in TRIAL_CHILDREN:
        connection.execute(delete(table).where(table.c.trial_id.in_(of_study)))
    for table in (TRIALS, STUDY_USER_ATTRIBUTES, STUDY_SYSTEM_ATTRIBUTES, STUDY_DIRECTIONS, STUDIES):
        connection.execute(delete(table).where(table.c.study_id == study_id))


def _students(connection: Connection) -> dict[int, int]:
    columns = TRIAL_USER_ATTRIBUTES.c
    of_front = (columns.key == "purpose", columns.value_json == json.dumps("front"))
    statement = select(TRIALS.c.study_id, func.count()).join(TRIAL_USER_ATTRIBUTES).where(*of_front)
    rows = connection.execute(statement.where(TRIALS.c.state == TrialState.COMPLETE).group_by(TRIALS.c.study_id))
    return {study_id: int(number) for study_id, number in rows}


def _files(connection: Connection) -> dict[int, list[Mapping[str, Any]]]:
    """By study of jobs: {"artifact_id", "sha256", "size_bytes"} of each file of a student or checkpoint."""
    columns = TRIAL_USER_ATTRIBUTES.c
    statement = select(TRIALS.c.study_id, columns.key, columns.value_json).join(TRIAL_USER_ATTRIBUTES)
    files: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for study_id, key, text in connection.execute(statement.where(columns.key.in_([_FILES, CHECKPOINT]))):
        value = json.loads(text)
        files[study_id] += (value if key == _FILES else value.get("files", {})).values()
    return files


def _last_activity(connection: Connection) -> dict[int, datetime]:
    latest = func.max(func.coalesce(TRIAL_HEARTBEATS.c.heartbeat, TRIALS.c.datetime_complete))
    completed = func.max(TRIALS.c.datetime_complete)
    statement = select(TRIALS.c.study_id, latest, completed)
    joined = statement.outerjoin(TRIAL_HEARTBEATS, TRIAL_HEARTBEATS.c.trial_id == TRIALS.c.trial_id)
    rows = connection.execute(joined.group_by(TRIALS.c.study_id))
    times = {study_id: [time for time in pair if time is not None] for study_id, *pair in rows}
    return {study_id: max(pair) for study_id, pair in times.items() if pair}
