"""The page: one HTML file that asks nothing of any network, written whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from avatar_optuna import __version__
from avatar_optuna.exceptions import InputError
from avatar_optuna.report import _asked, _evidence, _figures, _students
from avatar_optuna.report._content import Content, read_content
from avatar_optuna.report._markup import Html, element, joined, text
from avatar_optuna.report._words import count, megaflops, percent
from avatar_optuna.study import AvatarStudy, Student

# The browser itself then refuses whatever would leave the page; plotly compiles its 3-D code from text.
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def write_report(study: AvatarStudy, out: Path, *, update: Callable[[int], None] = lambda done: None) -> Path:
    """Write the report of a study, finished or not, to one self-contained HTML file.

    Args:
        study: The study.
        out: The file; one that is there is replaced at once, when the new one is whole.
        update: Called with how many rounds of the search are read.

    Returns:
        The file.

    Raises:
        InputError: The file cannot be written.
    """
    page = render(read_content(study, update=update))
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        handle, draft = tempfile.mkstemp(prefix=f".{out.name}-", dir=out.parent)
    except OSError as error:
        raise InputError(f"--out must be a file that can be written, got {str(out)!r}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(page)
            stream.flush()
            os.fsync(stream.fileno())
        Path(draft).chmod(0o644)
        Path(draft).replace(out)
    except BaseException as error:
        Path(draft).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"--out must be a file that can be written, got {str(out)!r}: {error.strerror}") from error
        raise
    return out


def render(content: Content) -> str:
    """The page of a report, as text."""
    body = joined(
        [
            _header(content),
            element(
                "main",
                _asked.missing(content),
                _students.recommended(content),
                _evidence.front(content),
                _students.students(content),
                _students.trust(content),
                _evidence.search(content),
                _students.learning(content),
                _evidence.stand_ins(content),
                _evidence.cost(content),
                _asked.asked(content),
                _asked.provenance(content),
            ),
            element("footer", f"Written by avatar-optuna {__version__} on {_now()}. This file loads nothing else."),
        ]
    )
    head = joined(
        [
            Html('<meta charset="utf-8">'),
            Html(f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'),
            Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
            Html('<meta name="color-scheme" content="light dark">'),
            Html('<link rel="icon" href="data:,">'),
            element("title", f"{content.name}: report"),
            Html(f"<style>{_asset('report.css')}</style>"),
        ]
    )
    data = Html(json.dumps(_data(content), separators=(",", ":")).replace("<", "\\u003c"))
    scripts = joined(
        [
            element("script", data, type="application/json", id="data"),
            Html(f"<script>{get_plotlyjs()}</script>"),
            Html(f"<script>{_asset('report.js')}</script>"),
        ]
    )
    document = element("html", element("head", head), element("body", body, scripts), lang="en")
    return f"<!DOCTYPE html>\n{document}\n"


def _header(content: Content) -> Html:
    done = len(content.students)
    scored = sum(len(found.found) for found in content.rounds)
    said = (
        f"{count(scored, 'configuration')} scored, {count(done, 'student')} distilled and measured"
        if scored or done
        else "nothing scored or distilled yet"
    )
    teacher = content.teacher
    reached = f"; the teacher reaches {percent(teacher.valid[content.metric])} on validation" if teacher else ""
    plain = content.baseline
    beside = f", TF-IDF with logistic regression {percent(plain['valid'][content.metric])}" if plain else ""
    return element(
        "header", element("h1", text(content.name)), element("p", f"{said[0].upper()}{said[1:]}{reached}{beside}.")
    )


def _data(content: Content) -> dict[str, Any]:
    """What the page's script draws from: figures, and what a chosen point is."""
    return {
        "figures": {name: _plain(make(content)) for name, make in _drawn(content).items()},
        "axes": {
            axis: {"title": _figures.axis_title(axis, content), "log": log} for axis, (_, log) in _figures.AXES.items()
        },
        "details": _details(content),
    }


def _drawn(content: Content) -> dict[str, Callable[[Content], go.Figure]]:
    drawn: dict[str, Callable[[Content], go.Figure]] = {}
    if content.rounds or content.students:
        drawn |= {"plot-front": _figures.front, "plot-front-3d": _figures.front_3d}
    if any(student.predicted is not None for student in content.students):
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
    found: dict[str, Any] = json.loads(figure.to_json())
    found["layout"].pop("template", None)
    return found


def _details(content: Content) -> dict[str, list[str]]:
    """By key of a point: its title, how its figures were obtained, and its hyperparameters as `name: value`."""
    found = {}
    if content.rounds:
        for student in _figures.front_shown(content.rounds[-1]):
            found[f"trial-{student.trial}"] = _detail(f"Trial {student.trial}: predicted", student)
    for student in content.students:
        found[f"job-{student.job}"] = _detail(f"Student {student.job}: distilled and measured", student)
    return found


def _detail(title: str, student: Student) -> list[str]:
    values = student.hyperparameters.to_dict()
    work = f"FLOPs: {megaflops(student.flops)} (by formula)"
    size = f"size: {student.size_bytes:,} bytes ({'by formula' if student.result is None else 'measured'})"
    return [title, size, work, *(f"{name.replace('_', ' ')}: {value}" for name, value in values.items())]


def _asset(name: str) -> str:
    return (files("avatar_optuna.report") / "assets" / name).read_text(encoding="utf-8")


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
