"""When a study was at work: its search trials, and every attempt of its jobs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from optuna.storages import BaseStorage
from sqlalchemy import Engine, select

from avatar_optuna.schema import EARLIER, distilled_name
from avatar_optuna.storage._claims import JobQueue
from avatar_optuna.storage._database import engine_of, find_study_id, reading
from avatar_optuna.storage._tables import TRIAL_USER_ATTRIBUTES, TRIALS

Interval = tuple[datetime, datetime]
"""Begin and end, naive UTC."""


def work_times(storage: BaseStorage | Engine, study_name: str) -> list[Interval]:
    """Begin and end of each search trial and of each attempt of a job; of one that runs, until its last heartbeat.

    Args:
        storage: Opened by `open_storage` or `open_for_reading`.
        study_name: The study, without "/distilled".

    Returns:
        Naive UTC, in no order; they overlap where several workers were at work.
    """
    columns, attributes = TRIALS.c, TRIAL_USER_ATTRIBUTES.c
    with reading(engine_of(storage)) as connection:
        found = {name: find_study_id(connection, name) for name in (study_name, distilled_name(study_name))}
        ids = {name: study_id for name, study_id in found.items() if study_id is not None}
        of_study = columns.study_id.in_(ids.values())
        ended = select(columns.datetime_start, columns.datetime_complete).where(
            of_study, columns.datetime_start.is_not(None), columns.datetime_complete.is_not(None)
        )
        times: list[Interval] = [(begun, max(begun, done)) for begun, done in connection.execute(ended)]
        earlier = select(attributes.value_json).join(TRIALS).where(of_study, attributes.key == EARLIER)
        for text in connection.execute(earlier).scalars():
            times += [(datetime.fromisoformat(begun), datetime.fromisoformat(end)) for begun, end in json.loads(text)]
    return times + [time for name in ids for time in _running(storage, name)]


def _running(storage: BaseStorage | Engine, study_name: str) -> list[Interval]:
    now = datetime.now(UTC).replace(tzinfo=None)
    times = []
    for job in JobQueue(storage, study_name).running():
        if job.begun_utc is not None:
            heard = now - timedelta(seconds=job.heartbeat_age_s)
            times.append((job.begun_utc, max(job.begun_utc, heard)))
    return times
