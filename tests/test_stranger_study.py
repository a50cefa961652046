"""A task of five labels and a kind of teacher of another package: found by entry points, in every process of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.finished_study import STUDY
from tests.stranger import loop_kinds

ROOT = Path(__file__).parents[1]
_TEACHER = """[teacher.keyword_rules]
adds = "+= "
maximizes = "[0]"
counts = "pop"
reverses = "insert"
prints = "print"
"""

_SMALLER = {
    "rounds = 2": "rounds = 1",
    "samples = 5\nepochs = 2": "samples = 4\nepochs = 1",
    "n_trials = 60": "n_trials = 20",
    "epochs = 4\nstudents = 2": "epochs = 6\nstudents = 1",
    "max_sequence_length = [48, 64]": "max_sequence_length = [48]",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study file, and a package that declares the kinds as pip would install it."""
    metadata = tmp_path / "site" / "stranger-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[avatar_optuna.tasks]\nloop-kinds = tests.stranger.loop_kinds:KIND\n"
        "[avatar_optuna.teachers]\nkeyword_rules = tests.stranger.keyword_rules:KIND\n"
    )
    before, _, after = STUDY.replace("NAME", "loops").partition("[teacher]")
    before = before.replace('"vulnerability-prediction"\ndata = "data"', '"loop-kinds"')
    settings = after[after.index("[space]") :]
    for line, smaller in _SMALLER.items():
        settings = settings.replace(line, smaller)
    (tmp_path / "study.toml").write_text(before + _TEACHER + settings)
    return tmp_path


def _run(folder: Path, *words: str, code: int = 0) -> str:
    path = os.pathsep.join([str(ROOT), str(folder / "site")])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    command = (sys.executable, "-m", "avatar_optuna", *words)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=1500)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


@pytest.mark.timeout(1800)
def test_a_study_of_a_strangers_task_and_teacher_runs_to_its_end(folder: Path) -> None:
    _run(folder, "run", "study.toml", "--workers", "1")
    front: dict[str, Any] = json.loads(_run(folder, "front", "--study-name", "loops", "-f", "json"))
    assert front["students"]
    assert max(student["effectiveness"] for student in front["students"]) > 0.4  # chance is 0.2
    job = str(front["students"][0]["job"])
    _run(folder, "export", "--study-name", "loops", "--trial", job, "--out", "student")
    manifest = json.loads((folder / "student/avatar.json").read_text())
    assert (manifest["num_labels"], manifest["label_names"]) == (5, list(loop_kinds.KIND.label_names(None)))  # type: ignore[arg-type]
    (folder / "a.py").write_text("def f(numbers):\n    total = 0\n    for v in numbers:\n        total += v\n")
    said = json.loads(_run(folder, "predict", "student", "a.py", "-f", "json"))["inputs"][0]
    assert said["label_name"] == manifest["label_names"][said["label"]]
    assert 0.2 <= said["probability"] <= 1
    _run(folder, "report", "--study-name", "loops", "--out", "report.html")
    assert loop_kinds.KIND.title in (folder / "report.html").read_text()


def test_without_the_package_the_kinds_are_refused_in_one_line(folder: Path) -> None:
    (folder / "site/stranger-1.0.dist-info/entry_points.txt").write_text("")
    output = _run(folder, "run", "study.toml", code=2).strip()
    assert "task.kind must be one of clone-detection" in output
    assert "teacher needs exactly one of" in output
