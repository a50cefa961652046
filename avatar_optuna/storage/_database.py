"""Opening a database: Optuna's own schema and storage, with engine settings under which claims are atomic."""

from __future__ import annotations

import logging
from collections.abc import Collection, Container, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage
from optuna.storages._cached_storage import _CachedStorage
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from avatar_optuna.exceptions import InputError, StorageError
from avatar_optuna.storage._attributes import get_attributes
from avatar_optuna.storage._tables import STUDIES, STUDY_USER_ATTRIBUTES, TRIALS
from avatar_optuna.storage._trials import read_trials
from avatar_optuna.storage._url import mask_url, parse_url, render
from avatar_optuna.storage.dialects import Dialect, dialect_of, dialect_of_url

logger = logging.getLogger(__name__)

# Finds the waiting and the running among any number of finished trials; Optuna's schema has an index of the study only.
_STATE_INDEX = sqlalchemy.Index("ix_avatar_trials_state", TRIALS.c.study_id, TRIALS.c.state, TRIALS.c.trial_id)
TRIALS.indexes.discard(_STATE_INDEX)  # ours to create, not part of Optuna's metadata


class Storage(RDBStorage):
    """Optuna's storage with trials read in bulk: 50,000 of them in seconds, without holding a lock."""

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        if states is not None and not isinstance(states, Collection):
            states = [state for state in TrialState if state in states]
        with reading(self.engine) as connection:
            return read_trials(
                connection, study_id, states=states, including=included_trial_ids, after=trial_id_greater_than
            )


def open_storage(url: str, *, create: bool = True) -> Storage:
    """Open a database of studies, its schema created where it is missing (by one process, if several come at once).

    Args:
        url: Of a database that one of the dialects serves, see `avatar_optuna.storage.dialects`.
        create: Whether a database that holds no studies yet is made into one; else it is refused.

    Raises:
        InputError: The URL is refused, or `create` is false and no database is there.
        StorageError: The database cannot be reached or used.
    """
    parsed = parse_url(url)
    dialect = dialect_of_url(parsed)
    with clear_errors(url):
        if create:
            _ensure_schema(parsed, dialect)
        else:
            _refuse_missing(parsed, dialect)
        settings = dialect.engine_settings(parsed)
        storage = Storage(render(parsed), engine_kwargs=settings, skip_table_creation=True)
        dialect.prepare(storage.engine)
    return storage


def open_for_reading(url: str) -> Engine:
    """Open a database that is only read: in half the time of `open_storage`, for which Optuna loads all of Alembic.

    Raises:
        InputError: The URL is refused, or no database of studies is there.
        StorageError: The database cannot be reached or used.
    """
    parsed = parse_url(url)
    dialect = dialect_of_url(parsed)
    with clear_errors(url):
        _refuse_missing(parsed, dialect)
        engine = sqlalchemy.create_engine(parsed, **dialect.engine_settings(parsed))
        with engine.connect() as connection:
            version = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if version != _newest_version():
            engine.dispose()
            return open_storage(url, create=False).engine  # Optuna says what is wrong with the schema
        dialect.prepare(engine)
    return engine


def _newest_version() -> str:
    """The schema's version for this version of Optuna, whose migrations are files named like `v3.2.0.a_.py`."""
    migrations = Path(str(models.__file__)).parent / "alembic" / "versions"
    return max(file.stem.rstrip("_") for file in migrations.glob("v*.py"))


