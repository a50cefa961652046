"""SQLite: one file, for the processes of one machine."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Insert, Table, event, func, insert, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import URL
from sqlalchemy.engine.interfaces import DBAPIConnection

from avatar_optuna.exceptions import InputError, StudyBusyError
from avatar_optuna.files import file_lock

_BUSY_TIMEOUT_S = 60
_BUSY_PAUSE_S = 0.02
_READ_ONLY = "avatar_read_only"


class _Sqlite:
    """Write-ahead log; every writing transaction is begun IMMEDIATE; a busy database is waited for.

    Locks are the operating system's, on files beside the database. A database that may not be written is opened for
    reading: as immutable where SQLite could not even make its shared memory file beside it.
    """

    example_url = "sqlite:///FILE"
    has_row_locks = False
    now_sql = "strftime('%Y-%m-%d %H:%M:%f000', 'now')"
    epoch_s_sql = "(julianday('now') - 2440587.5) * 86400.0"
    heartbeat_age_s_sql = "(julianday('now') - julianday(trial_heartbeats.heartbeat)) * 86400.0"

    def check(self, url: URL) -> URL:
        if url.drivername not in ("sqlite", "sqlite+pysqlite"):
            raise InputError(f"storage must be {self.example_url}, with SQLAlchemy's own driver")
        if url.database in (None, "", ":memory:"):
            raise InputError("storage must be a file, for workers cannot share a database in memory")
        return url.set(drivername="sqlite")

    def is_present(self, url: URL) -> bool:
        return _file(url).is_file()

    def make_room(self, url: URL) -> None:
        _file(url).parent.mkdir(parents=True, exist_ok=True)

    def engine_settings(self, url: URL) -> dict[str, Any]:
        if not _is_read_only(_file(url)):
            return {"connect_args": {"timeout": _BUSY_TIMEOUT_S}}
        return {"creator": lambda: _connect_for_reading(_file(url)), "execution_options": {_READ_ONLY: True}}

    def prepare(self, engine: Engine) -> None:
        is_read_only = engine.get_execution_options().get(_READ_ONLY, False)
        event.listen(engine, "connect", _begin_nothing if is_read_only else _write_ahead)
        event.listen(engine, "begin", _on_begin)
        engine.dispose()  # connections made before the events

    def reading_options(self) -> Mapping[str, Any]:
        return {_READ_ONLY: True}

    @contextmanager
    def schema_lock(self, engine: Engine) -> Iterator[None]:
        file = _file(engine.url)
        with file_lock(file.with_name(f"{file.name}.schema.lock")):
            yield

    @contextmanager
    def search_lock(self, engine: Engine, study_name: str) -> Iterator[None]:
        digest = hashlib.sha256(study_name.encode()).hexdigest()[:16]
        file = _file(engine.url)
        with file_lock(file.with_name(f"{file.name}.{digest}.lock"), wait=False) as is_taken:
            if not is_taken:
                raise StudyBusyError(study_name)
            yield

    def may_alter(self, connection: Connection, table: str) -> bool:
        return True

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str], value: str) -> Insert:
        statement = sqlite.insert(table).values(rows)
        return statement.on_conflict_do_update(index_elements=key, set_={value: statement.excluded[value]})

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """By the driver's own `executemany`: SQLAlchemy's takes three times as long."""
        statement = insert(table).compile(dialect=connection.dialect, column_keys=list(rows[0]))
        assert statement.positiontup is not None
        columns = []
        for name in statement.positiontup:
            process = table.c[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
            values = [row[name] for row in rows]
            columns.append(values if process is None else map(process, values))
        connection.exec_driver_sql(str(statement), list(zip(*columns, strict=True)))

    def reserve_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        (column,) = table.primary_key.columns  # the write lock is ours, and SQLite gives max + 1
        last = int(connection.execute(select(func.coalesce(func.max(column), 0))).scalar_one())
        return range(last + 1, last + 1 + count)


DIALECT = _Sqlite()


def _file(url: URL) -> Path:
    return Path(str(url.database)).absolute()


def _is_read_only(file: Path) -> bool:
    return file.is_file() and not (os.access(file, os.W_OK) and os.access(file.parent, os.W_OK))


def _connect_for_reading(file: Path) -> sqlite3.Connection:
    """SQLite reads a write-ahead log only beside its shared memory file, which it cannot make in a read-only folder."""
    has_log = any(file.with_name(file.name + end).exists() for end in ("-wal", "-shm"))
    mode = "mode=ro" if has_log or os.access(file.parent, os.W_OK) else "mode=ro&immutable=1"
    return sqlite3.connect(f"{file.as_uri()}?{mode}", uri=True, timeout=_BUSY_TIMEOUT_S, check_same_thread=False)


def _begin_nothing(connection: DBAPIConnection, _: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own


def _write_ahead(connection: DBAPIConnection, record: object) -> None:
    _begin_nothing(connection, record)
    cursor = connection.cursor()
    _turn_on_write_ahead(cursor)
    cursor.execute("PRAGMA synchronous=NORMAL")  # with WAL: a crash of the machine may lose, never corrupt
    cursor.close()


def _turn_on_write_ahead(cursor: Any) -> None:
    """SQLite does not wait here for whoever writes to a database that has no write-ahead log yet: so we do."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _on_begin(connection: Connection) -> None:
    is_read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql("BEGIN DEFERRED" if is_read_only else "BEGIN IMMEDIATE")
