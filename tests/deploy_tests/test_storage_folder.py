"""What `storage/` holds, tried on a real server: settings, roles, backup and restore."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import optuna
import pytest
import sqlalchemy

from avatar_optuna.storage import WorkerRegistry, add_missing, open_storage, search_lock
from tests.deploy_tests.servers import ROOT, STORAGE, ConfiguredServer

NAMES = ("AVATAR_OWNER_PASSWORD", "AVATAR_WORKER_PASSWORD", "AVATAR_READER_PASSWORD")


@pytest.fixture(scope="module")
def server() -> Iterator[ConfiguredServer]:
    server = ConfiguredServer(["postgres", "-c", f"config_file={STORAGE / 'postgresql.conf'}"])
    yield server
    server.delete()


@pytest.fixture
def database(server: ConfiguredServer, monkeypatch: pytest.MonkeyPatch) -> ConfiguredServer:
    """The server with its roles, and an empty database `avatar`."""
    server.as_superuser("DROP DATABASE IF EXISTS avatar WITH (FORCE)")
    applied = server.apply_roles()
    assert applied.returncode == 0, applied.stderr
    return server


def _storage(server: ConfiguredServer, role: str, monkeypatch: pytest.MonkeyPatch, *, create: bool = False):  # type: ignore[no-untyped-def]
    environment = server.environment(role)
    monkeypatch.setenv("PGPASSWORD", environment["PGPASSWORD"])
    return open_storage(environment["OPTUNA_STORAGE"], create=create)


def test_the_settings_are_taken(database: ConfiguredServer) -> None:
    wrong = "SELECT name || ': ' || error FROM pg_file_settings WHERE error IS NOT NULL OR NOT applied"
    settings = database.as_superuser(wrong).splitlines()
    assert [line for line in settings if not line.startswith("listen_addresses")] == []
    assert database.as_superuser("SHOW max_connections") == "200"
    assert database.as_superuser("SHOW synchronous_commit") == "on"


@pytest.mark.parametrize("missing", NAMES)
def test_there_is_no_default_password(server: ConfiguredServer, missing: str) -> None:
    server.as_superuser("DROP DATABASE IF EXISTS avatar WITH (FORCE)")
    for password in (None, "", "short"):
        given = {name: value for name, value in server.passwords.items() if name != missing}
        applied = server.apply_roles(given if password is None else {**given, missing: password})
        assert applied.returncode == 3
        assert "must each hold 16 characters" in applied.stderr
    assert server.as_superuser("SELECT count(*) FROM pg_database WHERE datname = 'avatar'") == "0"


def test_roles_may_be_applied_again_and_no_password_is_logged(database: ConfiguredServer) -> None:
    database.as_superuser("ALTER SYSTEM SET log_statement = 'all'")
    database.as_superuser("SELECT pg_reload_conf()")
    try:
        applied = database.apply_roles()
        assert applied.returncode == 0, applied.stderr
    finally:
        database.as_superuser("ALTER SYSTEM RESET log_statement")
        database.as_superuser("SELECT pg_reload_conf()")
    assert "avatar_owner" in database.log
    assert not any(password in database.log for password in database.passwords.values())


def test_each_role_may_do_its_work_and_no_more(database: ConfiguredServer, monkeypatch: pytest.MonkeyPatch) -> None:
    optuna.create_study(study_name="s", storage=_storage(database, "owner", monkeypatch, create=True))
    worker = optuna.load_study(study_name="s", storage=_storage(database, "worker", monkeypatch, create=True))
    worker.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    reader = optuna.load_study(study_name="s", storage=_storage(database, "reader", monkeypatch))
    assert [trial.state.name for trial in reader.trials] == ["COMPLETE", "COMPLETE"]
    with pytest.raises((sqlalchemy.exc.InternalError, optuna.exceptions.StorageInternalError)):
        reader.enqueue_trial({"x": 0.5})
    for role, statement in (
        ("worker", "DROP TABLE trials"),
        ("worker", "CREATE TABLE mine (a int)"),
        ("worker", "UPDATE alembic_version SET version_num = '0'"),
        ("worker", "DELETE FROM alembic_version"),
        ("worker", "UPDATE version_info SET schema_version = 0"),
        ("worker", "DELETE FROM studies"),
        ("worker", "UPDATE studies SET study_name = 'other'"),
        ("worker", "INSERT INTO studies (study_name) VALUES ('mine')"),
        ("worker", "DELETE FROM trials"),
        ("worker", "SELECT lo_create(0)"),
        ("worker", "SELECT avatar_rights.give()"),
        ("reader", "BEGIN READ WRITE; DELETE FROM trials"),
        ("reader", "BEGIN READ WRITE; INSERT INTO trials (trial_id) VALUES (9)"),
        ("reader", "BEGIN READ WRITE; CREATE TEMPORARY TABLE mine (a int)"),
        ("reader", "BEGIN READ WRITE; SELECT lo_create(0)"),
        ("reader", "BEGIN READ WRITE; SELECT lo_from_bytea(0, '\\x00')"),
        ("reader", "SELECT pg_advisory_lock(1)"),
        ("reader", "SELECT pg_try_advisory_xact_lock(1)"),
        ("reader", "SELECT setval('trials_trial_id_seq', 1)"),
        ("owner", "CREATE ROLE another"),
        ("owner", "ALTER ROLE avatar_reader PASSWORD 'another password'"),
    ):
        refused = database.query(role, statement)
        assert refused.returncode == 1, statement
        assert any(words in refused.stderr for words in ("permission denied", "must be owner")), refused.stderr
    moved = database.query("worker", "UPDATE studies SET study_id = 99")
    assert "violates foreign key constraint" in moved.stderr


def test_a_worker_searches_and_distils_a_study_that_the_owner_made(
    database: ConfiguredServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every statement of a worker that `avatar-optuna` sends is within its rights."""
    owner = _storage(database, "owner", monkeypatch, create=True)
    optuna.create_study(study_name="s", storage=owner)
    optuna.create_study(study_name="s/distilled", storage=owner, directions=["maximize"])
    worker = _storage(database, "worker", monkeypatch)
    registry = WorkerRegistry(worker, "s/distilled")
    registry.beat("w", {"host": "here"})
    registry.leave("w")
    with search_lock(worker, "s"):
        pass
    trials = [optuna.trial.create_trial(state=optuna.trial.TrialState.WAITING, user_attrs={"key": "a"})]
    assert add_missing(worker, "s/distilled", trials, key="key") == 1
    assert optuna.load_study(study_name="s", storage=worker).study_name == "s"


