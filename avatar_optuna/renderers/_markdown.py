"""The model card of an exported student, and its note on the dashboard, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

from avatar_optuna.objectives import BUILT_IN, OBJECTIVES, written
from avatar_optuna.schema import Flips
from avatar_optuna.templates import environment_of
from avatar_optuna.view import METRIC_TITLES, DistilledStudent, StudyView


def model_card(view: StudyView, student: DistilledStudent, *, threshold: float | None = None) -> str:
    """What a student is, what it reaches, what it costs, and how each figure was obtained.

    Args:
        threshold: Of two labels, where another than the student's own was asked for at its export.
    """
    template = _templates().get_template("model_card.md")
    shown, valid, test = ("accuracy", "balanced_accuracy"), student.metrics("valid"), student.metrics("test")
    further = {name: title for name, title in METRIC_TITLES.items() if name not in shown and name in {**valid, **test}}
    return template.render(
        view=view,
        student=student,
        result=student.result,
        threshold=threshold,
        further=further,
        valid=valid,
        test=test,
        teacher_flips=view.flips("teacher"),
    )


def student_note(view: StudyView, student: DistilledStudent) -> str:
    """What a student is, what it costs, and where its files are."""
    further = [(OBJECTIVES.get(name), value) for name, value in student.figures.items() if name not in BUILT_IN]
    note = _templates().get_template("note.md")
    return note.render(view=view, student=student, result=student.result, further=further)


def _templates() -> Environment:
    """The templates of Markdown, which is not escaped."""
    environment = environment_of("avatar_optuna.renderers", is_html=False)
    environment.filters |= {
        "percent": _percent,
        "times": _times,
        "written": written,
        "latency": _latency,
        "flipped": _flipped,
        "cell": _cell,
    }
    return environment


def _percent(figures: Mapping[str, Any], name: str) -> str:
    """`83.3 % (60.8 to 94.2)`, the interval where there is one."""
    if name not in figures:  # of an earlier version, or of a split that does not say
        return ""
    low, high = figures.get(f"{name}_interval", (None, None))
    between = f" ({100 * low:.1f} to {100 * high:.1f})" if low is not None else ""
    return f"{100 * figures[name]:.1f} %{between}"


def _flipped(flips: Flips) -> str:
    """`3.4 % (2.7 to 4.3)`."""
    return _percent({"flips": flips.share, "flips_interval": flips.interval}, "flips")


def _cell(text: str) -> str:
    """Text of the user's data in a cell of a table."""
    return " ".join(text.replace("|", "\\|").split())


def _latency(student: DistilledStudent) -> str:
    """`0.84 ms (0.82 to 0.86), 0.80 ms in a warm block`, as far as it is known."""
    low_ms, high_ms = student.latency_interval_ms or (None, None)
    between = f" ({written('latency_ms', low_ms)} to {written('latency_ms', high_ms)})" if low_ms and high_ms else ""
    timed = student.timed
    warm = f", {written('latency_ms', timed.warm_ms)} ms in a warm block" if timed is not None and timed.warm_ms else ""
    return f"{written('latency_ms', student.latency_ms)} ms{between}{warm}"


def _times(ratios: Mapping[str, float]) -> str:
    """`7.3 times smaller, 20 times faster`."""
    words = {"size": "smaller", "latency": "faster", "energy": "less energy"}
    known = {word: ratios[key] for key, word in words.items() if key in ratios}
    return ", ".join(
        f"{value:,.0f} times {w}" if value >= 20 else f"{value:.1f} times {w}" for w, value in known.items()
    )
