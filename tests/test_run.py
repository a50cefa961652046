"""The whole path in real processes: killed in each phase it goes on, and ends with the same counts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from avatar_optuna.schema import COMPARISON, INDICATOR, SETTINGS, TEACHER
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
from tests.commands import run_command
from tests.finished_study import NAME, FinishedStudy, write_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_study(tmp_path, name="tiny")
    return tmp_path


def _command(folder: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "avatar_optuna", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _process_output(folder: Path, *words: str) -> str:
    process = _command(folder, *words)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def _output(folder: Path, *words: str) -> str:
    result = run_command(folder, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def _study(folder: Path) -> AvatarStudy:
    return AvatarStudy(open_storage(f"sqlite:///{folder}/storage/studies.db", create=False), "tiny")


def _jobs(study: AvatarStudy, purpose: str) -> Counter[TrialState]:
    trials = study.distilled.get_trials(deepcopy=False)
    return Counter(trial.state for trial in trials if trial.user_attrs["purpose"] == purpose)


def _scored(study: AvatarStudy) -> list[tuple[dict[str, Any], list[float]]]:
    return [(trial.params, trial.values) for trial in study.search.get_trials(deepcopy=False)]


_ATTRIBUTES = "SELECT key FROM study_user_attributes"
_RUNNING = (
    "SELECT value_json FROM trials JOIN trial_user_attributes USING (trial_id) WHERE state = 'RUNNING' AND key = "
)
PHASES: dict[str, Callable[[Path], bool]] = {
    "teacher": lambda folder: {SETTINGS} <= _read(folder, _ATTRIBUTES) and TEACHER not in _read(folder, _ATTRIBUTES),
    "samples": lambda folder: '"indicator"' in _read(folder, f"{_RUNNING} 'purpose'"),
    "search": lambda folder: f"{INDICATOR}:0" in _read(folder, _ATTRIBUTES),
    "distillation": lambda folder: '"front"' in _read(folder, f"{_RUNNING} 'purpose'"),
}


def _read(folder: Path, statement: str) -> set[str]:
    """The first column, read beside everything else in a fraction of a millisecond: a phase may last one second."""
    try:
        with closing(sqlite3.connect(f"file:{folder}/storage/studies.db?mode=ro", uri=True)) as connection:
            return {row[0] for row in connection.execute(statement)}
    except sqlite3.OperationalError:
        return set()  # not made yet


@pytest.mark.slow
def test_a_run_killed_in_each_phase_ends_like_one_that_never_was(folder: Path, finished_study: FinishedStudy) -> None:
    killed = []
    for phase, has_come in PHASES.items():
        process = _command(folder, "run", "study.toml", "--workers", "1")
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            if has_come(folder):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(phase)
                break
            time.sleep(0.01)
        output, _ = process.communicate()
        assert killed[-1:] == [phase], f"no time to kill it in the phase {phase}: {output}"
    output = _process_output(folder, "run", "study.toml", "--workers", "1")
    study = _study(folder)
    unbroken = finished_study.open()
    assert _scored(study) == _scored(unbroken)
    assert len(_scored(study)) >= 2 * 60
    assert _jobs(study, "indicator") == {TrialState.COMPLETE: 5}
    assert _jobs(study, "front") == _jobs(unbroken, "front")
    assert set(_jobs(study, "front")) == {TrialState.COMPLETE}
    keys = [trial.user_attrs["key"] for trial in study.distilled.get_trials(deepcopy=False)]
    assert len(keys) == len(set(keys))
    assert set(study.read_attributes()[COMPARISON]["models"]) >= {"teacher", "codebert"}
    assert "students of tiny" in output
    assert "all is done" in _output(folder, "run", "study.toml")
    _looks_right(folder, "tiny")


def test_the_commands_that_look_at_a_finished_study(finished_study: FinishedStudy, tmp_path: Path) -> None:
    shutil.copytree(finished_study.folder, tmp_path, dirs_exist_ok=True)
    _looks_right(tmp_path, NAME)


def _looks_right(folder: Path, name: str) -> None:
    """The commands that look at a study, on the one that was just finished."""
    status = json.loads(_output(folder, "status", "--study-name", name, "-f", "json"))
    assert status["is_finished"]
    assert status["failed"] == []
    front = json.loads(_output(folder, "front", "--study-name", name, "-f", "json"))
    assert all(student["size_bytes"] <= 100_000 for student in front["students"])
    assert all(0 <= student["effectiveness"] <= 1 for student in front["students"])
    best = front["students"][0]
    _output(folder, "export", "--study-name", name, "--student", str(best["job"]), "--out", "student")
    card = (folder / "student/README.md").read_text()
    assert f"{best['size_bytes']:,} bytes on disk" in card
    assert (folder / "student/model.safetensors").stat().st_size == best["size_bytes"]
    (folder / "a.c").write_text("int a(int n) { char *p = malloc(3); return 0; }")
    said = json.loads(_output(folder, "predict", "student", "a.c", "-f", "json"))
    answer = said["inputs"][0]
    assert 0 <= answer["probability"] <= 1
    line = _output(folder, "predict", "student", "a.c")
    assert line == f"{answer['label']} {answer['label_name']}  {answer['probability']:.3f}  a.c\n"
    told = [student["told_from_previous"] for student in front["predicted"]]
    table = _output(folder, "front", "--study-name", name)
    assert table.count(" ~ ") == sum(not is_told for is_told in told[:10])
    assert ("it cannot rank students here" in table) == (not front["indicator"]["ranks"])
    header, *rows = _output(folder, "front", "--study-name", name, "-f", "csv").splitlines()
    assert len(rows) == len(front["students"]) + len(front["predicted"])
    assert "predicted_effectiveness" in header


_ABSENT_TEACHER = '[teacher]\ncheckpoint = "./nowhere"\n[space]'


_BAD_INPUTS = [
    (("run", "absent.toml"), "absent.toml: the study file cannot be read"),
    (("front", "--study-name", "x", "--storage", "sqlite:///absent/studies.db"), "absent"),
    (("run", "study.toml", "--devices", "tpu"), "devices"),
    (("run", "conflict.toml"), "no configuration satisfies these constraints together: 'flops <= 4'"),
    (("create", "conflict.toml"), "no configuration satisfies these constraints together: 'flops <= 4'"),
    (("run", "row.toml"), "broken/valid.jsonl:2: target is missing"),
    (("run", "teacher.toml"), "nowhere"),
    (("teacher", "study.toml", "--device", "cuda:99"), "devices must be of this machine"),
    (("predict", "nowhere", "a.c"), "DIR must be a directory that `avatar-optuna export` wrote, nowhere is none"),
]


def _write_bad_studies(folder: Path) -> None:
    text = (folder / "study.toml").read_text()
    (folder / "conflict.toml").write_text(text.replace('size_mb = "<= 0.1"', 'flops = "<= 4"'))
    (folder / "row.toml").write_text(text.replace('data = "data"', 'data = "broken"'))
    (folder / "teacher.toml").write_text(re.sub(r"\[teacher\].*\[space\]", _ABSENT_TEACHER, text, flags=re.DOTALL))
    shutil.copytree(folder / "data", folder / "broken")
    (folder / "broken/valid.jsonl").write_text('{"func": "int a;", "target": 1}\n{"func": "int b;"}\n')


def _assert_is_refused(folder: Path, exit_code: int | None, output: str, message: str) -> None:
    assert exit_code == 2, output
    assert len(output.strip().splitlines()) == 1
    assert message in output
    assert not list(folder.glob("storage/*.db"))


@pytest.mark.parametrize(("words", "message"), _BAD_INPUTS)
def test_bad_input_is_one_line_and_exit_code_2(folder: Path, words: tuple[str, ...], message: str) -> None:
    _write_bad_studies(folder)
    result = run_command(folder, *words)
    _assert_is_refused(folder, result.exit_code, result.output, message)


@pytest.mark.parametrize(("words", "message"), [_BAD_INPUTS[3]])
def test_bad_input_to_a_process_is_one_line_and_exit_code_2(folder: Path, words: tuple[str, ...], message: str) -> None:
    _write_bad_studies(folder)
    process = _command(folder, *words)
    output, _ = process.communicate(timeout=120)
    _assert_is_refused(folder, process.returncode, output, message)
