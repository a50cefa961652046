"""The page of two studies side by side: its tables, its figure, and the file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avatar_optuna.report._beside import Beside
from avatar_optuna.report._content import Content, content_of
from avatar_optuna.report._figures import front_shown
from avatar_optuna.report._page import filled, write_page
from avatar_optuna.schema import Difference
from avatar_optuna.view import DistilledStudent, StudyView, metric_title
from avatar_optuna.words import amount, count, duration, interval, joules, listed, percent, signed_interval, times

_COLOURS = ("#e0782b", "#3f8fd2")
_FAINT = ("rgba(224,120,43,0.4)", "rgba(63,143,210,0.4)")
_SYMBOLS = ("diamond", "square")
_WON = {"size": "smaller", "latency": "faster", "energy": "less energy"}
_NOT, _STUDENT = "not known", "student"

Row = tuple[str, str, str]
"""A title, and what is said of either study."""


def write_beside(first: StudyView, second: StudyView, out: Path) -> Path:
    """Write two studies side by side to one self-contained HTML file, and return the file.

    Raises:
        InputError: The file cannot be written.
    """
    return write_page(lambda: render_beside(first, second), out)


def render_beside(first: StudyView, second: StudyView) -> str:
    """The page, as HTML."""
    beside = Beside(content_of(first), content_of(second))
    figures = {"plot-beside": figure_of(beside)} if any(side.students or side.rounds for side in beside.sides) else {}
    return filled(
        "beside.html",
        {"figures": figures, "axes": {}, "details": {}},
        beside=beside,
        sentence=sentence(beside),
        answer=_answer(beside.difference),
        studies_rows=studies_rows(beside),
        students_rows=students_rows(beside),
        limits_rows=limits_rows(beside),
    )


def sentence(beside: Beside) -> str:
    """Which of the two chosen students is better on the test inputs, or why that is not known."""
    difference, (own, other) = beside.difference, beside.chosen
    if difference is None or own is None or other is None:
        return f"No paired difference is given: {beside.why_unpaired}."
    names = [f"student {one.job} of {name}" for one, name in zip((own, other), beside.names, strict=True)]
    metric = metric_title(difference.metric)
    bounds = f"{100 * difference.value:+.1f} points, 95 % interval, paired: {signed_interval(difference.interval)}"
    if difference.is_above:
        return f"On the same test inputs {names[0]} is better than {names[1]} in {metric} ({bounds})."
    if difference.is_below:
        return f"On the same test inputs {names[0]} is worse than {names[1]} in {metric} ({bounds})."
    return f"On the same test inputs {names[0]} and {names[1]} differ within noise in {metric} ({bounds})."


def _answer(difference: Difference | None) -> str:
    """How the sentence is marked: whether it tells the two apart."""
    if difference is None:
        return "unknown"
    return "yes" if difference.is_above or difference.is_below else "unsure"


def studies_rows(beside: Beside) -> list[Row]:
    """Of the studies: verdict, teacher, baseline, and what was done."""
    return [
        _row("verdict", [side.verdict.sentence for side in beside.sides]),
        _row("teacher", [_teacher(side, beside.metric) for side in beside.sides]),
        _row("TF-IDF with logistic regression", [_plain(side, beside.metric) for side in beside.sides]),
        _row("scored", [count(sum(side.scored.values()), "configuration") for side in beside.sides]),
        _row("distilled to the end", [count(len(side.students), "student") for side in beside.sides]),
        _row("time of its processes", [duration(side.cost.seconds) if side.cost else _NOT for side in beside.sides]),
    ]


def students_rows(beside: Beside) -> list[Row]:
    """Of the chosen students."""
    chosen = beside.chosen
    said: list[tuple[str, Any]] = [
        (_STUDENT, lambda student, side: _which(student, side)),
        (f"{beside.metric_title} on validation", lambda student, _: _reached(student.metrics("valid"), beside.metric)),
        (f"{beside.metric_title} on test", lambda student, _: _reached(student.metrics("test"), beside.metric)),
        ("beside its teacher, on test", lambda student, _: _to(student, "teacher")),
        ("beside TF-IDF, on test", lambda student, _: _to(student, "baseline")),
        ("weights on disk", lambda student, _: amount("size_bytes", student.size_bytes)),
        ("FLOPs of one input, by formula", lambda student, _: amount("flops", student.flops)),
        ("latency of one input", lambda student, _: _latency(student)),
        ("energy of one input", lambda student, _: joules(student.energy.joules) if student.energy else "not measured"),
        ("times less than its teacher", lambda student, _: _won(student)),
        ("family", lambda student, _: student.hyperparameters.family.name),
    ]
    return [
        _row(
            title,
            [
                say(student, side) if student is not None else "none is distilled yet" if title == _STUDENT else ""
                for student, side in zip(chosen, beside.sides, strict=True)
            ],
        )
        for title, say in said
    ]


def limits_rows(beside: Beside) -> list[Row]:
    """Of each limit of size, the best student of either study."""
    return [
        _row(
            f"at most {amount('size_bytes', limit.size_bytes)}",
            [_small(student, beside) if student is not None else "none" for student in limit.best],
        )
        for limit in beside.limits
    ]


def figure_of(beside: Beside) -> dict[str, Any]:
    """Both fronts in one plane, as far as they are predicted and measured."""
    traces, shapes, annotations = list[dict[str, Any]](), list[dict[str, Any]](), list[dict[str, Any]]()
    for side, name, colour in zip(beside.sides, beside.names, _FAINT, strict=True):
        if side.rounds and side.metric == beside.metric:
            traces.append(_predicted(side, name, colour))
    for side, name, colour, symbol in zip(beside.sides, beside.names, _COLOURS, _SYMBOLS, strict=True):
        if side.students:
            traces.append(_measured(side, name, beside) | {"marker": {"color": colour, "size": 10, "symbol": symbol}})
    for name, y, colour in _lines(beside):
        shapes.append({"y0": y, "y1": y, "line": {"color": colour, "dash": "dash", "width": 1}})
        annotations.append({"text": name})
    return {
        "data": traces,
        "layout": {
            "height": 460,
            "xaxis": {"title": {"text": "size, MB"}, "type": "log"},
            "yaxis": {"title": {"text": f"{beside.metric_title} on validation, %"}, "type": "linear"},
            "shapes": shapes,
            "annotations": annotations,
        },
    }


def _row(title: str, said: Sequence[str]) -> Row:
    return title, said[0], said[1]


def _teacher(side: Content, metric: str) -> str:
    if side.teacher is None:
        return "not measured yet"
    size = f"; {amount('size_bytes', side.teacher.size_bytes)}" if side.teacher.size_bytes is not None else ""
    return f"{_splits(side.teacher.valid, side.teacher.test, metric)}{size}; {side.teacher.source}"


def _plain(side: Content, metric: str) -> str:
    if side.baseline is None:
        return "not measured yet"
    return _splits(side.baseline["valid"], side.baseline["test"], metric)


def _splits(valid: Any, test: Any, metric: str) -> str:
    return f"validation {_reached(valid, metric)}, test {_reached(test or {}, metric)}"


def _reached(figures: Any, metric: str) -> str:
    """`72.0 % (63.5 to 80.4)`."""
    if metric not in figures:
        return _NOT
    bounds = figures.get(f"{metric}_interval")
    return percent(figures[metric]) + (f" ({interval(bounds)})" if bounds is not None else "")


def _which(student: DistilledStudent, side: Content) -> str:
    is_recommended = side.recommendation is not None
    return f"{student.job}, {'recommended' if is_recommended else 'the most effective; none is recommended'}"


def _to(student: DistilledStudent, other: str) -> str:
    found = student.difference("test", other)
    if found is None:
        return _NOT
    return f"{100 * found.value:+.1f} points ({signed_interval(found.interval)})"


def _latency(student: DistilledStudent) -> str:
    return amount("latency_ms", student.latency_ms) + ("" if student.is_compared else ", provisional")


def _won(student: DistilledStudent) -> str:
    ratios = student.times_less_than.get("teacher", {})
    return listed([f"{times(ratios[key])} {word}" for key, word in _WON.items() if key in ratios]) or _NOT


def _small(student: DistilledStudent, beside: Beside) -> str:
    return (
        f"student {student.job}: {_reached(student.metrics('valid'), beside.metric)}, "
        f"{amount('size_bytes', student.size_bytes)}, {_latency(student)}"
    )


def _predicted(side: Content, name: str, colour: str) -> dict[str, Any]:
    shown = front_shown(side.rounds[-1])
    return {
        "name": f"{name}, predicted",
        "x": [_digits(student.size_bytes / 1e6) for student in shown],
        "y": [_digits(100 * student.prediction.effectiveness) for student in shown],
        "mode": "markers",
        "marker": {"color": colour, "size": 5},
        "hovertext": [
            f"{name}, trial {student.trial}<br>{percent(student.prediction.effectiveness)} predicted"
            for student in shown
        ],
    }


def _measured(side: Content, name: str, beside: Beside) -> dict[str, Any]:
    shown = [student for student in side.students if beside.reached(student) is not None]
    reached = [beside.reached(student) or 0.0 for student in shown]
    bounds = [student.metrics("valid").get(f"{beside.metric}_interval") for student in shown]
    trace: dict[str, Any] = {
        "name": f"{name}, measured",
        "x": [_digits(student.size_bytes / 1e6) for student in shown],
        "y": [_digits(100 * value) for value in reached],
        "mode": "markers+text",
        "text": [str(student.job) for student in shown],
        "hovertext": [
            f"{name}, student {student.job}<br>{_reached(student.metrics('valid'), beside.metric)} on validation"
            f"<br>{amount('size_bytes', student.size_bytes)}, {_latency(student)}"
            for student in shown
        ],
    }
    known = [bound for bound in bounds if bound is not None]
    if len(known) == len(shown):
        trace["error_y"] = {
            "array": [_digits(100 * (high - value)) for (_, high), value in zip(known, reached, strict=True)],
            "arrayminus": [_digits(100 * (value - low)) for (low, _), value in zip(known, reached, strict=True)],
            "thickness": 1,
        }
    return trace


def _lines(beside: Beside) -> list[tuple[str, float, str]]:
    """The teachers: one line where both reach the same."""
    known = [
        (name, _digits(100 * float(side.teacher.valid[beside.metric])), colour)
        for side, name, colour in zip(beside.sides, beside.names, _COLOURS, strict=True)
        if side.teacher is not None and beside.metric in side.teacher.valid
    ]
    if len(known) == 2 and known[0][1] == known[1][1]:
        return [("both teachers", known[0][1], "#858c96")]
    return [(f"teacher of {name}", y, colour) for name, y, colour in known]


def _digits(value: float) -> float:
    return float(f"{value:.6g}")
