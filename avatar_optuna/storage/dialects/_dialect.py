"""What a database dialect provides, and which there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, Insert, Table
from sqlalchemy.engine import URL

from avatar_optuna.exceptions import InputError
from avatar_optuna.registry import Registry


class Dialect(Protocol):
    """What differs between the databases that hold studies: one object without state for each."""

    example_url: str
    """Shown where a URL is refused."""
    has_row_locks: bool
    """Whether a transaction that looks for work locks no more than the rows it takes."""
    now_sql: str
    """The database's clock in UTC, as a heartbeat is stored: one clock for all workers."""
    epoch_s_sql: str
    """The same clock in seconds since 1970."""
    heartbeat_age_s_sql: str
    """Seconds since `trial_heartbeats.heartbeat`, without the time in which a server was down."""

    def check(self, url: URL) -> URL:
        """The URL with its driver named.

        Raises:
            InputError: No database of studies can be there; the caller adds what arrived, without its password.
        """

    def is_present(self, url: URL) -> bool:
        """Whether a database is there at all, as far as can be told without connecting."""

    def make_room(self, url: URL) -> None:
        """Make what a new database needs before it can be connected to, such as its folder."""

    def engine_settings(self, url: URL) -> dict[str, Any]:
        """Arguments of `sqlalchemy.create_engine`."""

    def prepare(self, engine: Engine) -> None:
        """Install what makes transactions of the engine atomic, such as events."""

    def reading_options(self) -> Mapping[str, Any]:
        """Execution options of a connection that reads one consistent view and blocks no writer."""

    def schema_lock(self, engine: Engine) -> AbstractContextManager[None]:
        """Hold the right to create the schema; others wait."""

    def search_lock(self, engine: Engine, study_name: str) -> AbstractContextManager[None]:
        """Hold the right to search a study until the block ends or the process dies.

        Raises:
            StudyBusyError: Another process holds it; nothing has been written.
        """

    def may_alter(self, connection: Connection, table: str) -> bool:
        """Whether the user may create an index of a table."""

    def upsert(self, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str], value: str) -> Insert:
        """A statement that inserts rows, or overwrites the column `value` where the columns `key` are there."""

    def insert_rows(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows with the same keys, in the fastest way."""

    def reserve_ids(self, connection: Connection, table: Table, count: int) -> Sequence[int]:
        """Ascending values of the primary key that no other transaction will use; the study is locked."""


_OURS = "avatar_optuna.storage.dialects"
DIALECTS: Registry[Dialect] = Registry(
    "dialects",
    noun="dialect of a database",
    built_in={"sqlite": f"{_OURS}.sqlite:DIALECT", "postgresql": f"{_OURS}.postgresql:DIALECT"},
)
_ALIASES = {"postgres": "postgresql"}


def dialect_of(bind: Engine | Connection) -> Dialect:
    """The dialect of an engine or a connection."""
    return DIALECTS.get(bind.dialect.name)


def dialect_of_url(url: URL) -> Dialect:
    """The dialect that a URL names.

    Raises:
        InputError: There is none; the caller adds what arrived, without its password.
    """
    name = url.drivername.partition("+")[0]
    name = _ALIASES.get(name, name)
    if name not in DIALECTS.names():
        raise InputError(f"storage must be {example_urls()}")
    return DIALECTS.get(name)


def example_urls() -> str:
    """A URL of each dialect, as a message names them."""
    return " or ".join(sorted((DIALECTS.get(name).example_url for name in DIALECTS.names()), reverse=True))
