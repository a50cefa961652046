"""The whole path in real processes: killed in each phase it goes on, and ends with the same counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from avatar_optuna.exceptions import AvatarError
from avatar_optuna.records import COMPARISON, INDICATOR, TEACHER
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy

STUDY = """
name = "tiny"
[task]
kind = "vulnerability-prediction"
data = "data"
[teacher]
epochs = 2
learning_rate = 3e-3
max_sequence_length = 64
[teacher.architecture]
vocab_size = 300
num_hidden_layers = 1
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
[space]
vocab_size = { low = 200, high = 400 }
num_hidden_layers = [1]
hidden_size = [8, 16]
intermediate_size = { low = 16, high = 32 }
num_attention_heads = [1, 2]
max_sequence_length = [48, 64]
[constraints]
size_mb = "<= 0.1"
[indicator]
samples = 4
epochs = 1
[search]
n_trials = 60
population_size = 20
rounds = 2
[distillation]
epochs = 2
students = 2
[measurement]
repeats = 5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A study file and data that a small network learns: functions that free what they use, and some that do not."""
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    for split, count in (("train", 60), ("valid", 30), ("test", 30)):
        rows = []
        for index in range(count):
            target = index % 2
            end = "return 0;" if target else "free(p); return 0;"
            rows.append(
                {
                    "func": f"int {split}{index}(int n) {{ char *p = malloc({rng.integers(99)}); {end} }}",
                    "target": target,
                }
            )
        (tmp_path / "data" / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "study.toml").write_text(STUDY)
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


def _output(folder: Path, *words: str) -> str:
    process = _command(folder, *words)
    output, _ = process.communicate(timeout=240)
    assert process.returncode == 0, output
    return output


def _study(folder: Path) -> AvatarStudy | None:
    if not (folder / "storage/studies.db").exists():
        return None
    try:
        return AvatarStudy(open_storage(f"sqlite:///{folder}/storage/studies.db", create=False), "tiny")
    except AvatarError:
        return None  # not made yet


def _jobs(study: AvatarStudy, purpose: str) -> Counter[TrialState]:
    trials = study.distilled.get_trials(deepcopy=False)
    return Counter(trial.state for trial in trials if trial.user_attrs["purpose"] == purpose)


PHASES: dict[str, Callable[[AvatarStudy], bool]] = {
    "teacher": lambda study: TEACHER not in study.attributes,
    "samples": lambda study: bool(_jobs(study, "indicator")[TrialState.RUNNING]),
    "search": lambda study: f"{INDICATOR}:0" in study.attributes,
    "distillation": lambda study: bool(_jobs(study, "front")[TrialState.RUNNING]),
}


def test_a_run_killed_in_each_phase_ends_with_the_same_counts(folder: Path) -> None:
    killed = []
    for phase, has_come in PHASES.items():
        process = _command(folder, "run", "study.toml", "--workers", "1")
        deadline = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < deadline:
            study = _study(folder)
            if study is not None and has_come(study):
                os.kill(process.pid, signal.SIGKILL)
                killed.append(phase)
                break
            time.sleep(0.02)
        output, _ = process.communicate()
        assert killed[-1:] == [phase], f"no time to kill it in the phase {phase}: {output}"
    output = _output(folder, "run", "study.toml", "--workers", "1")
    study = _study(folder)
    assert study is not None
    assert len(study.search.get_trials(deepcopy=False)) == 2 * 60
    assert _jobs(study, "indicator") == {TrialState.COMPLETE: 4}
    front = _jobs(study, "front")
    assert set(front) == {TrialState.COMPLETE}
    keys = [trial.user_attrs["key"] for trial in study.distilled.get_trials(deepcopy=False)]
    assert len(keys) == len(set(keys))
    assert set(study.attributes[COMPARISON]["models"]) >= {"teacher", "codebert"}
    assert "students of tiny" in output
    assert "all is done" in _output(folder, "run", "study.toml")
    _looks_right(folder)


def _looks_right(folder: Path) -> None:
    """The commands that look at a study, on the one that was just finished."""
    status = json.loads(_output(folder, "status", "--study-name", "tiny", "-f", "json"))
    assert status["is_finished"]
    assert status["failed"] == []
    front = json.loads(_output(folder, "front", "--study-name", "tiny", "-f", "json"))
    assert all(student["size_bytes"] <= 100_000 for student in front["students"])
    assert all(0 <= student["effectiveness"] <= 1 for student in front["students"])
    best = front["students"][0]
    _output(folder, "export", "--study-name", "tiny", "--trial", str(best["job"]), "--out", "student")
    card = (folder / "student/README.md").read_text()
    assert f"{best['size_bytes']:,} bytes on disk" in card
    assert (folder / "student/model.safetensors").stat().st_size == best["size_bytes"]
    (folder / "a.c").write_text("int a(int n) { char *p = malloc(3); return 0; }")
    said = json.loads(_output(folder, "predict", "student", "a.c", "-f", "json"))
    assert 0 <= said["inputs"][0]["probability"] <= 1
    told = [student["told_from_previous"] for student in front["predicted"]]
    table = _output(folder, "front", "--study-name", "tiny")
    assert table.count(" ~ ") == sum(not is_told for is_told in told[:10])
    assert ("it cannot rank students here" in table) == (not front["indicator"]["ranks"])
    header, *rows = _output(folder, "front", "--study-name", "tiny", "-f", "csv").splitlines()
    assert len(rows) == len(front["students"]) + len(front["predicted"])
    assert "predicted_effectiveness" in header


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "absent.toml"), "absent.toml: the study file cannot be read"),
        (("front", "--study-name", "x", "--storage", "sqlite:///absent/studies.db"), "absent"),
        (("run", "study.toml", "--devices", "tpu"), "devices"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder: Path, words: tuple[str, ...], message: str) -> None:
    process = _command(folder, *words)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2, output
    assert len(output.strip().splitlines()) == 1
    assert message in output
