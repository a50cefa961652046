"""Notes are written while workers finish students."""

from __future__ import annotations

from dataclasses import replace

import pytest
from optuna_dashboard._note import get_note_from_system_attrs

from avatar_optuna import dashboard_notes
from avatar_optuna.renderers import student_note
from avatar_optuna.students.hashed import HASHED
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


def test_a_note_names_family_and_precision_of_its_student(finished_study: FinishedStudy) -> None:
    """The notes as a run stored them; and of a student of the other family in four bits."""
    study = finished_study.open()
    stored = study.distilled._storage.get_study_system_attrs(study.distilled._study_id)
    trials = study.distilled.get_trials(deepcopy=False)
    assert trials
    for trial in trials:
        assert "\ntransformer in float32: " in get_note_from_system_attrs(stored, trial._trial_id)["body"]
    view = read_view(study.storage, study.name)
    of_four_bits = HASHED.configure(
        grams="token-bigrams",
        buckets=64,
        width=8,
        pooling="mean",
        num_hidden_layers=1,
        intermediate_size=12,
        hidden_dropout_prob=0.0,
        max_sequence_length=64,
        learning_rate=1e-2,
        batch_size=32,
        precision="int4",
    )
    assert "\nhashed in int4: " in student_note(view, replace(view.students[0], hyperparameters=of_four_bits))
