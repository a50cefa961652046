"""PostgreSQL: a server, for workers on many machines."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any

from sqlalchemy import Connection, Engine, ExceptionContext, Insert, Table, event, func, select, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import URL

from avatar_optuna.exceptions import InputError, StudyBusyError

_CONNECT_TIMEOUT_S = 10
_LOCK_PATIENCE_S = 3.0  # a server learns that a process was killed only once the statement it was running has ended


class _Postgresql:
    """The driver is psycopg; connections are checked before use, so that a restarted server is met with a new one.

    Locks are advisory locks of a session, which the server releases when the session ends.
    """

    example_url = "postgresql://USER@HOST/NAME"
    has_row_locks = True
    now_sql = "localtimestamp"
    epoch_s_sql = "extract(epoch from clock_timestamp())::float"
    heartbeat_age_s_sql = (
        "extract(epoch from localtimestamp"
        " - greatest(trial_heartbeats.heartbeat, pg_postmaster_start_time()::timestamp))::float"
    )

    def check(self, url: URL) -> URL:
        if url.drivername not in ("postgresql", "postgresql+psycopg", "postgres"):
            raise InputError(f"storage must be {self.example_url}, with the driver psycopg")
        return url.set(drivername="postgresql+psycopg")

    def is_present(self, url: URL) -> bool:
        return True

    def make_room(self, url: URL) -> None:
        pass

    def engine_settings(self, url: URL) -> dict[str, Any]:
        keepalive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
        connect = {"connect_timeout": _CONNECT_TIMEOUT_S, "application_name": "avatar_optuna", **keepalive}
        given = {key: value for key, value in connect.items() if key not in url.query}
        return {"pool_pre_ping": True, "connect_args": given}

    def prepare(self, engine: Engine) -> None:
        event.listen(engine, "handle_error", _raise_interrupt)

    def reading_options(self) -> Mapping[str, Any]:
        return {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}

    @contextmanager
    def schema_lock(self, engine: Engine) -> Iterator[None]:
        key = _advisory_key("schema")
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(select(func.pg_advisory_lock(key)))
            try:
                yield
            finally:
                connection.execute(select(func.pg_advisory_unlock(key)))

    @contextmanager
    def search_lock(self, engine: Engine, study_name: str) -> Iterator[None]:
        key = _advisory_key("search", study_name)
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            until = time.monotonic() + _LOCK_PATIENCE_S
            while not connection.execute(select(func.pg_try_advisory_lock(key))).scalar():
                if time.monotonic() > until:
                    raise StudyBusyError(study_name)
                time.sleep(0.1)
            yield
        finally:
            connection.invalidate()  # closes the session, and with it the lock, even where the server has gone
            connection.close()

    def may_alter(self, connection: Connection, table: str) -> bool:
        owned = text("SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = CAST(:name AS regclass)")
        return bool(connection.execute(owned, {"name": table}).scalar())

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str], value: str) -> Insert:
        statement = postgresql.insert(table).values(rows)
        return statement.on_conflict_do_update(index_elements=key, set_={value: statement.excluded[value]})

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """COPY takes a third of the time of an INSERT."""
        driver = connection.connection.driver_connection
        assert driver is not None
        names = tuple(rows[0])
        columns = ", ".join(f'"{table.c[name].name}"' for name in names)
        with driver.cursor().copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row([value.name if isinstance(value, Enum) else value for value in row.values()])

    def reserve_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        (column,) = table.primary_key.columns
        sequence = text("SELECT nextval(pg_get_serial_sequence(:table, :column)) FROM generate_series(1, :count)")
        values = {"table": table.name, "column": column.name, "count": count}
        return sorted(connection.execute(sequence, values).scalars())


def _raise_interrupt(context: ExceptionContext) -> None:
    """Ctrl-C while a connection is checked leaves it busy, which its cleanup reports instead: raise what was meant."""
    if isinstance(context.original_exception.__context__, KeyboardInterrupt):
        raise KeyboardInterrupt from context.original_exception


DIALECT = _Postgresql()


def _advisory_key(purpose: str, name: str = "") -> int:
    """A signed 64-bit key for advisory locks."""
    digest = hashlib.sha256(f"avatar_optuna:{purpose}:{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
