"""Notes are written while workers finish students."""

from __future__ import annotations

import pytest

from avatar_optuna import dashboard_notes
from avatar_optuna.study import distilled_students
from tests.finished_study import FinishedStudy


def test_a_student_that_is_finished_meanwhile_is_noted_the_next_time(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished_study.open()
    done = {trial.number for trial in study.distilled.get_trials()}
    noted: list[int] = []
    monkeypatch.setattr(
        dashboard_notes,
        "_write",
        lambda _, trial, body: len(noted) if trial is None else noted.append(trial.number) or 0,
    )
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(
            dashboard_notes, "distilled_students", lambda *args, **of: distilled_students(*args, **of)[1:]
        )
        dashboard_notes.write_notes(study)
    assert len(noted) == len(done) - 1
    noted.clear()
    dashboard_notes.write_notes(study)
    assert set(noted) == done
