"""Which workers serve a study: each says so now and then, in a system attribute of the study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from sqlalchemy import ColumnElement, Connection, literal_column, select

from avatar_optuna.storage._attributes import delete_attribute, set_attributes
from avatar_optuna.storage._database import engine_of, reading, study_id_of
from avatar_optuna.storage._tables import STUDY_SYSTEM_ATTRIBUTES
from avatar_optuna.storage.dialects import dialect_of

WORKER_PREFIX = "avatar:worker:"


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """One worker as it last described itself.

    Args:
        worker: Its name.
        about: Host, device, process and since when.
        heard_s: Seconds since, by the database's clock.
    """

    worker: str
    about: Mapping[str, Any]
    heard_s: float


class WorkerRegistry:
    """The workers of one study of jobs.

    Raises:
        InputError: There is no such study.
    """

    def __init__(self, storage: BaseStorage, study_name: str) -> None:
        self._engine = engine_of(storage)
        self._study_id = study_id_of(storage, study_name)
        self._clock: ColumnElement[Any] = literal_column(dialect_of(self._engine).epoch_s_sql)

    def beat(self, worker: str, about: Mapping[str, Any]) -> None:
        """Say that a worker is there."""
        with self._engine.begin() as connection:
            now = float(connection.execute(select(self._clock)).scalar_one())
            value = {WORKER_PREFIX + worker: {"about": dict(about), "heard": now}}
            set_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, self._study_id, value)

    def leave(self, worker: str) -> None:
        """Say that a worker has gone."""
        with self._engine.begin() as connection:
            delete_attribute(connection, STUDY_SYSTEM_ATTRIBUTES, self._study_id, WORKER_PREFIX + worker)

    def workers(self) -> list[WorkerRecord]:
        """All that have said they are there and have not left; a dead one was heard long ago."""
        with reading(self._engine) as connection:
            return worker_records(connection, self._study_id)


def worker_records(connection: Connection, study_id: int) -> list[WorkerRecord]:
    """What `WorkerRegistry.workers` gives, of a study of jobs, in a transaction of the caller."""
    columns = STUDY_SYSTEM_ATTRIBUTES.c
    clock: ColumnElement[Any] = literal_column(dialect_of(connection).epoch_s_sql)
    statement = select(columns.key, columns.value_json, clock).where(
        columns.study_id == study_id, columns.key.startswith(WORKER_PREFIX, autoescape=True)
    )
    records = []
    for key, text, now in connection.execute(statement.order_by(columns.key)):
        value = json.loads(text)
        worker = key.removeprefix(WORKER_PREFIX)
        records.append(WorkerRecord(worker=worker, about=value["about"], heard_s=float(now) - value["heard"]))
    return records
