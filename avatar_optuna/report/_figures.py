"""The figures: plotly's home. Some are saved for the dashboard; the page draws each by itself, in `assets/plot.js`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from avatar_optuna.objectives import EFFECTIVENESS, OBJECTIVES, formulas
from avatar_optuna.report._content import Content
from avatar_optuna.view import DistilledStudent, PredictedStudent, SearchRound
from avatar_optuna.words import amount, percent

PREDICTED, MEASURED, REFERENCE, FAINT = "#3f8fd2", "#e0782b", "#858c96", "rgba(133,140,150,0.35)"
_CURVES = ("#e0782b", "#3f8fd2", "#3a9e6b", "#b065c0", "#c9a227", "#d25f7a", "#4fb0b8", "#8c7a5b")
_Z = 1.96
_TEACHER = "teacher, measured"
_MOST_FRONT, _MOST_OTHERS = 400, 600
_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
_MARGIN = {"l": 60, "r": 16, "t": 16, "b": 52}
_BARS = {"type": "data", "symmetric": False, "width": 0, "thickness": 1}

Columns = dict[str, list[float | None]]
"""By name of an objective, in the unit that people read: the value of each point, None where it has none."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Points of the front that are drawn alike; `details` are the keys of what the page shows of a chosen point."""

    name: str
    columns: Columns
    hover: list[str]
    marker: dict[str, Any]
    details: list[str | None]
    labels: list[str] | None = None
    errors: dict[str, Any] | None = None

    @property
    def visible(self) -> bool | str:
        """The teacher is so far away that it squeezes the rest: it is drawn when it is asked for."""
        return "legendonly" if self.name == _TEACHER else True


def axes(content: Content) -> list[str]:
    """The objectives that the front's figure can show on an axis: what was measured or is known by formula."""
    students: list[DistilledStudent | PredictedStudent] = [*content.predicted_front, *content.students]
    names = dict.fromkeys(name for student in students for name in student.figures if name != EFFECTIVENESS)
    return [*names, EFFECTIVENESS]


def axis_title(axis: str, content: Content) -> str:
    """The title of an axis, with its unit."""
    kind = OBJECTIVES.get(axis)
    title = f"{content.metric_title} on validation" if axis == EFFECTIVENESS else kind.title
    return f"{title}, {kind.unit}"


def front(content: Content) -> go.Figure:
    """The front in the plane: what was predicted, what was measured, and the teacher.

    The `meta` of each trace holds one column an axis, from which the page draws other axes.
    """
    figure = go.Figure()
    for series in _series(content):
        figure.add_scatter(
            x=series.columns.get("size_bytes", []),
            y=series.columns.get(EFFECTIVENESS, []),
            error_y={**series.errors, "visible": True} if series.errors else None,
            mode="markers+text" if series.labels else "markers",
            text=series.labels,
            textposition="top center",
            hovertext=series.hover,
            hoverinfo="text",
            customdata=series.details,
            name=series.name,
            marker=series.marker,
            visible=series.visible,
            meta={"columns": series.columns, "errors": bool(series.errors)},
        )
    if content.teacher_reached is not None:
        figure.add_hline(**_teacher_line(content.teacher_reached))
    return _laid_out(
        figure, _axis("size_bytes", content), _axis(EFFECTIVENESS, content), height=460, hovermode="closest"
    )


def front_3d(content: Content) -> go.Figure:
    """Effectiveness over size and FLOPs."""
    figure = go.Figure()
    for series in _series(content):
        if not series.columns.get("flops"):
            continue
        figure.add_scatter3d(
            x=series.columns["size_bytes"],
            y=series.columns["flops"],
            z=series.columns[EFFECTIVENESS],
            mode="markers",
            hovertext=series.hover,
            hoverinfo="text",
            customdata=series.details,
            name=series.name,
            marker={
                "size": 5 if series.labels else 2.5,
                "color": series.marker["color"],
                "symbol": "diamond" if series.labels else "circle",
                "line": {"width": 0},
            },
            visible=series.visible,
        )
    shown = {"xaxis": "size_bytes", "yaxis": "flops", "zaxis": EFFECTIVENESS}
    scene: dict[str, Any] = {place: {**_axis(name, content), "nticks": 6} for place, name in shown.items()}
    scene["camera"] = {"eye": {"x": 1.55, "y": 1.75, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.15}}
    return figure.update_layout(height=520, scene=scene, legend=_LEGEND, margin={"l": 0, "r": 0, "t": 10, "b": 0})