def test_a_wrong_password_is_refused_and_not_shown(database: ConfiguredServer) -> None:
    environment = {**database.environment("worker"), "PGPASSWORD": "a wrong password"}
    code = "from avatar_optuna.storage import open_storage; import os; open_storage(os.environ['OPTUNA_STORAGE'])"
    result = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "password authentication failed" in result.stderr
    assert "a wrong password" not in result.stderr


def _script(server: ConfiguredServer, role: str, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(argument) for argument in arguments],
        env=server.environment(role, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def test_what_is_backed_up_is_restored(
    database: ConfiguredServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = optuna.create_study(study_name="s", storage=_storage(database, "owner", monkeypatch, create=True))
    study.set_user_attr("text", "ü 'quoted'")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=5)
    before = [(trial.number, trial.values, trial.params) for trial in study.trials]
    artifacts = tmp_path / "artifacts"
    artifacts.mkdir()
    (artifacts / "model").write_bytes(bytes(range(256)))

    made = _script(database, "reader", STORAGE / "backup", tmp_path / "backups", AVATAR_ARTIFACTS=str(artifacts))
    assert made.returncode == 0, made.stderr
    folder = Path(made.stdout.strip())
    assert sorted(path.name for path in folder.iterdir()) == ["artifacts.tar", "studies.dump"]
    assert [path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())] == [0, 0, 0]
    assert sorted((tmp_path / "backups").iterdir()) == [folder]

    restored = tmp_path / "restored"
    refused = _script(database, "owner", STORAGE / "restore", folder, AVATAR_ARTIFACTS=str(restored))
    assert refused.returncode == 2
    assert "must be empty" in refused.stderr
    database.as_superuser("DROP DATABASE avatar WITH (FORCE)")
    assert database.apply_roles().returncode == 0
    done = _script(database, "owner", STORAGE / "restore", folder, AVATAR_ARTIFACTS=str(restored))
    assert done.returncode == 0, done.stderr

    assert (restored / "model").read_bytes() == bytes(range(256))
    back = optuna.load_study(study_name="s", storage=_storage(database, "worker", monkeypatch))
    assert [(trial.number, trial.values, trial.params) for trial in back.trials] == before
    assert back.user_attrs["text"] == "ü 'quoted'"
    back.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)  # sequences and rights are there too
    assert back.trials[-1].number == 5


