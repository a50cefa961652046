"""Opening databases; the oracle is Optuna's own storage on the same database."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from avatar_optuna.exceptions import InputError, StorageError
from avatar_optuna.storage import JobQueue, add_missing, has_study, open_storage, search_lock
from avatar_optuna.storage._database import engine_of, reading
from avatar_optuna.storage.dialects.sqlite import DIALECT
from tests.postgres import PostgresServer
from tests.storage_tests.studies import complete, new_study, pruned, waiting, write


def test_processes_may_create_the_schema_at_once(empty_storage_url: str) -> None:
    code = "import sys; from avatar_optuna.storage import open_storage; open_storage(sys.argv[1])"
    command = [sys.executable, "-c", code, empty_storage_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    for process in processes:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    with engine_of(open_storage(empty_storage_url)).connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM alembic_version").scalar() == 1


def test_plain_optuna_opens_what_we_made_and_we_open_what_it_made(empty_storage_url: str) -> None:
    theirs = new_study(optuna.storages.RDBStorage(empty_storage_url), "theirs")
    theirs.add_trial(complete())
    assert len(optuna.load_study(study_name="theirs", storage=open_storage(empty_storage_url)).trials) == 1
    new_study(open_storage(empty_storage_url), "ours").add_trial(complete())
    assert len(optuna.load_study(study_name="ours", storage=empty_storage_url).trials) == 1


def test_bulk_reading_equals_optunas(storage_url: str) -> None:
    study = new_study(open_storage(storage_url))
    study.add_trials([complete(16), pruned(), waiting("a"), complete(32, values=[float("inf"), float("-inf"), 0.0])])
    asked = study.ask()
    asked.set_user_attr("nested", {"a": [1, None, "ü"]})
    plain = optuna.storages.RDBStorage(storage_url).get_all_trials(study._study_id)
    assert open_storage(storage_url).get_all_trials(study._study_id) == plain
    states = (optuna.trial.TrialState.COMPLETE,)
    assert [t.number for t in study.get_trials(states=states)] == [0, 3]
    loaded = optuna.load_study(study_name="s", storage=open_storage(storage_url))
    assert loaded.trials == plain
    study.tell(asked, state=optuna.trial.TrialState.FAIL)
    study.add_trials([complete(48)] * 3)
    assert [t.state.name for t in loaded.trials[4:]] == [t.state.name for t in study.trials[4:]]
    assert len(loaded.trials) == len(study.trials)


def test_a_reader_blocks_no_writer(storage_url: str) -> None:
    storage = open_storage(storage_url)
    study = new_study(storage)
    with reading(engine_of(storage)) as connection:
        connection.execute(sqlalchemy.text("SELECT count(*) FROM trials"))
        writer = threading.Thread(target=lambda: open_storage(storage_url).set_study_user_attr(study._study_id, "a", 1))
        writer.start()
        writer.join(timeout=10)
        assert not writer.is_alive()


def test_a_sqlite_transaction_is_alone_from_its_begin(sqlite_url: str) -> None:
    first, second = engine_of(open_storage(sqlite_url)), engine_of(open_storage(sqlite_url))
    order = []

    def later() -> None:
        with second.begin():
            order.append("second")

    with first.begin():
        other = threading.Thread(target=later)
        other.start()
        time.sleep(0.2)
        order.append("first")
    other.join(timeout=10)
    assert order == ["first", "second"]


def test_whoever_writes_before_there_is_a_write_ahead_log_is_waited_for(tmp_path: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/plain.db")
    DIALECT.prepare(engine)
    writer = sqlite3.connect(tmp_path / "plain.db", isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("CREATE TABLE other (x)")  # SQLite does not wait for this, whatever its timeout
    threading.Timer(0.3, writer.execute, ["COMMIT"]).start()
    engine.connect().close()
    assert sqlite3.connect(tmp_path / "plain.db").execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_a_missing_database_is_not_made_on_demand_of_a_reader(tmp_path: Path, postgres_url: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        open_storage(f"sqlite:///{tmp_path / 'none.db'}", create=False)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="holds none"):
        open_storage(postgres_url, create=False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cret@127.0.0.1:1/name?connect_timeout=2",
        "postgresql://me:s3cret@/name?host=/nowhere",
        "sqlite:////proc/nowhere/studies.db",
        f"sqlite:///{__file__}",
    ],
)
def test_an_unusable_database_is_one_sentence(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        open_storage(url)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_restarted_server_is_met_with_a_new_connection(postgres_url: str) -> None:
    storage = open_storage(postgres_url)
    study = new_study(storage)
    with engine_of(open_storage(postgres_url)).connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid != pg_backend_pid()"
        )
    assert study.trials == []


def test_roles_need_no_more_than_their_work(postgres_url: str, postgres_server: PostgresServer) -> None:
    """A worker that may only read and write rows does jobs; a reader that may only read sees them."""
    new_study(open_storage(postgres_url)).add_trial(complete())
    with engine_of(open_storage(postgres_url)).begin() as connection:
        suffix = str(connection.exec_driver_sql("SELECT current_database()").scalar())
        worker, reader = f"worker_{suffix}", f"reader_{suffix}"
        for statement in (
            f"CREATE ROLE {worker} LOGIN",
            f"CREATE ROLE {reader} LOGIN",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {worker}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {worker}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {reader}",
        ):
            connection.exec_driver_sql(statement)
    storage = open_storage(str(make_url(postgres_url).set(username=worker)))
    write(storage, "s", [complete(32)])
    add_missing(storage, "s", [waiting("a")], key="key")
    claim = JobQueue(storage, "s").claim()
    assert claim is not None
    JobQueue(storage, "s").finish(claim, [0, 0, 0], user_attributes={"a": 1}, system_attributes={})
    with search_lock(storage, "s"):
        pass
    seen = open_storage(str(make_url(postgres_url).set(username=reader)), create=False)
    assert len(optuna.load_study(study_name="s", storage=seen).trials) == 3
    with pytest.raises(sqlalchemy.exc.ProgrammingError, match="permission denied"):
        write(seen, "s", [complete(32)])


def test_nothing_is_left_beside_the_database(tmp_path: Path, sqlite_url: str) -> None:
    open_storage(sqlite_url)
    assert {path.name for path in tmp_path.iterdir()} <= {"studies.db", "studies.db-wal", "studies.db-shm"}


def test_a_study_is_looked_for_without_writing(empty_storage_url: str) -> None:
    assert not has_study(empty_storage_url, "s")
    if empty_storage_url.startswith("sqlite"):
        assert not Path(empty_storage_url.removeprefix("sqlite:///")).exists()
    storage = open_storage(empty_storage_url)
    assert not has_study(empty_storage_url, "s")
    optuna.create_study(study_name="s", storage=storage)
    assert has_study(empty_storage_url, "s")
