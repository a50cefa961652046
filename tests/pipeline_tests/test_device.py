"""A study that searches on measured time: the cost model is calibrated once, and is what its values are made of."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from avatar_optuna.schema import AUDIT, COST, COST_MODELS, Audit, StudyCost
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.study import searched, stored_cost_models
from tests.finished_study import NAME, FinishedStudy, write_study

pytestmark = pytest.mark.slow  # a study of its own


@pytest.fixture(scope="module")
def timed_study(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    folder = tmp_path_factory.mktemp("timed")
    write_study(folder)
    path = folder / "study.toml"
    text = (
        path.read_text()
        .replace("rounds = 2", "rounds = 1")
        .replace("n_trials = 60", 'n_trials = 40\nobjectives = ["effectiveness", "latency_ms"]')
    )
    path.write_text(text.replace('size_mb = "<= 0.1"', 'size_mb = "<= 0.1"\nlatency_ms = "<= 1000"'))
    study = FinishedStudy(folder=folder)
    said = study.process("run", "study.toml")
    assert "calibrated latency_ms on 40 students" in said
    return study


def test_values_are_what_the_stored_predictor_says(timed_study: FinishedStudy) -> None:
    study = timed_study.open()
    cost_model = stored_cost_models(study)["latency_ms"]
    assert cost_model.device["threads"] == 1
    found = searched(study, round_=0)
    expected = [float(cost_model(student)) for student in found.students]
    assert np.allclose(found.values[:, 1], expected)
    assert "calibration" in StudyCost.from_dict(study.read_attributes()[COST]).phases


def test_a_rerun_keeps_the_predictor(timed_study: FinishedStudy) -> None:
    before = timed_study.open().read_attributes()[COST_MODELS["latency_ms"]]
    said = timed_study.command("run", "study.toml")
    assert "all is done" in said
    assert "calibrated" not in said
    assert timed_study.open().read_attributes()[COST_MODELS["latency_ms"]] == before


def test_the_front_shows_predicted_latency(timed_study: FinishedStudy) -> None:
    cost_model = stored_cost_models(timed_study.open())["latency_ms"]
    front = json.loads(timed_study.command("front", "--study-name", NAME, "-f", "json"))
    for row in (*front["students"], *front["predicted"]):
        student = TRANSFORMER.configure(**{name: row[name] for name in TRANSFORMER.names})
        assert row["predicted_latency_ms"] == pytest.approx(float(cost_model(student)))
    assert "of one input at full length, predicted for" in timed_study.command("front", "--study-name", NAME)


@pytest.fixture
def moved_study(timed_study: FinishedStudy, tmp_path: Path) -> FinishedStudy:
    """The same study, as if it had been calibrated and searched on another processor."""
    shutil.copytree(timed_study.folder, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "study.toml"
    path.write_text(path.read_text().replace('data = "data"', f'data = "{timed_study.folder}/data"'))
    moved = FinishedStudy(folder=tmp_path)
    study = moved.open()
    values = study.read_attributes()[COST_MODELS["latency_ms"]]
    device = {**values["device"], "model": "Another Processor", "threads": 4}
    study.set_attribute(COST_MODELS["latency_ms"], {**values, "device": device, "host": "elsewhere"})
    return moved


def test_a_searched_study_says_for_which_device_it_predicts(moved_study: FinishedStudy) -> None:
    said = " ".join(moved_study.command("run", "study.toml").split())
    assert "latency_ms is predicted for Another Processor with 4 threads of elsewhere" in said
    assert "all is done" in said


def test_a_search_does_not_go_on_with_the_cost_model_of_another_device(moved_study: FinishedStudy) -> None:
    path = moved_study.folder / "study.toml"
    path.write_text(path.read_text().replace("n_trials = 40", "n_trials = 60"))
    before = len(searched(moved_study.open(), round_=0))
    message = (
        "the device must be the one that the study finished was calibrated on: latency_ms is predicted for Another"
    )
    with pytest.raises(AssertionError, match=message):
        moved_study.command("run", "study.toml")
    assert len(searched(moved_study.open(), round_=0)) == before


def test_a_gpu_that_is_not_there_is_refused(tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "study.toml"
    path.write_text(path.read_text().replace("[measurement]", '[measurement]\ndevice = "cuda:15"'))
    with pytest.raises(AssertionError, match=r"measurement.device must be of this machine, .* got 'cuda:15'"):
        FinishedStudy(folder=tmp_path).command("run", "study.toml", "--workers", "1", "--devices", "cpu")


def test_an_audit_is_made_when_asked_for_and_only_once(timed_study: FinishedStudy) -> None:
    assert AUDIT not in timed_study.open().read_attributes()  # the study file says: audit = false
    said = timed_study.command("audit", "--study-name", NAME)
    found = Audit.from_dict(timed_study.open().read_attributes()[AUDIT])
    assert len(found.students) >= 30
    assert found.verdict in " ".join(said.split())
    again = json.loads(timed_study.command("audit", "--study-name", NAME, "-f", "json"))
    assert again == found.to_dict()


def test_a_constraint_on_time_that_nothing_meets_is_refused(timed_study: FinishedStudy, tmp_path: Path) -> None:
    write_study(tmp_path)
    path = tmp_path / "study.toml"
    path.write_text(path.read_text().replace('size_mb = "<= 0.1"', 'latency_ms = "<= 0.00001"'))
    with pytest.raises(
        AssertionError,
        match=re.escape("no configuration satisfies these constraints together: 'latency_ms <= 0.00001'"),
    ):
        FinishedStudy(folder=tmp_path).command("space", "study.toml")
