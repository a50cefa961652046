"""What a run tells of itself: while it works, once it has ended, and when it is killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from avatar_optuna.cli import main
from avatar_optuna.exceptions import InputError
from avatar_optuna.live import live_values, read_live
from avatar_optuna.pipeline import _recorder
from avatar_optuna.pipeline._recorder import recorded
from avatar_optuna.pool import RunStatus, pool_status
from avatar_optuna.progress import Progress
from avatar_optuna.storage import open_storage, scored_values
from avatar_optuna.study import AvatarStudy, create_study
from tests.study_tests.test_search import make_settings

NAME = "clones"
_RUN = """
import sys, time
from rich.console import Console
from avatar_optuna.pipeline._recorder import recorded
from avatar_optuna.progress import Progress
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
with recorded(AvatarStudy(open_storage(sys.argv[1]), "clones")) as recorder:
    with Progress(Console(), recorder).bar("teacher: epochs", 3):
        print("begun", flush=True)
        time.sleep(600)
"""


@pytest.fixture
def study(sqlite_url: str, tmp_path: Path) -> AvatarStudy:
    return create_study(make_settings(tmp_path), open_storage(sqlite_url))


def _run(study: AvatarStudy) -> RunStatus | None:
    return pool_status(study.storage, NAME).run


def test_it_is_known_while_it_works(study: AvatarStudy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_recorder, "_PAUSE_S", 0.0)
    assert _run(study) is None
    with recorded(study) as recorder:
        progress = Progress(Console(quiet=True)).observed_by(recorder)
        with progress.busy("reading the data"):
            run = _run(study)
            assert run is not None
            assert (run.at, run.state) == ("reading the data", "alive")
        with progress.bar("search: trials", 2_000) as update:
            update(1_500)
            run = _run(study)
            assert run is not None
            assert run.at == "search: trials, 1,500 of 2,000"
    assert _run(study) is None


def test_signs_of_the_same_work_are_seldom(study: AvatarStudy) -> None:
    with recorded(study) as recorder, Progress(Console(quiet=True), recorder).bar("search: trials", 100) as update:
        for done in range(100):
            update(done)
        run = _run(study)
        assert run is not None
        assert run.done is None


def test_a_run_that_fails_leaves_nothing(study: AvatarStudy) -> None:
    def fail() -> None:
        with recorded(study) as recorder:
            recorder.begins("teacher: epochs", 3)
            raise InputError("bad")

    with pytest.raises(InputError):
        fail()
    assert _run(study) is None


def test_a_run_leaves_what_another_said(study: AvatarStudy) -> None:
    with recorded(study) as recorder:
        recorder.begins("teacher: epochs", 3)
        recorder._registry.say({**recorder._about, "process": {**recorder._about["process"], "pid": 0}})
    assert _run(study) is not None


def test_a_killed_run_is_known_to_be_gone(
    study: AvatarStudy, sqlite_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", _RUN, sqlite_url], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert read_live(study.storage, NAME).state == "running"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    seen = read_live(study.storage, NAME)
    assert seen.state == "standing"
    sentence = live_values(seen, scored_values(study.storage, NAME, 0))["sentence"]
    assert "`run` was at “teacher: epochs”" in sentence
    assert "when it was stopped" in sentence
    words = ["status", "--study-name", NAME, "--storage", sqlite_url]
    assert main(words) == 0
    assert "  run: teacher: epochs, since 20" in (said := capsys.readouterr().out)
    assert "; stopped there, last heard" in said
    assert main([*words, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["state"] == "gone"
    with recorded(AvatarStudy(study.storage, NAME)) as recorder:
        recorder.begins("search: trials", 60)
        assert read_live(study.storage, NAME).state == "running"
    assert _run(study) is None


def test_it_works_on_without_its_database(study: AvatarStudy, sqlite_url: str) -> None:
    with recorded(study) as recorder:
        path = Path(sqlite_url.removeprefix("sqlite:///"))
        study.storage.engine.dispose()
        path.rename(path.with_suffix(".away"))
        path.mkdir()  # nothing can be opened there
        recorder.begins("teacher: epochs", 3)
        path.rmdir()
        path.with_suffix(".away").rename(path)
    assert _run(study) is None
