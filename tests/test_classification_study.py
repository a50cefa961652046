"""A study of several labels from one CSV file: every command works, and what is shown later needs no data."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
from tests.commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a busy machine is no failure

CALLS = {"file": "fopen(p, m)", "memory": "malloc(n)", "network": "connect(s, a, n)"}
STUDY = """
name = "topics"
[task]
kind = "code-classification"
data = "functions.csv"
columns = { code = "source", label = "topic" }
language = "c"
group = "project"
split = "60/20/20"
split_by_group = "project"
unusable_rows = "skip"
[teacher]
soft_labels = "answers.jsonl"
[space]
family = "hashed"
buckets = { low = 256, high = 512 }
width = { low = 4, high = 8 }
max_sequence_length = [128]
learning_rate = [3e-2]
batch_size = [32]
[constraints]
size_mb = "<= 0.1"
[indicator]
samples = 4
epochs = 1
[search]
n_trials = 40
population_size = 20
[distillation]
epochs = 4
students = 2
[measurement]
effectiveness = "macro_f1"
repeats = 5
audit = false
"""


def _command(folder: Path, *words: str) -> str:
    result = run_command(folder, *words)
    assert result.exit_code == 0, result.output
    return result.stdout


def _write_answers(folder: Path) -> None:
    """A teacher of three labels: it looks for the call."""
    with (folder / "answers.jsonl").open("w") as answers:
        for line in (folder / "inputs.jsonl").read_text().splitlines():
            row = json.loads(line)
            row["label"] = next(name for name, call in CALLS.items() if call in row["functions"][0])
            answers.write(json.dumps(row) + "\n")


def test_a_study_of_three_labels_goes_the_whole_way(tmp_path: Path) -> None:
    with (tmp_path / "functions.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["source", "topic", "project"])
        for number in range(300):
            topic = list(CALLS)[number % 3]
            writer.writerow([f"int f{number}(int n) {{ {CALLS[topic]}; {CALLS[topic]}; }}", topic, f"p{number % 40}"])
        writer.writerow(["", "file", "p1"])
    (tmp_path / "study.toml").write_text(STUDY)
    assert json.loads(_command(tmp_path, "data", "study.toml", "-f", "json"))["skipped"] == 1
    _command(tmp_path, "teacher", "study.toml", "--inputs", "inputs.jsonl")
    _write_answers(tmp_path)
    assert "100.0 %" in _command(tmp_path, "teacher", "study.toml")
    said = _command(tmp_path, "run", "study.toml", "--workers", "1")
    assert "1 row cannot be used and is left out" in " ".join(said.split())
    study = AvatarStudy(open_storage(f"sqlite:///{tmp_path}/storage/studies.db", create=False), "topics")
    assert study.settings.task.options["labels"] == ["file", "memory", "network"]

    (tmp_path / "functions.csv").unlink()
    front = json.loads(_command(tmp_path, "front", "--study-name", "topics", "-f", "json"))
    student = max(front["students"], key=lambda row: row["effectiveness"])
    assert student["effectiveness"] > 0.6  # chance is a third
    assert "macro F1" in _command(tmp_path, "front", "--study-name", "topics", "--metrics")
    _command(tmp_path, "report", "--study-name", "topics", "--out", "report.html")
    assert "which label does a function have?" in (tmp_path / "report.html").read_text()
    _command(tmp_path, "export", "--study-name", "topics", "--student", str(student["job"]), "--out", "student")
    manifest = json.loads((tmp_path / "student/avatar.json").read_text())
    assert manifest["label_names"] == ["file", "memory", "network"]
    (tmp_path / "a.c").write_text("int g(int n) { malloc(n); malloc(n); }")
    (answer,) = json.loads(_command(tmp_path, "predict", "student", "a.c", "-f", "json"))["inputs"]
    assert answer["label_name"] == manifest["label_names"][answer["label"]]
