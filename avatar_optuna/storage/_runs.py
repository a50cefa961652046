"""What the `run` of a study is doing, as it says itself now and then, in a system attribute of the study of jobs."""

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

RUN = "avatar:run"


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run said last.

    Args:
        about: Its host and process, what it does, since when, and how much of it is done.
        heard_s: Seconds since, by the database's clock.
    """

    about: Mapping[str, Any]
    heard_s: float


class RunRegistry:
    """The run of one study of jobs. Of several at once the last one that said something is kept.

    Raises:
        InputError: There is no such study.
    """

    def __init__(self, storage: BaseStorage, study_name: str) -> None:
        self._engine = engine_of(storage)
        self._study_id = study_id_of(storage, study_name)

    def say(self, about: Mapping[str, Any]) -> None:
        """Keep what a run is doing; `process` in it tells which run that is."""
        with self._engine.begin() as connection:
            beat(connection, self._study_id, RUN, about)

    def leave(self, process: Mapping[str, Any]) -> None:
        """Forget the run of this process; that of another one stays."""
        with self._engine.begin() as connection:
            record = run_record(connection, self._study_id)
            if record is not None and record.about["process"] == process:
                delete_attribute(connection, STUDY_SYSTEM_ATTRIBUTES, self._study_id, RUN)

    def record(self) -> RunRecord | None:
        """What was said last by a run that has not left; a killed one said it long ago."""
        with reading(self._engine) as connection:
            return run_record(connection, self._study_id)


def run_record(connection: Connection, study_id: int) -> RunRecord | None:
    """What `RunRegistry.record` gives, of a study of jobs, in a transaction of the caller."""
    said = heard(connection, study_id, RUN).get(RUN)
    return RunRecord(about=said[0], heard_s=said[1]) if said is not None else None
