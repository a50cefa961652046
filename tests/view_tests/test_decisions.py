"""Thresholds, temperatures and fidelity of a real finished study, in its table, JSON and model card, and at export."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from avatar_optuna.decision import Decision
from avatar_optuna.exceptions import InputError
from avatar_optuna.exports import _export, export_student
from avatar_optuna.renderers import front_table, model_card
from avatar_optuna.storage import open_storage
from avatar_optuna.view import StudyView, read_view
from tests.finished_study import NAME, FinishedStudy

MISSED = "precision >= 0.9 cannot be reached on validation: the highest precision is 0.831, at a recall of 0.120"


@pytest.fixture(scope="module")
def view(finished_study: FinishedStudy) -> StudyView:
    return read_view(open_storage(finished_study.url), NAME)


@pytest.fixture(scope="module")
def missing(view: StudyView) -> StudyView:
    """The same study, as if thresholds had been chosen, of which one misses its aim."""
    first, *others = view.students
    first = replace(first, result=replace(first.result, decision=Decision(threshold=0.123456, missed=MISSED)))
    settings = replace(view.settings, distillation=replace(view.settings.distillation, threshold="precision >= 0.9"))
    return replace(view, students=(first, *others), settings=settings)


def _printed(view: StudyView) -> str:
    stream = io.StringIO()
    front_table(view, Console(file=stream, width=300))
    return stream.getvalue()


def test_a_student_is_compared_with_its_teacher(view: StudyView, finished_study: FinishedStudy) -> None:
    """Both call the test functions as they are here, so they agree: see `tests.finished_study`."""
    assert view.teacher is not None
    assert view.teacher.test is not None
    assert view.teacher.decision is not None
    shown = json.loads(finished_study.command("front", "--study-name", NAME, "-f", "json"))
    for student, row in zip(view.students, shown["students"], strict=True):
        assert student.fidelity is not None
        low, high = student.fidelity.agreement_interval
        assert 0 <= low <= student.fidelity.agreement <= high <= 1
        wrong = 2 - student.result.test["accuracy"] - view.teacher.test["accuracy"]
        assert student.fidelity.agreement >= 1 - wrong - 1e-9  # where both are right they agree
        assert row["test"]["agreement"] == student.fidelity.agreement
        assert "agreement" not in row["valid"]
        assert (row["temperature"], row["threshold"]) == (student.decision.temperature, None)
        assert {"ece", "ece_uncalibrated", "ece_interval"} <= set(row["valid"])
    assert f"{100 * view.students[0].metrics('test')['agreement']:.1f}" in _printed(view)


def test_a_threshold_is_a_column_where_one_was_chosen(view: StudyView, missing: StudyView) -> None:
    assert "threshold" not in _printed(view)
    printed = _printed(missing)
    assert "0.123 !" in printed
    assert f"student {missing.students[0].job}: {MISSED}" in printed
    assert "chosen on validation for precision >= 0.9" in printed


def test_the_card_says_how_the_student_decides(view: StudyView, missing: StudyView) -> None:
    plain, card = (model_card(one, one.students[0]) for one in (view, missing))
    assert "| ECE uncalibrated ↓ |" in plain
    assert "| label as teacher |" in plain
    assert f"a temperature of {view.students[0].decision.temperature:.3g}, fitted on validation" in plain
    assert "is given from a probability" not in plain
    assert "from a probability of 0.123 on, chosen on validation for precision >= 0.9" in card
    assert f"the figures above are at it. But {MISSED}." in card
    assert "the figures above are those of 0.123" in model_card(missing, missing.students[0], threshold=0.7)


def test_a_student_that_misses_its_aim_is_exported_with_another_threshold(
    missing: StudyView, finished_study: FinishedStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_export, "read_view", lambda storage, name: missing)
    job = missing.students[0].job
    with pytest.raises(InputError) as caught:
        export_student(finished_study.open(), job, tmp_path / "student")
    assert str(caught.value) == (
        f"student {job} needs a --threshold to be exported, as its own misses its aim: {MISSED}"
    )
    export_student(finished_study.open(), job, tmp_path / "student", threshold=0.4)
    manifest = json.loads((tmp_path / "student/avatar.json").read_text())
    assert manifest["threshold"] == 0.4
    shown = json.loads(finished_study.command("front", "--study-name", NAME, "-f", "json"))
    assert manifest["temperature"] == shown["students"][0]["temperature"]
