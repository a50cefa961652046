"""Which workers serve a study: each says so now and then, in a system attribute of the study."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from sqlalchemy import Connection

from avatar_optuna.storage._attributes import delete_attribute
from avatar_optuna.storage._database import engine_of, reading, study_id_of
from avatar_optuna.storage._heartbeats import beat, heard
from avatar_optuna.storage._tables import STUDY_SYSTEM_ATTRIBUTES

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

    def beat(self, worker: str, about: Mapping[str, Any]) -> None:
        """Say that a worker is there."""
        with self._engine.begin() as connection:
            beat(connection, self._study_id, WORKER_PREFIX + worker, about)

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
    said = heard(connection, study_id, WORKER_PREFIX)
    return [
        WorkerRecord(worker=key.removeprefix(WORKER_PREFIX), about=about, heard_s=heard_s)
        for key, (about, heard_s) in said.items()
    ]
