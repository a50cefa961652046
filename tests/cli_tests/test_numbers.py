"""A number means one thing: students are numbered in `NAME/distilled`, predictions in `NAME`, and are not confused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from optuna.trial import TrialState

from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy
from tests.commands import CommandResult, run_command
from tests.test_earlier_studies import NAME, unpack

STUDENTS = [5, 6, 7, 8]
PREDICTION = 77  # not distilled
SAMPLE = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return unpack("finished", tmp_path)


def _run(folder: Path, command: str, *words: str) -> CommandResult:
    return run_command(folder, command, "--study-name", NAME, *words)


def _refusal(folder: Path, command: str, *words: str) -> str:
    result = _run(folder, command, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


def _study(folder: Path) -> AvatarStudy:
    return AvatarStudy(open_storage(f"sqlite:///{folder}/storage/studies.db", create=False), NAME)


def test_a_student_is_exported_by_its_number(folder: Path) -> None:
    result = _run(folder, "export", "--student", "5", "--out", "student")
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"# Student 5 of {NAME}" in (folder / "student/README.md").read_text()


def test_the_option_of_before_is_understood_with_a_notice(folder: Path) -> None:
    result = _run(folder, "export", "--trial", "5", "--out", "student")
    assert result.exit_code == 0
    assert result.stderr == "avatar-optuna export: --trial is named --student now; the old name will go\n"
    assert (folder / "student/model.safetensors").is_file()


def test_a_brief_sample_is_not_exported(folder: Path) -> None:
    said = _refusal(folder, "export", "--student", str(SAMPLE), "--out", "student")
    assert (
        f"one of {STUDENTS}, got 3: 3 is a brief sample for the indicator (2 of 4 epochs) and is not exported" in said
    )
    assert not (folder / "student").exists()


def test_the_note_of_a_brief_sample_offers_no_export(folder: Path) -> None:
    from avatar_optuna.renderers import student_note
    from avatar_optuna.view import read_view

    view = read_view(_study(folder).storage, NAME)
    assert "export" not in student_note(view, view.indicator_samples[0])
    assert f"--student {view.students[0].job} --out" in student_note(view, view.students[0])


def test_a_prediction_is_not_exported_and_the_answer_says_what_makes_a_student_of_it(folder: Path) -> None:
    said = _refusal(folder, "export", "--student", str(PREDICTION), "--out", "student")
    assert f"77 is a prediction (`avatar-optuna distil --study-name {NAME} --trial 77` makes a student of it)" in said
    assert "999 is no number of it" in _refusal(folder, "export", "--student", "999", "--out", "student")


def test_a_prediction_is_queued_once_with_the_key_of_a_run(folder: Path) -> None:
    before = len(_study(folder).distilled.get_trials())
    for _ in range(2):
        result = _run(folder, "distil", "--trial", str(PREDICTION), "--workers", "0")
        assert result.exit_code == 0
        assert f"prediction 77 of {NAME} is student 9, still to be distilled by `avatar-optuna worker`" in result.stdout
    jobs = _study(folder).distilled.get_trials()
    assert len(jobs) == before + 1
    attributes = jobs[-1].user_attrs
    assert (attributes["key"], attributes["purpose"], attributes["epochs"]) == ("front/1/77", "front", 4)
    assert attributes["origin"] == PREDICTION
    said = _refusal(folder, "export", "--student", str(PREDICTION), "--out", "student")
    assert "77 is a prediction whose student is 9 (queued;" in said
    assert "9 is a student that is queued" in _refusal(folder, "export", "--student", "9", "--out", "student")


def test_a_prediction_that_a_run_distilled_is_that_student(folder: Path) -> None:
    front = json.loads(_run(folder, "front", "-f", "json").stdout)
    student = front["students"][0]
    result = _run(folder, "distil", "--trial", str(student["trial"]))
    assert result.exit_code == 0
    assert f"is student {student['job']}; to take it away: avatar-optuna export" in result.stdout
    assert len(_study(folder).distilled.get_trials()) == 9


def test_what_is_no_prediction_is_not_distilled(folder: Path) -> None:
    assert "got 999: 999 is no number of it" in _refusal(folder, "distil", "--trial", "999")
    study = _study(folder)
    for number in range(len(study.distilled.get_trials()), 130):  # a student with a number that no prediction has
        study.distilled.add_trial(study.distilled.get_trials()[SAMPLE if number < 129 else STUDENTS[0]])
    assert "129 is a student (`avatar-optuna export --study-name" in _refusal(folder, "distil", "--trial", "129")
    assert "128 is a brief sample" in _refusal(folder, "distil", "--trial", "128")


@pytest.mark.slow
def test_a_worker_of_this_machine_distils_a_prediction(folder: Path) -> None:
    result = _run(folder, "distil", "--trial", str(PREDICTION), "--workers", "1", "--devices", "cpu")
    assert result.exit_code == 0, result.output
    assert f"prediction 77 of {NAME} is student 9; to take it away" in result.stdout
    assert _study(folder).distilled.get_trials()[9].state is TrialState.COMPLETE
    front = json.loads(_run(folder, "front", "-f", "json").stdout)
    assert {"trial": 77, "job": 9}.items() <= next(row for row in front["students"] if row["job"] == 9).items()
    assert _run(folder, "export", "--student", "9", "--out", "student").exit_code == 0


def test_the_tables_name_both_numbers(folder: Path) -> None:
    table = _run(folder, "front").stdout
    assert "student: its number, for `export --student`" in table
    assert "(trial: a number for `distil --trial`)" in table


def test_a_threshold_is_stored_at_the_export(folder: Path) -> None:
    assert _run(folder, "export", "--student", "5", "--out", "student", "--threshold", "0.7").exit_code == 0
    assert json.loads((folder / "student/avatar.json").read_text())["threshold"] == 0.7
    assert "`predict` answers 1 from a probability of 0.7 on" in (folder / "student/README.md").read_text()
    assert _run(folder, "export", "--student", "5", "--out", "other", "--threshold", "1.5").exit_code == 2
    assert not (folder / "other").exists()
