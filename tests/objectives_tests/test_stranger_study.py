"""A study whose objectives another package defines, one by formula and one measured, runs to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pytest

from avatar_optuna.storage import open_storage
from tests.finished_study import NAME, FinishedStudy, write_study

_ENTRY_POINTS = """[avatar_optuna.objectives]
activation_bytes = tests.stranger.activation_bytes:OBJECTIVE
calibration_error = tests.stranger.calibration_error:OBJECTIVE
"""
_OBJECTIVES = 'objectives = ["effectiveness", "activation_bytes", "calibration_error"]'


def _command(study: FinishedStudy, *words: str) -> str:
    """In a process of its own, which finds the entry points in the study's folder as if they were installed."""
    done = subprocess.run(
        [sys.executable, "-m", "avatar_optuna", *words],
        cwd=study.folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(study.folder)]),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


pytestmark = pytest.mark.timeout(900)  # a busy machine is no failure


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    folder = tmp_path_factory.mktemp("stranger")
    write_study(folder)
    package = folder / "stranger_objectives-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: stranger-objectives\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(_ENTRY_POINTS)
    path = folder / "study.toml"
    text = path.read_text().replace("n_trials = 60", f"n_trials = 40\n{_OBJECTIVES}")
    text = text.replace("[indicator]", 'activation_bytes = "<= 6000"\n[indicator]')
    path.write_text(text.replace("rounds = 2", "rounds = 1"))
    study = FinishedStudy(folder=folder)
    said = _command(study, "run", "study.toml", "--workers", "1")
    assert said.count("search     leaves out calibration_error: measured on distilled students, not predicted") == 1
    return study


def test_the_search_minimises_the_formula_within_its_constraint(study: FinishedStudy) -> None:
    trials = optuna.load_study(study_name=NAME, storage=open_storage(study.url)).get_trials()
    assert len(trials) >= 40
    for trial in trials:
        expected = 4 * trial.params["max_sequence_length"] * trial.params["intermediate_size"]
        assert trial.values[1:] == [expected]
        assert expected <= 6000


def test_the_measured_figure_is_stored_and_shown(study: FinishedStudy) -> None:
    distilled = optuna.load_study(study_name=f"{NAME}/distilled", storage=open_storage(study.url))
    assert distilled.metric_names == ["effectiveness", "size_bytes", "latency_ms", "calibration_error"]
    values = {trial.number: trial.values for trial in distilled.get_trials()}
    front = json.loads(_command(study, "front", "--study-name", NAME, "-f", "json"))
    assert front["students"]
    for row in front["students"]:
        assert row["calibration_error"] == values[row["job"]][3]
        assert 0 <= row["calibration_error"] <= 1
        assert row["activation_bytes"] == 4 * row["max_sequence_length"] * row["intermediate_size"]
    minimised = ("size_bytes", "flops", "latency_ms", "activation_bytes", "calibration_error")
    rows = [[-row["effectiveness"], *(row[name] for name in minimised)] for row in front["students"]]
    figures = np.asarray(rows)
    for index, row in enumerate(front["students"]):
        others = np.delete(figures, index, axis=0)
        is_dominated = ((others <= figures[index]).all(axis=1) & (others < figures[index]).any(axis=1)).any()
        assert row["on_front"] == (not is_dominated)


def test_tables_notes_and_report_show_both(study: FinishedStudy, tmp_path: Path) -> None:
    header = _command(study, "front", "--study-name", NAME).splitlines()[1].split()
    assert header[-6:] == ["ms", "kB", "ECE", "%", "smaller", "faster"]
    columns = _command(study, "front", "--study-name", NAME, "-f", "csv").splitlines()[0].split(",")
    assert {"activation_bytes", "calibration_error"} <= set(columns)
    page = tmp_path / "report.html"
    _command(study, "report", "--study-name", NAME, "--out", str(page))
    assert "effectiveness up, activations down and calibration error down" in page.read_text()