def engine_of(storage: BaseStorage | Engine) -> Engine:
    """The engine of a storage that `open_storage` opened, also where Optuna has wrapped it in its cache."""
    if isinstance(storage, Engine):
        return storage
    if isinstance(storage, _CachedStorage):
        storage = storage._backend
    if not isinstance(storage, RDBStorage):
        raise InputError(f"the storage must be a database opened by open_storage, got {type(storage).__name__}")
    engine: Engine = storage.engine
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection in one consistent view of the database, which blocks no writer."""
    options = dialect_of(engine).reading_options()
    with engine.connect().execution_options(**options) as connection, connection.begin():
        yield connection


def search_lock(storage: BaseStorage, study_name: str) -> AbstractContextManager[None]:
    """Hold the right to search a study, until the block ends or the process dies, however it dies.

    Raises:
        StudyBusyError: Another process holds it; nothing has been written.
    """
    engine = engine_of(storage)
    return dialect_of(engine).search_lock(engine, study_name)


def find_study_id(connection: Connection, study_name: str) -> int | None:
    """The id of a study, or None."""
    statement = sqlalchemy.select(STUDIES.c.study_id).where(STUDIES.c.study_name == study_name)
    study_id: int | None = connection.execute(statement).scalar()
    return study_id


def has_study(url: str, study_name: str) -> bool:
    """Whether a database is there and holds a study of this name; nothing is written.

    Raises:
        InputError: The URL is refused.
        StorageError: The database cannot be reached or used.
    """
    parsed = parse_url(url)
    dialect = dialect_of_url(parsed)
    if not dialect.is_present(parsed):
        return False
    with clear_errors(url), _plain_engine(parsed, dialect) as engine, engine.connect() as connection:
        tables = sqlalchemy.inspect(connection)
        return tables.has_table(STUDIES.name) and find_study_id(connection, study_name) is not None


def study_id_of(storage: BaseStorage | Engine, study_name: str) -> int:
    """The id of a study.

    Raises:
        InputError: There is none of this name.
    """
    engine = engine_of(storage)
    with reading(engine) as connection:
        study_id = find_study_id(connection, study_name)
    if study_id is None:
        raise InputError(f"study {study_name!r} is not in {mask_url(str(engine.url))}")
    return study_id


def study_attributes(storage: BaseStorage, study_name: str) -> dict[str, Any]:
    """The user attributes of a study.

    Raises:
        InputError: There is none of this name.
    """
    study_id = study_id_of(storage, study_name)
    with reading(engine_of(storage)) as connection:
        return get_attributes(connection, STUDY_USER_ATTRIBUTES, study_id)


@contextmanager
def clear_errors(url: str) -> Iterator[None]:
    """Turn what a database driver raises into one sentence with the masked URL."""
    try:
        yield
    except (sqlalchemy.exc.DBAPIError, StorageInternalError, OSError) as error:
        raise StorageError(f"the database {mask_url(url)} cannot be used: {describe_error(error)}") from error
    except RuntimeError as error:  # Optuna's way to say that the schema is of another version
        raise StorageError(f"the database {mask_url(url)} cannot be used: {error}") from error


def describe_error(error: BaseException) -> str:
    """What a database driver says, in one line, without statement and parameters."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    original = error.orig if isinstance(error, sqlalchemy.exc.DBAPIError) else error
    lines = [line.strip() for line in str(original).splitlines() if line.strip()]
    return lines[0] if lines else type(original).__name__


def _ensure_schema(url: URL, dialect: Dialect) -> None:
    dialect.make_room(url)
    with _plain_engine(url, dialect) as engine:
        if _has_schema(engine, dialect):
            return
        with dialect.schema_lock(engine):
            if not _has_schema(engine, dialect):
                RDBStorage(render(url), engine_kwargs=dialect.engine_settings(url)).engine.dispose()
                _STATE_INDEX.create(engine, checkfirst=True)


def _has_schema(engine: Engine, dialect: Dialect) -> bool:
    """Whether Optuna's tables stand, its version is stamped, and our index is there or not ours to make."""
    tables = sqlalchemy.inspect(engine)
    if not tables.has_table("alembic_version"):
        return False
    with engine.connect() as connection:
        if connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 0:
            return False
        if any(index["name"] == _STATE_INDEX.name for index in tables.get_indexes(TRIALS.name)):
            return True
        return not dialect.may_alter(connection, TRIALS.name)


def _refuse_missing(url: URL, dialect: Dialect) -> None:
    shown = url.render_as_string(hide_password=True)
    if not dialect.is_present(url):
        raise InputError(f"storage must be a database of studies, and {shown} does not exist")
    with _plain_engine(url, dialect) as engine:
        if not sqlalchemy.inspect(engine).has_table("alembic_version"):
            raise InputError(f"storage must be a database of studies, and {shown} holds none")


@contextmanager
def _plain_engine(url: URL, dialect: Dialect) -> Iterator[Engine]:
    """An engine of the driver's own transactions, for a look before `open_storage`."""
    engine = sqlalchemy.create_engine(url, **dialect.engine_settings(url))
    try:
        yield engine
    finally:
        engine.dispose()