def predicted_against_measured(content: Content) -> go.Figure:
    """Each student's prediction and its measured figure, both with 95 % intervals."""
    pairs = [(student, student.prediction) for student in content.students if student.prediction is not None]
    predicted = [100 * prediction.effectiveness for _, prediction in pairs]
    measured = [100 * student.effectiveness for student, _ in pairs]
    shown = [*predicted, *measured]
    ends = [min(shown) - 3, max(shown) + 3] if shown else [0, 100]
    figure = go.Figure()
    line = {"color": REFERENCE, "dash": "dot", "width": 1}
    figure.add_scatter(x=ends, y=ends, mode="lines", line=line, hoverinfo="skip", name="as predicted")
    figure.add_scatter(
        x=_rounded(predicted),
        y=_rounded(measured),
        error_x={"array": _rounded(100 * _Z * p.std for _, p in pairs), "width": 0, "thickness": 1},
        error_y=_interval_bars([student for student, _ in pairs], content),
        mode="markers+text",
        text=[str(student.job) for student, _ in pairs],
        textposition="top center",
        hovertext=[
            f"student {s.job}<br>predicted {percent(p.effectiveness)}<br>measured {percent(s.effectiveness)}"
            for s, p in pairs
        ],
        hoverinfo="text",
        marker={"color": MEASURED, "size": 9},
        name="students",
    )
    across = {"title": {"text": f"predicted {content.metric_title}, %"}}
    up = {"title": {"text": f"measured {axis_title(EFFECTIVENESS, content)}"}}
    return _laid_out(figure, across, up, height=400, showlegend=False)


def hypervolume(content: Content) -> go.Figure:
    figure = go.Figure()
    for index, round_ in enumerate(content.rounds):
        figure.add_scatter(
            x=[trials for trials, _ in content.volumes[round_.number]],
            y=_rounded(100 * share for _, share in content.volumes[round_.number]),
            mode="lines+markers",
            line={"color": _CURVES[(index + 1) % len(_CURVES)], "width": 2},
            marker={"size": 4, "color": _CURVES[(index + 1) % len(_CURVES)]},
            hovertext=[f"{percent(share)} after {trials:,}" for trials, share in content.volumes[round_.number]],
            hoverinfo="text",
            name=f"round {round_.number + 1}",
        )
    across = {"title": {"text": "configurations scored"}, "rangemode": "tozero"}
    up = {"title": {"text": "hypervolume, % of the final"}}
    return _laid_out(figure, across, up, height=340, showlegend=len(content.rounds) > 1)


def learning_curves(content: Content) -> go.Figure:
    """The metric on validation after each epoch, the kept epoch marked, the teacher beside them."""
    figure = go.Figure()
    for index, student in enumerate(content.students):
        history, colour = student.result.history, _CURVES[index % len(_CURVES)]
        figure.add_scatter(
            x=[entry["epoch"] for entry in history],
            y=_rounded(100 * entry["valid"].get(content.metric, math.nan) for entry in history),
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={
                "size": [11 if entry["epoch"] == student.result.best_epoch else 4 for entry in history],
                "color": colour,
                "opacity": 1,
            },
            hovertext=[
                f"student {student.job}, epoch {e['epoch']}: {percent(e['valid'].get(content.metric, math.nan))}"
                for e in history
            ],
            hoverinfo="text",
            name=f"student {student.job}",
        )
    if content.teacher_reached is not None and content.students:
        figure.add_hline(**_teacher_line(content.teacher_reached))
    most_epochs = max((len(student.result.history) for student in content.students), default=0)
    across = {"title": {"text": "epoch"}, "dtick": 1 if most_epochs <= 15 else None}
    return _laid_out(figure, across, {"title": {"text": axis_title(EFFECTIVENESS, content)}}, height=380)