def test_a_password_in_the_url_stands_in_no_process_list(
    database: ConfiguredServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program named pg_dump notes how it was called, then calls the real one."""
    optuna.create_study(study_name="s", storage=_storage(database, "owner", monkeypatch, create=True))
    password = "p@ss:w/rd %41"
    database.as_superuser(f"ALTER ROLE avatar_reader PASSWORD '{password}'")
    programs = tmp_path / "programs"
    programs.mkdir()
    spy = programs / "pg_dump"
    spy.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\nexec {database.bin}/pg_dump "$@"\n')
    spy.chmod(0o755)
    url = f"postgresql://avatar_reader:{quote(password, safe='')}@/avatar?host={database.folder}&port={database.port}"
    environment = {**database.environment("reader"), "OPTUNA_STORAGE": url}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    del environment["PGPASSWORD"]
    command = [str(STORAGE / "backup"), str(tmp_path / "backups")]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    called = (tmp_path / "called").read_text()
    assert "avatar_reader@/avatar" in called
    assert not any(text in called for text in (password, quote(password, safe="")))
    environment["OPTUNA_STORAGE"] = "postgresql://h/d?password=x"
    refused = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (refused.returncode, "PGPASSWORD" in refused.stderr) == (2, True)


@pytest.mark.parametrize("script", ["backup", "restore"])
def test_scripts_say_what_they_need(script: str, tmp_path: Path) -> None:
    (tmp_path / "studies.dump").touch()
    command = [str(STORAGE / script), str(tmp_path)]
    assert "usage" in subprocess.run(command[:1], capture_output=True, text=True, check=False).stderr
    for url in ("", "sqlite:///x.db"):
        environment = {**os.environ, "OPTUNA_STORAGE": url}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert result.returncode != 0
        assert "must be the URL of" in result.stderr


def test_a_backup_of_no_studies_leaves_nothing(database: ConfiguredServer, tmp_path: Path) -> None:
    made = _script(database, "owner", STORAGE / "backup", tmp_path / "backups")
    assert made.returncode == 1
    assert "holds no studies" in made.stderr
    assert list((tmp_path / "backups").iterdir()) == []


def test_the_embedded_database_is_kept_out_of_git_and_the_rest_is_not() -> None:
    def ignored(path: str) -> bool:
        return subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT, check=False).returncode == 0

    kept_out = ["storage/studies.db", "storage/studies.db-wal", "storage/artifacts/a", "storage/cache/b", ".env"]
    assert all(map(ignored, [*kept_out, "backups/x/studies.dump"]))
    assert not any(map(ignored, ["storage/README.md", "storage/roles.sql", "storage/backup", "storage/restore"]))
