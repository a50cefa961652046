"""A study of another package's task of five labels, teacher, student family and objectives runs to its end.

The package lies on the search path as pip would have installed it, and is found by its entry points in every process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from avatar_optuna.storage import open_storage
from tests.stranger import loop_kinds

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(900)]  # a busy machine is no failure

NAME = "loops"
ROOT = Path(__file__).parents[1]
ENTRY_POINTS = """[avatar_optuna.tasks]
loop-kinds = tests.stranger.loop_kinds:KIND
[avatar_optuna.teachers]
keyword_rules = tests.stranger.keyword_rules:KIND
[avatar_optuna.students]
bag-of-tokens = tests.stranger.bag_of_tokens:BAG_OF_TOKENS
[avatar_optuna.objectives]
activation_bytes = tests.stranger.activation_bytes:OBJECTIVE
calibration_error = tests.stranger.calibration_error:OBJECTIVE
[avatar_optuna.exports]
zip = tests.stranger.export_zip:FORMAT
"""
STUDY = """
name = "loops"
[task]
kind = "loop-kinds"
[teacher.keyword_rules]
adds = "+= "
maximizes = "[0]"
counts = "pop"
reverses = "insert"
prints = "print"
[space]
family = "bag-of-tokens"
vocab_size = { low = 200, high = 400 }
max_sequence_length = [32, 48]
[constraints]
size_mb = "<= 0.08"
width = ">= 6"
activation_bytes = "<= 9000"
[indicator]
samples = 4
epochs = 1
[search]
n_trials = 40
population_size = 20
rounds = 1
objectives = ["effectiveness", "activation_bytes", "calibration_error"]
[distillation]
epochs = 6
students = 2
[measurement]
repeats = 5
audit = false
"""


def _install(folder: Path, entry_points: str) -> None:
    metadata = folder / "site" / "stranger-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(entry_points)
    (folder / "study.toml").write_text(STUDY)


def _command(folder: Path, *words: str, code: int = 0) -> str:
    """What a command prints in a process of its own."""
    return _python(folder, "-m", "avatar_optuna", *words, code=code)


def _python(folder: Path, *words: str, code: int = 0) -> str:
    path = os.pathsep.join([str(ROOT), str(folder / "site")])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stdout + done.stderr


_ONE_AFTER_ANOTHER = """
import json, pathlib, sys
from tests.commands import run_command
results = [run_command(pathlib.Path.cwd(), *words) for words in json.loads(sys.argv[1])]
assert not any(result.exit_code for result in results), results
json.dump([result.stdout for result in results], sys.stdout)
"""


@dataclass(frozen=True, kw_only=True)
class StrangerStudy:
    """A finished study; tests only read it."""

    folder: Path
    said: str

    @cached_property
    def shown(self) -> list[str]:
        """Its front as JSON, table and CSV; the report is written beside."""
        front = f"front --study-name {NAME}"
        return self.commands(
            f"{front} -f json", front, f"{front} -f csv", f"report --study-name {NAME} --out report.html"
        )

    def commands(self, *commands: str) -> list[str]:
        """What several commands print, in one process of their own: the imports of each would cost seconds."""
        words = json.dumps([command.split() for command in commands])
        printed: list[str] = json.loads(_python(self.folder, "-c", _ONE_AFTER_ANOTHER, words))
        return printed

    def trials(self, name: str) -> optuna.Study:
        return optuna.load_study(study_name=name, storage=open_storage(f"sqlite:///{self.folder}/storage/studies.db"))

    def front(self) -> dict[str, Any]:
        front: dict[str, Any] = json.loads(self.shown[0])
        return front


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> StrangerStudy:
    folder = tmp_path_factory.mktemp("stranger")
    _install(folder, ENTRY_POINTS)
    return StrangerStudy(folder=folder, said=_command(folder, "run", "study.toml", "--workers", "1"))


def test_the_search_minimises_the_formula_within_its_constraint(study: StrangerStudy) -> None:
    assert study.said.count("search     leaves out calibration_error: measured on distilled students") == 1
    trials = study.trials(NAME).get_trials()
    assert len(trials) >= 40
    for trial in trials:
        expected = 4 * trial.params["max_sequence_length"] * trial.params["width"]
        assert trial.values[1:] == [expected]
        assert expected <= 9000
        assert trial.params["width"] >= 6


def test_the_measured_figure_is_stored_and_shown(study: StrangerStudy) -> None:
    distilled = study.trials(f"{NAME}/distilled")
    assert distilled.metric_names == ["effectiveness", "size_bytes", "latency_ms", "calibration_error"]
    values = {trial.number: trial.values for trial in distilled.get_trials()}
    students = study.front()["students"]
    assert len(students) == 2
    assert max(row["effectiveness"] for row in students) > 0.4  # chance is 0.2
    for row in students:
        assert row["calibration_error"] == values[row["job"]][3]
        assert 0 <= row["calibration_error"] <= 1
        assert row["activation_bytes"] == 4 * row["max_sequence_length"] * row["width"]
        assert row["size_bytes"] <= 80_000
    minimised = ("size_bytes", "flops", "latency_ms", "activation_bytes", "calibration_error")
    figures = np.asarray([[-row["effectiveness"], *(row[name] for name in minimised)] for row in students])
    for index, row in enumerate(students):
        others = np.delete(figures, index, axis=0)
        is_dominated = ((others <= figures[index]).all(axis=1) & (others < figures[index]).any(axis=1)).any()
        assert row["on_front"] == (not is_dominated)


def test_tables_and_report_show_family_task_and_objectives(study: StrangerStudy) -> None:
    _, table, csv, _ = study.shown
    header = table.splitlines()[1].split()
    assert header[-8:] == ["ms", "kB", "ECE", "%", "warm", "thread", "smaller", "faster"]
    columns = csv.splitlines()[0].split(",")
    assert {"activation_bytes", "calibration_error", "vocab_size", "width", "depth"} <= set(columns)
    page = (study.folder / "report.html").read_text()
    assert "effectiveness up, activations down and calibration error down" in page
    assert loop_kinds.KIND.title in page


def test_a_student_is_exported_and_answers_by_label_name(study: StrangerStudy) -> None:
    export = f"export --study-name {NAME} --student {study.front()['students'][0]['job']}"
    (study.folder / "a.py").write_text("def f(numbers):\n    total = 0\n    for v in numbers:\n        total += v\n")
    *_, predicted = study.commands(
        f"{export} --out student", f"{export} --out zipped --format zip", "predict student a.py -f json"
    )
    assert (study.folder / "zipped/student.zip").is_file()
    manifest = json.loads((study.folder / "student/avatar.json").read_text())
    assert manifest["family"] == "bag-of-tokens"
    assert (manifest["num_labels"], manifest["label_names"]) == (5, list(loop_kinds.KIND.label_names(None)))  # type: ignore[arg-type]
    said = json.loads(predicted)["inputs"][0]
    assert said["label_name"] == manifest["label_names"][said["label"]]
    assert 0.2 <= said["probability"] <= 1


def test_without_the_package_its_kinds_are_refused_in_one_line(tmp_path: Path) -> None:
    _install(tmp_path, "")
    output = _command(tmp_path, "run", "study.toml", code=2).strip()
    assert "task.kind must be one of clone-detection" in output
    assert "teacher needs exactly one of" in output
