"""What optuna-dashboard shows beside the trials: a note on each distilled student, a note and figures on the studies.

A run writes them as students are finished, so that they are there whoever opens the dashboard, and with whatever
rights: the dashboard itself writes nothing. What stands already is not written again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.objectives import BUILT_IN, OBJECTIVES, written
from avatar_optuna.schema import distilled_name
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import DistilledStudent, StudyView, read_view

if TYPE_CHECKING:
    from optuna import Study

_Z = 1.96
_REFERENCES = {"teacher": "the teacher", "codebert": "the CodeBERT architecture"}


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


def student_note(view: StudyView, student: DistilledStudent) -> str:
    """What a student is, what it costs, and where its files are, in Markdown."""
    result, metric = student.result, view.metric
    kind = "a brief sample that fits the indicator" if student.purpose == "indicator" else "a student of the front"
    timed = "timed side by side with its teacher" if student.is_compared else "timed by its worker, provisional"
    name = metric.replace("_", " ")
    rows = [
        (f"{name}, validation", _percent(result.valid, metric), "measured; it selects"),
        (f"{name}, test", _percent(result.test, metric), "measured; only reported"),
        ("size", f"{student.size_bytes:,} bytes", "measured, on disk"),
        ("forward FLOPs", f"{written('flops', student.flops)} million", "by formula"),
        ("latency of one input", f"{student.latency_ms:.3g} ms", f"measured, median, {timed}"),
    ]
    if (energy := student.energy) is not None:
        rows.append(("energy of one input", f"{energy.joules:.3g} J", f"measured, {energy.source}"))
    rows += [_further(name, value) for name, value in student.figures.items() if name not in BUILT_IN]
    if (prediction := student.prediction) is not None:
        mean, error = prediction.effectiveness, _Z * prediction.std
        rows.insert(0, (name, f"{100 * mean:.1f} ± {100 * error:.1f} %", "predicted"))
    table = "\n".join(f"| {name} | {value} | {how} |" for name, value, how in rows)
    shape = student.hyperparameters.family.describe(student.hyperparameters)
    origin = f", found by the search as its trial {student.trial}" if student.trial is not None else ""
    files = ", ".join(f"`{name}`" for name in result.files) or "none were stored"
    return f"""**Student {student.job}** of {view.name}: {kind}{origin}.

{shape}; epoch {result.best_epoch} of {len(result.history)} kept.

| what | figure | how |
| --- | --- | --- |
{table}

{_times(student)}Files: {files}, in the artifact store and below. To take it away:

    avatar-optuna export --study-name {view.name} --trial {student.job} --out student-{student.job}
"""


def _further(name: str, value: float) -> tuple[str, str, str]:
    """The row of an objective that another package defines."""
    kind = OBJECTIVES.get(name)
    return kind.title, f"{written(name, value)} {kind.unit}", "by formula" if kind.source == "formula" else kind.source


def _percent(figures: Any, metric: str) -> str:
    low, high = figures.get(f"{metric}_interval", (None, None))
    between = f" ({100 * low:.1f} to {100 * high:.1f})" if low is not None else ""
    return f"{100 * figures[metric]:.1f} %{between}"


def _times(student: DistilledStudent) -> str:
    words = {"size": "smaller", "latency": "faster", "energy": "less energy"}
    said = [
        f"Against {_REFERENCES[name]}: "
        + ", ".join(f"{_ratio(ratios[key])} times {word}" for key, word in words.items() if key in ratios)
        for name, ratios in student.times_less_than.items()
    ]
    return f"{'. '.join(said)}.\n\n" if said else ""


def _ratio(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


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


__all__ = ["save_figures", "student_note", "write_notes"]