def audit(content: Content) -> go.Figure:
    """FLOPs against measured latency of the audited students."""
    assert content.audit is not None
    students = content.audit.students
    figure = go.Figure()
    figure.add_scatter(
        x=_rounded(student.flops / 1e6 for student in students),
        y=_rounded(student.latency_ms for student in students),
        error_y={
            **_BARS,
            "array": _rounded(s.latency_interval_ms[1] - s.latency_ms for s in students),
            "arrayminus": _rounded(s.latency_ms - s.latency_interval_ms[0] for s in students),
        },
        mode="markers",
        marker={"color": MEASURED, "size": 7},
        hovertext=[f"{amount('flops', s.flops)}<br>{amount('latency_ms', s.latency_ms)}" for s in students],
        hoverinfo="text",
        name="audited students",
    )
    across = {"title": {"text": "forward MFLOPs, by formula"}, **_scale("flops")}
    up = {"title": {"text": "latency of one input, ms, measured"}, **_scale("latency_ms")}
    return _laid_out(figure, across, up, height=400, showlegend=False)


def bar_percent(number: int, most: int) -> float:
    """How long the bar of a number is, in percent of the longest one, by logarithms: numbers differ by thousands."""
    return 100 * math.log1p(number) / math.log1p(most) if most else 0.0


def _laid_out(figure: go.Figure, across: Mapping[str, Any], up: Mapping[str, Any], **layout: Any) -> go.Figure:
    return figure.update_layout(xaxis=across, yaxis=up, legend=_LEGEND, margin=_MARGIN, **layout)


def _axis(name: str, content: Content) -> dict[str, Any]:
    return {"title": {"text": axis_title(name, content)}, **_scale(name)}


def _scale(axis: str) -> dict[str, str]:
    """Logarithmic axes are ticked at 1, 2 and 5."""
    is_logarithmic = OBJECTIVES.get(axis).is_logarithmic
    return {"type": "log", "dtick": "D2", "tickformat": "~g"} if is_logarithmic else {"type": "linear"}


def _series(content: Content) -> list[Series]:
    """What else was scored, the predicted front, the students, the teacher; what there is of them."""
    last = content.rounds[-1] if content.rounds else None
    series = [_others(last, content), _predicted(last)] if last is not None else []
    series += [_measured(content)] if content.students else []
    return [entry for entry in (*series, _teacher(content)) if entry is not None]


def _predicted(last: SearchRound) -> Series:
    shown = front_shown(last)
    return Series(
        name="predicted front",
        columns=_columns([{EFFECTIVENESS: s.prediction.effectiveness, **s.figures} for s in shown]),
        hover=[
            f"{_hover(f'trial {s.trial}, predicted', s)}"
            f"<br>{percent(s.prediction.effectiveness)} ± {100 * _Z * s.prediction.std:.1f} predicted"
            for s in shown
        ],
        details=[f"trial-{student.trial}" for student in shown],
        marker={"color": PREDICTED, "size": 6},
    )


def _others(last: SearchRound, content: Content) -> Series | None:
    scored = last.scored
    others = np.flatnonzero(~np.isin(scored.numbers, [student.trial for student in last.front]))
    if not len(others):
        return None
    chosen = [int(index) for index in _thinned(others, _MOST_OTHERS)]
    names = dict.fromkeys(name for student in last.front for name in student.figures)
    by_formula = formulas(names, content.task_shape)
    return Series(
        name="scored, not on the front",
        columns=_columns(
            [
                {
                    EFFECTIVENESS: scored.values[index, 0],
                    **{name: formula(scored.students[index]) for name, formula in by_formula.items()},
                }
                for index in chosen
            ]
        ),
        hover=[f"trial {int(scored.numbers[index])}, predicted, not on the front" for index in chosen],
        details=[None] * len(chosen),
        marker={"color": FAINT, "size": 4},
    )


