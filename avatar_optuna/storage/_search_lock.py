"""One searcher a study: a lock that dies with its holder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

from optuna.storages import BaseStorage
from sqlalchemy import Engine, func, select

from avatar_optuna.exceptions import StudyBusyError
from avatar_optuna.storage._database import advisory_key, engine_of
from avatar_optuna.storage._file_lock import file_lock
from avatar_optuna.storage._url import database_file

_PATIENCE_S = 3.0  # a server learns that a process was killed only once the statement it was running has ended


@contextmanager
def search_lock(storage: BaseStorage, study_name: str) -> Iterator[None]:
    """Hold the right to search a study.

    PostgreSQL: an advisory lock of one connection, kept open. SQLite: a lock of the operating system on a file beside
    the database. Either is released when the process dies, however it dies.

    Raises:
        StudyBusyError: Another process holds it; nothing has been written.
    """
    engine = engine_of(storage)
    database = database_file(engine.url)
    if database is None:
        with _advisory_lock(engine, study_name):
            yield
        return
    digest = hashlib.sha256(study_name.encode()).hexdigest()[:16]
    with file_lock(database.with_name(f"{database.name}.{digest}.lock"), wait=False) as taken:
        if not taken:
            raise StudyBusyError(study_name)
        yield


@contextmanager
def _advisory_lock(engine: Engine, study_name: str) -> Iterator[None]:
    key = advisory_key("search", study_name)
    connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    try:
        until = time.monotonic() + _PATIENCE_S
        while not connection.execute(select(func.pg_try_advisory_lock(key))).scalar():
            if time.monotonic() > until:
                raise StudyBusyError(study_name)
            time.sleep(0.1)
        yield
    finally:
        connection.invalidate()  # closes the session, and with it the lock, even where the server has gone
        connection.close()
