"""The page: one HTML file that loads nothing from any network, made from the templates and written atomically."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment
from markupsafe import Markup

from avatar_optuna import __version__, words
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import write_text
from avatar_optuna.objectives import OBJECTIVES
from avatar_optuna.report import _figures, _students
from avatar_optuna.report._content import Content, content_of
from avatar_optuna.schema import PHASES
from avatar_optuna.tasks import task_kind
from avatar_optuna.templates import environment_of
from avatar_optuna.view import DistilledStudent, PredictedStudent, StudyView


def write_report(view: StudyView, out: Path) -> Path:
    """Write the report of a study, finished or not, to one self-contained HTML file, and return the file.

    A file that is there is replaced at once, when the new one is whole; a link is followed.

    Raises:
        InputError: It is no file that can be written.
    """
    return write_page(lambda: render(content_of(view)), out)


def write_page(make: Callable[[], str], out: Path) -> Path:
    """Write a page that is made once the file is known to be one that can be written."""
    if out.exists() and not out.is_file():
        raise InputError(f"--out must be a regular file, got {str(out)!r}, which is none")
    if not out.resolve().parent.is_dir():
        raise InputError(f"--out must be in a folder that is there, got {str(out)!r}")
    page = make()
    try:
        write_text(out.resolve(), page)
    except OSError as error:
        raise InputError(f"--out must be a file that can be written, got {str(out)!r}: {error.strerror}") from error
    return out


def render(content: Content) -> str:
    """The report of a study, as HTML."""
    return filled("page.html", _data(content), content=content)


def filled(template: str, data: Mapping[str, Any], **values: Any) -> str:
    """A page of one of the templates, self-contained, with the data that its script draws from."""
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    return (
        _templates()
        .get_template(template)
        .render(
            data=Markup(text),
            style=Markup(asset("report.css")),
            script=Markup(asset("plot.js") + asset("report.js")),
            version=__version__,
            written_utc=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            **values,
        )
    )


def _templates() -> Environment:
    """The templates of the page, whose text is escaped."""
    environment = environment_of("avatar_optuna.report", is_html=True)
    names = "amount carbon count duration interval joules listed percent points span times".split()
    environment.filters |= {name: getattr(words, name) for name in names}
    environment.filters["title_of"] = lambda objective: OBJECTIVES.get(objective).title
    environment.filters["task_title"] = lambda kind: task_kind(kind).title
    environment.globals |= {"figures": _figures, "students": _students, "phases": PHASES}
    return environment


def _data(content: Content) -> dict[str, Any]:
    """What the page's script draws from: figures, axes of the front, and by its key what a chosen point is."""
    shown = _figures.front_shown(content.rounds[-1]) if content.rounds else []
    return {
        "figures": {name: _plain(make(content)) for name, make in _drawn(content).items()},
        "axes": {
            axis: {"title": _figures.axis_title(axis, content), "log": OBJECTIVES.get(axis).is_logarithmic}
            for axis in _figures.axes(content)
        },
        "details": {
            **{f"trial-{student.trial}": _predicted_card(content, student) for student in shown},
            **{f"job-{student.job}": _distilled_card(content, student) for student in content.students},
        },
    }


def _drawn(content: Content) -> dict[str, Callable[[Content], go.Figure]]:
    drawn: dict[str, Callable[[Content], go.Figure]] = {}
    if content.rounds or content.students:
        drawn |= {"plot-front": _figures.front, "plot-front-3d": _figures.front_3d}
    if any(student.prediction is not None for student in content.students):
        drawn["plot-trust"] = _figures.predicted_against_measured
    if content.rounds:
        drawn["plot-volume"] = _figures.hypervolume
    if content.students:
        drawn["plot-learning"] = _figures.learning_curves
    if content.audit is not None:
        drawn["plot-audit"] = _figures.audit
    return drawn


def _plain(figure: go.Figure) -> dict[str, Any]:
    """A figure without its template, which the page gives by its own colours."""
    values: dict[str, Any] = json.loads(figure.to_json())
    values["layout"].pop("template", None)
    return values


def _predicted_card(content: Content, student: PredictedStudent) -> dict[str, Any]:
    """What the page shows of a chosen configuration: a title, lines, and a command."""
    prediction = student.prediction
    reached = f"{words.percent(prediction.effectiveness)} ± {196 * prediction.std:.1f}"
    return {
        "title": f"Trial {student.trial}: predicted",
        "lines": [
            f"{content.metric_title}: {reached} (predicted)",
            f"size: {student.size_bytes:,} bytes (by formula)",
            f"FLOPs: {words.amount('flops', student.flops)} (by formula)",
            *(
                f"{OBJECTIVES.get(n).title}: {words.amount(n, v)} (predicted)"
                for n, v in student.predicted_costs.items()
            ),
            *_shape(student),
        ],
        "command": f"avatar-optuna distil --study-name {content.name} --trial {student.trial}",
    }


def _distilled_card(content: Content, student: DistilledStudent) -> dict[str, Any]:
    """The same of a student."""
    measured = [
        f"{OBJECTIVES.get(name).title}: {words.amount(name, value)} ({'by formula' if name == 'flops' else 'measured'})"
        for name, value in student.figures.items()
        if name not in ("effectiveness", "size_bytes")
    ]
    ratios = student.times_less_than.get("teacher", {})
    return {
        "title": f"Student {student.job}: distilled and measured",
        "lines": [
            *(f"{title}: {_reached(student.metrics(split), content.metric)}" for split, title in _SPLITS.items()),
            f"size: {student.size_bytes:,} bytes (measured)",
            *measured,
            *(f"{key}: {words.times(ratio)} less than the teacher" for key, ratio in ratios.items()),
            *_shape(student),
        ],
        "command": f"avatar-optuna export --study-name {content.name} --student {student.job} "
        f"--out student-{student.job}",
    }


_SPLITS = {"valid": "validation", "test": "test"}


def _reached(figures: Mapping[str, Any], metric: str) -> str:
    """`72.0 % (63.5 to 80.4)`."""
    if metric not in figures:
        return "not measured"
    bounds = figures.get(f"{metric}_interval")
    return words.percent(figures[metric]) + (f" ({words.interval(bounds)})" if bounds is not None else "")


def _shape(student: DistilledStudent | PredictedStudent) -> list[str]:
    return [f"{name.replace('_', ' ')}: {value}" for name, value in student.hyperparameters.shown.items()]


def asset(name: str) -> str:
    """The text of a script or style sheet of the report."""
    return (files("avatar_optuna.report") / "assets" / name).read_text(encoding="utf-8")
