"""Notes are written while workers finish students."""

from __future__ import annotations

from dataclasses import replace

import pytest

from avatar_optuna import dashboard_notes
from avatar_optuna.view import read_view
from tests.finished_study import FinishedStudy


def test_a_student_that_is_finished_meanwhile_is_noted_the_next_time(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished_study.open()
    done = {trial.number for trial in study.distilled.get_trials()}
    view = read_view(study.storage, study.name)
    noted: list[int] = []
    monkeypatch.setattr(
        dashboard_notes,
        "_write",
        lambda _, trial, body: len(noted) if trial is None else noted.append(trial.number) or 0,
    )
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(dashboard_notes, "read_view", lambda *_: replace(view, students=view.students[1:]))
        dashboard_notes.write_notes(study)
    assert len(noted) == len(done) - 1
    noted.clear()
    dashboard_notes.write_notes(study)
    assert set(noted) == done
