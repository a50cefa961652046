"""What optuna-dashboard shows beside the trials: a note on each distilled student, a note and figures on the studies.

A run writes them as students are finished, so that they are there whoever opens the dashboard, and with whatever
rights: the dashboard itself writes nothing. What stands already is not written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.renderers import student_note
from avatar_optuna.schema import distilled_name
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import read_view

if TYPE_CHECKING:
    from optuna import Study


def write_notes(study: AvatarStudy) -> int:
    """Write the notes of finished jobs that lack one, or whose note says less than is known; returns how many."""
    view = read_view(study.storage, study.name)
    students = {student.job: student for student in (*view.students, *view.indicator_samples)}
    trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    count = sum(
        _write(study.distilled, trial, student_note(view, students[trial.number]))
        for trial in trials
        if trial.number in students  # a student that finished after the view was read gets its note the next time
    )
    done = f"{len(students)} students are distilled; each has a note and its files: see a trial's page."
    _write(study.distilled, None, f"Students of **{view.name}**, distilled and measured. {done}")
    _write(
        study.search,
        None,
        f"Configurations that the search of **{view.name}** scored: effectiveness is *predicted* by an indicator, "
        "size and FLOPs are computed by formula. "
        f"What was measured stands in the study `{distilled_name(view.name)}`.\n\n"
        f"All of it on one page: `avatar-optuna report --study-name {view.name}`",
    )
    return count


def save_figures(study: AvatarStudy) -> None:
    """Save the front in three dimensions, predicted against measured, and the hypervolume, as they now are."""
    from avatar_optuna.report import content_of, front_3d, hypervolume, predicted_against_measured

    content = content_of(read_view(study.storage, study.name))
    figures: dict[str, tuple[str, Any]] = {}
    if content.rounds:
        figures["hypervolume"] = ("Hypervolume over configurations scored (predicted)", hypervolume(content))
    if content.students:
        title = "Predicted against measured effectiveness, 95 % intervals"
        figures["predicted-against-measured"] = (title, predicted_against_measured(content))
    if content.rounds or content.students:
        figures["front-3d"] = ("Front: blue predicted, orange measured", front_3d(content))
    for name, (title, figure) in figures.items():
        figure.update_layout(template="plotly_white", title={"text": title, "y": 0.98}, margin={"t": 90})
        _save(study.search, name, figure)


def _write(study: Study, trial: FrozenTrial | None, body: str) -> bool:
    """Write a note unless it stands; says whether it was written. (A finished trial has no `Trial` for `save_note`.)"""
    from optuna_dashboard._note import get_note_from_system_attrs, save_note_with_version

    trial_id = trial._trial_id if trial is not None else None
    note = get_note_from_system_attrs(study._storage.get_study_system_attrs(study._study_id), trial_id)
    if note["body"] == body:
        return False
    save_note_with_version(study._storage, study._study_id, trial_id, note["version"] + 1, body)
    return True


def _save(study: Study, name: str, figure: Any) -> None:
    """Save a figure unless it stands."""
    from optuna_dashboard import save_plotly_graph_object
    from optuna_dashboard._custom_plot_data import get_plotly_graph_objects

    stored = get_plotly_graph_objects(study._storage.get_study_system_attrs(study._study_id))
    if stored.get(name) != figure.to_json():
        save_plotly_graph_object(study, figure, graph_object_id=name)


__all__ = ["save_figures", "write_notes"]
