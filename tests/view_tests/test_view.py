"""One snapshot of a study: read in a handful of statements, and equal to what the trials say one by one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine

from avatar_optuna.cli import main
from avatar_optuna.exceptions import InputError
from avatar_optuna.schema import COMPARISON, INDICATOR, JobResult
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import StudyView, read_view
from tests.finished_study import NAME, FinishedStudy
from tests.study_tests.test_search import make_objective, make_settings, run_search

_MOST_STATEMENTS = 20


@contextmanager
def _statements() -> Iterator[list[str]]:
    """What any engine of this process executes meanwhile."""
    executed: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield executed
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="module")
def view(finished_study: FinishedStudy) -> StudyView:
    return read_view(open_storage(finished_study.url), NAME)


def test_a_front_of_a_thousand_trials_takes_few_statements(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = make_settings(tmp_path, ("n_trials = 60", "n_trials = 1000"))
    study = run_search(sqlite_url, settings)
    study.set_attribute(f"{INDICATOR}:0", make_objective(settings)[0].indicator.to_dict())
    with _statements() as executed:
        assert main(["front", "--study-name", "clones", "--storage", sqlite_url, "-f", "json"]) == 0
    front = json.loads(capsys.readouterr().out)
    assert len(study.search.get_trials(deepcopy=False)) >= 1000
    assert front["predicted"]
    assert 5 < len(executed) <= _MOST_STATEMENTS, executed


def test_a_finished_study_takes_as_few(finished_study: FinishedStudy, capsys: pytest.CaptureFixture[str]) -> None:
    for output in ("json", "csv", "table"):
        with _statements() as executed:
            assert main(["front", "--study-name", NAME, "--storage", finished_study.url, "-f", output]) == 0
        assert 5 < len(executed) <= _MOST_STATEMENTS, executed
        assert capsys.readouterr().out


def test_showing_a_front_loads_no_heavy_library(finished_study: FinishedStudy) -> None:
    heavy = "{'torch', 'z3', 'sklearn', 'transformers', 'plotly'}"
    words = ["front", "--study-name", NAME, "--storage", finished_study.url, "-f", "json"]
    code = f"import sys; from avatar_optuna.cli import main; main({words}); print({heavy} & set(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, timeout=120
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_students_are_what_their_jobs_measured(view: StudyView, finished_study: FinishedStudy) -> None:
    study = finished_study.open()
    trials = study.distilled.get_trials()
    compared = study.read_attributes()[COMPARISON]["models"]
    purposes = {trial.number: trial.user_attrs["purpose"] for trial in trials}
    assert sorted(s.job for s in view.students) == [job for job, purpose in purposes.items() if purpose == "front"]
    assert len(view.indicator_samples) == 5
    assert [s.effectiveness for s in view.students] == sorted((s.effectiveness for s in view.students), reverse=True)
    for student in (*view.students, *view.indicator_samples):
        assert student.result == JobResult.from_trial(trials[student.job])
        assert student.hyperparameters.to_dict() == trials[student.job].params
        assert (student.figures["effectiveness"], student.size_bytes) == tuple(trials[student.job].values[:2])
        assert (student.prediction is None) == (student.purpose == "indicator")
    for student in view.students:
        (latency,) = (e["median_ms"] for e in compared[str(student.job)]["latency"] if e["batch_size"] == 1)
        assert student.is_compared
        assert student.latency_ms == latency
        assert compared[str(student.job)]["size_bytes"] == student.size_bytes
        assert student.times_less_than["teacher"]["size"] == compared["teacher"]["size_bytes"] / student.size_bytes
    assert view.jobs["COMPLETE"] == len(trials)


def test_how_much_smaller_a_student_is_counts_its_bytes_also_where_a_comparison_counted_its_parameters(
    finished_study: FinishedStudy, tmp_path: Path
) -> None:
    """Earlier versions stored four bytes a parameter, whatever the precision."""
    shutil.copytree(finished_study.folder, tmp_path, dirs_exist_ok=True)
    storage = open_storage(f"sqlite:///{tmp_path / 'storage/studies.db'}")
    study = AvatarStudy(storage, NAME)
    stored = study.read_attributes()[COMPARISON]
    models = {name: {**model, "size_bytes": 1_000_000} for name, model in stored["models"].items()}
    study.set_attribute(COMPARISON, {**stored, "models": models})
    for student in read_view(storage, NAME).students:
        assert student.times_less_than["teacher"]["size"] == 1_000_000 / student.size_bytes


def test_the_predicted_front_is_optunas_best_trials(view: StudyView, finished_study: FinishedStudy) -> None:
    trials = finished_study.open().search.get_trials(states=(TrialState.COMPLETE,))
    of_last_round = [trial for trial in trials if trial.user_attrs["round"] == 1]
    plain = optuna.create_study(directions=["maximize", "minimize", "minimize"])
    plain.add_trials(of_last_round)
    values = {tuple(trial.values) for trial in plain.best_trials}
    shown = {(s.prediction.effectiveness, float(s.size_bytes), float(s.flops)) for s in view.predicted_front}
    assert shown == values
    by_number = {trial.number: trial for trial in of_last_round}
    assert all(s.hyperparameters.to_dict() == by_number[s.trial].params for s in view.predicted_front)


def test_a_view_cannot_be_changed(view: StudyView) -> None:
    with pytest.raises(FrozenInstanceError):
        view.name = "another"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        view.students[0].on_front = False  # type: ignore[misc]


def test_a_study_of_another_program_is_refused(sqlite_url: str) -> None:
    storage = open_storage(sqlite_url)
    optuna.create_study(study_name="plain", storage=storage)
    with pytest.raises(InputError, match=r"^--study-name must be a study made by avatar-optuna, got 'plain'"):
        read_view(storage, "plain")
    with pytest.raises(InputError, match=r"^--study-name must be a study of the database, got 'x'; it holds: plain$"):
        read_view(storage, "x")


def test_the_front_is_decided_by_the_latency_that_is_shown(
    view: StudyView, finished_study: FinishedStudy, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["front", "--study-name", NAME, "--storage", finished_study.url, "-f", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)["students"]
    assert [row["latency_ms"] for row in rows] == [student.latency_ms for student in view.students]
    assert not any(row["latency_is_provisional"] for row in rows)
    values = [(-row["effectiveness"], row["size_bytes"], row["flops"], row["latency_ms"]) for row in rows]
    for row, own in zip(rows, values, strict=True):
        is_dominated = any(other != own and all(b <= a for a, b in zip(own, other, strict=True)) for other in values)
        assert row["on_front"] == (not is_dominated)