def front_shown(last: SearchRound) -> list[PredictedStudent]:
    """Of the predicted front as many as a page can bear, evenly chosen."""
    return [last.front[int(index)] for index in _thinned(np.arange(len(last.front)), _MOST_FRONT)]


def others_shown(last: SearchRound) -> int:
    """How many of the configurations that are not on the front are drawn."""
    return min(len(last.scored) - len(last.front), _MOST_OTHERS)


def _measured(content: Content) -> Series:
    students = content.students
    recommended = content.recommendation.student.job if content.recommendation is not None else None
    return Series(
        name="distilled and measured",
        columns=_columns([student.figures for student in students]),
        errors=_interval_bars(students, content),
        labels=[str(student.job) for student in students],
        hover=[
            f"{_hover(f'student {s.job}, measured', s)}"
            f"<br>{percent(s.effectiveness)} on validation<br>{amount('latency_ms', s.latency_ms)}"
            for s in students
        ],
        details=[f"job-{student.job}" for student in students],
        marker={
            "color": MEASURED,
            "opacity": 1,
            "size": [14 if student.job == recommended else 10 for student in students],
            "symbol": ["star" if student.job == recommended else "diamond" for student in students],
        },
    )


def _teacher(content: Content) -> Series | None:
    teacher, compared, effectiveness = content.teacher, content.model("teacher"), content.teacher_reached
    if teacher is None or teacher.size_bytes is None or effectiveness is None:
        return None
    figures = {EFFECTIVENESS: effectiveness, "size_bytes": teacher.size_bytes, "flops": teacher.flops}
    if compared is not None:
        figures["latency_ms"] = compared.latency_ms
        if compared.energy is not None:
            figures["energy_j"] = compared.energy.joules
    return Series(
        name=_TEACHER,
        columns=_columns([figures]),
        labels=["teacher"],
        hover=[f"teacher<br>{percent(effectiveness)} on validation<br>{amount('size_bytes', teacher.size_bytes)}"],
        details=[None],
        marker={"color": REFERENCE, "size": 10, "symbol": "square"},
    )


def _teacher_line(reached: float) -> dict[str, Any]:
    return {
        "y": round(100 * reached, 3),
        "line": {"color": REFERENCE, "dash": "dash", "width": 1},
        "annotation": {"text": "teacher", "font": {"color": REFERENCE}},
    }


def _hover(title: str, student: DistilledStudent | PredictedStudent) -> str:
    return f"{title}<br>{amount('size_bytes', student.size_bytes)}, {amount('flops', student.flops)}"


def _interval_bars(students: Sequence[DistilledStudent], content: Content) -> dict[str, Any] | None:
    """Error bars of the measured effectiveness, around percentages; None where a student has no interval."""
    name = f"{content.metric}_interval"
    if any(name not in student.result.valid for student in students):
        return None
    bounds = [(*student.result.valid[name], student.effectiveness) for student in students]
    return {
        **_BARS,
        "array": _rounded(100 * (high - value) for _, high, value in bounds),
        "arrayminus": _rounded(100 * (value - low) for low, _, value in bounds),
    }


def _columns(points: Sequence[Mapping[str, float | None]]) -> Columns:
    scales = {name: OBJECTIVES.get(name).scale for point in points for name in point}
    values = {name: [point.get(name) for point in points] for name in scales}
    return {
        name: [None if value is None else float(f"{value * scales[name]:.6g}") for value in column]
        for name, column in values.items()
    }


def _thinned(indices: Any, most: int) -> Any:
    """At most so many of them, evenly spread."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.int64)]


def _rounded(values: Iterable[float]) -> list[float]:
    """Six figures are enough to draw, and keep the page small."""
    return [float(f"{value:.6g}") for value in values]
