"""Notes are written while workers finish students."""

from __future__ import annotations

import pytest

from avatar_optuna import annotations
from avatar_optuna.study import distilled_students
from tests.finished_study import FinishedStudy


def test_a_student_that_is_finished_meanwhile_is_noted_the_next_time(
    finished_study: FinishedStudy, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = finished_study.open()
    annotations.write_notes(study)
    monkeypatch.setattr(
        annotations, "distilled_students", lambda *args, **given: distilled_students(*args, **given)[1:]
    )
    annotations.write_notes(study)
