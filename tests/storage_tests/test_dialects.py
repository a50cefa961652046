"""Both dialects keep the contract, a stranger's is found, and a database that may not be written is read."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import optuna
import psycopg
import pytest
from sqlalchemy import select

from avatar_optuna.exceptions import InputError
from avatar_optuna.storage import open_storage
from avatar_optuna.storage.dialects import DIALECTS
from avatar_optuna.storage.dialects.sqlite import DIALECT as SQLITE
from avatar_optuna.testing import dialects


@pytest.mark.parametrize("check", dialects.CONTRACT, ids=lambda check: check.__name__)
def test_a_dialect_keeps_the_contract(check: Callable[[str], None], empty_storage_url: str) -> None:
    check(empty_storage_url)


def test_a_study_goes_from_one_dialect_to_the_other(sqlite_url: str, postgres_url: str) -> None:
    dialects.study_is_copied(postgres_url, sqlite_url)


def test_a_dialect_of_another_package_serves_its_urls(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="storage must be"):
        open_storage("mysql://host/name")
    DIALECTS.register("mysql", SQLITE)
    try:
        with pytest.raises(InputError, match=r"sqlite:///FILE, with SQLAlchemy's own driver, got 'mysql://host/name'"):
            open_storage("mysql://host/name")
    finally:
        DIALECTS.unregister("mysql")


class _Interrupted(psycopg.Cursor[Any]):
    """Ctrl-C comes once a statement has been sent, before its result is waited for."""

    def execute(self, *_: object, **__: object) -> NoReturn:
        self.connection.pgconn.send_query(b"SELECT pg_sleep(60)")
        raise KeyboardInterrupt


def test_an_interrupt_while_a_connection_is_checked_is_no_error_of_the_database(postgres_url: str) -> None:
    engine = open_storage(postgres_url).engine
    engine.dispose()  # the one connection that is there now is the next to be checked
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    driver.cursor_factory = _Interrupted
    with pytest.raises(KeyboardInterrupt):
        engine.connect()
    with engine.connect() as connection:
        assert connection.execute(select(1)).scalar() == 1


def _read(url: str, results: multiprocessing.SimpleQueue[object]) -> None:
    """Read and try to write, as a user to whom permissions apply (they do not to root)."""
    if os.geteuid() == 0:
        os.setuid(pwd.getpwnam("nobody").pw_uid)
    study = optuna.load_study(study_name="s", storage=open_storage(url, create=False))
    results.put((len(study.trials), study.user_attrs))
    try:
        study.set_user_attr("b", 2)
    except optuna.exceptions.StorageInternalError as error:
        results.put("readonly database" in str(error.__cause__))


@pytest.mark.parametrize("in_use", [False, True])
def test_a_database_in_a_read_only_folder_is_read(in_use: bool, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    url = f"sqlite:///{folder / 'studies.db'}"
    storage = open_storage(url)
    study = optuna.create_study(study_name="s", storage=storage)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    study.set_user_attr("a", 1)
    assert len(optuna.load_study(study_name="s", storage=storage).trials) == 1  # imports all that the reader needs
    if not in_use:
        storage.remove_session()
        storage.engine.dispose()
    assert (folder / "studies.db-wal").exists() == in_use
    for path in (*folder.iterdir(), folder):
        path.chmod(path.stat().st_mode & ~0o222 | 0o111)
    for parent in tmp_path.parents:
        if parent.is_relative_to(tempfile.gettempdir()) and parent != Path(tempfile.gettempdir()):
            parent.chmod(0o711)
    tmp_path.chmod(0o755)
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    reader = context.Process(target=_read, args=(url, results))
    reader.start()
    reader.join()
    folder.chmod(0o755)
    assert reader.exitcode == 0
    assert results.get() == (1, {"a": 1})
    assert results.get() is True
