"""`list` and `delete`, on a stored study with students, in both kinds of database."""

from __future__ import annotations

import json
import os
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from avatar_optuna.schema import CHECKPOINT, SETTINGS, distilled_name
from avatar_optuna.storage import (
    WorkerRegistry,
    artifact_store,
    copy_study,
    open_storage,
    search_lock,
    study_summaries,
    upload_directory,
)
from tests.commands import run_command
from tests.test_earlier_studies import NAME, unpack


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpack("finished", tmp_path)


@pytest.fixture
def url(folder: Path, storage_url: str) -> str:
    """A database with the finished study and another one."""
    storage = open_storage(storage_url)
    copy_study(source=open_storage(f"sqlite:///{folder}/storage/studies.db"), target=storage, study_name=NAME)
    optuna.create_study(study_name="of another program", storage=storage)
    other = optuna.create_study(study_name="other", storage=storage)
    other.set_user_attr(SETTINGS, {})
    optuna.create_study(study_name=distilled_name("other"), storage=storage)
    return storage_url


def _files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "storage/artifacts").iterdir()}


def _tables(url: str) -> dict[str, int]:
    with open_storage(url).engine.connect() as connection:
        names = ["studies", "study_directions", "study_user_attributes", "study_system_attributes", "trials"]
        names += ["trial_params", "trial_values", "trial_user_attributes", "trial_system_attributes"]
        names += ["trial_heartbeats", "trial_intermediate_values"]
        return {name: connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar() or 0 for name in names}


def test_studies_are_listed(url: str, folder: Path) -> None:
    result = run_command(folder, "list", "--storage", url, "-f", "json")
    study, other = json.loads(result.stdout)["studies"]
    assert (study["name"], study["state"], study["trials"], study["waiting"]) == (NAME, "finished", 120, 0)
    front = json.loads(run_command(folder, "front", "--study-name", NAME, "--storage", url, "-f", "json").stdout)
    assert study["students"] == len(front["students"])
    assert study["size_bytes"] == sum(path.stat().st_size for path in (folder / "storage/artifacts").iterdir())
    assert study["last_activity"].startswith("2026-11-25T13:")
    assert (other["name"], other["state"], other["trials"], other["last_activity"]) == ("other", "unfinished", 0, None)
    table = run_command(folder, "list", "--storage", url).stdout
    assert NAME in table
    assert "of another program" not in table


def test_a_dry_run_deletes_nothing(url: str, folder: Path) -> None:
    before = _files(folder), _tables(url)
    result = run_command(folder, "delete", "--study-name", NAME, "--storage", url, "--dry-run")
    assert result.exit_code == 0
    assert f"would delete {NAME}: 120 trials, 9 jobs and {len(before[0])} files" in result.stdout
    assert (_files(folder), _tables(url)) == before


def test_a_study_is_deleted_and_others_stay(url: str, folder: Path) -> None:
    (folder / "storage/artifacts/another").write_text("a file of another study")
    result = run_command(folder, "delete", "--study-name", NAME, "--storage", url, "--yes")
    assert result.exit_code == 0, result.output
    assert _files(folder) == {"another"}
    assert [summary.name for summary in study_summaries(open_storage(url))] == ["other"]
    rows = _tables(url)
    assert (rows["studies"], rows["study_directions"], rows["study_user_attributes"]) == (3, 3, 1)
    assert {name: number for name, number in rows.items() if name.startswith("trial")} == dict.fromkeys(
        [name for name in rows if name.startswith("trial")], 0
    )
    assert run_command(folder, "delete", "--study-name", NAME, "--storage", url, "--yes").exit_code == 2


def test_the_cache_goes_with_the_last_study(folder: Path, tmp_path: Path) -> None:
    url, cache = f"sqlite:///{folder}/storage/studies.db", tmp_path / "cache"
    (cache / "teachers" / "one").mkdir(parents=True)
    (cache / "teachers" / "one" / "vectors.npy").write_text("vectors")
    (cache / "notes.txt").write_text("of somebody else")
    other = optuna.create_study(study_name="other", storage=open_storage(url))
    other.set_user_attr(SETTINGS, {})
    words = ("delete", "--study-name", NAME, "--storage", url, "--cache", str(cache), "--dry-run")
    assert "of the cache" not in run_command(folder, *words).stdout
    optuna.delete_study(study_name="other", storage=open_storage(url))
    assert f"and the 1 files of the cache {cache}" in run_command(folder, *words).stdout
    assert (cache / "teachers" / "one" / "vectors.npy").exists()
    assert run_command(folder, *words[:-1], "--yes").exit_code == 0
    assert [path.name for path in cache.rglob("*") if path.is_file()] == ["notes.txt"]


def test_an_interrupted_deletion_is_completed_by_the_next(url: str, folder: Path) -> None:
    paths = sorted((folder / "storage/artifacts").iterdir())
    for path in paths[: len(paths) // 2]:
        path.unlink()  # where the first call was killed
    assert run_command(folder, "delete", "--study-name", NAME, "--storage", url, "--yes").exit_code == 0
    assert _files(folder) == set()
    assert [summary.name for summary in study_summaries(open_storage(url))] == ["other"]


def test_checkpoints_go_and_kept_files_stay(url: str, folder: Path) -> None:
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint/state.json").write_text("{}")
    files = upload_directory(artifact_store(folder / "storage/artifacts"), folder / "checkpoint")
    jobs = optuna.load_study(study_name=distilled_name(NAME), storage=open_storage(url))
    jobs.add_trial(optuna.trial.create_trial(state=TrialState.WAITING, user_attrs={CHECKPOINT: {"files": files}}))
    stored = _files(folder)
    copy = f"sqlite:///{folder}/copy.db"
    copy_study(source=open_storage(url), target=open_storage(copy), study_name=NAME)
    assert run_command(folder, "delete", "--study-name", NAME, "--storage", url, "--yes", "--keep-files").exit_code == 0
    assert _files(folder) == stored
    assert run_command(folder, "delete", "--study-name", NAME, "--storage", copy, "--yes").exit_code == 0
    assert _files(folder) == set()


def test_a_study_at_work_is_not_deleted(url: str, folder: Path) -> None:
    words = ("delete", "--study-name", NAME, "--storage", url, "--yes")
    before = _files(folder), _tables(url)
    with search_lock(open_storage(url), NAME):
        result = run_command(folder, *words)
        assert (result.exit_code, "is being searched" in result.stderr) == (1, True)
    registry = WorkerRegistry(open_storage(url), distilled_name(NAME))
    registry.beat("worker-1", {"host": "a", "device": "cpu", "since": "now", "process": {"pid": os.getpid()}})
    result = run_command(folder, *words)
    assert (result.exit_code, "is served by workers (worker-1): stop them first" in result.stderr) == (1, True)
    registry.leave("worker-1")
    assert (_files(folder), _tables(url)) == before


def test_deleting_must_be_confirmed(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    result = run_command(folder, "delete", "--study-name", NAME, "--storage", url)
    assert result.exit_code == 2
    assert result.stderr == (
        "avatar-optuna delete: --yes must be given where nobody can be asked; --dry-run says what would be deleted\n"
    )
