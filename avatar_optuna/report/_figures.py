"""The figures: plotly's home. Each is drawn by the report's page, and some are saved for the dashboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from avatar_optuna.costs import flops, size_bytes
from avatar_optuna.report._content import Content
from avatar_optuna.report._words import megabytes, megaflops, milliseconds, percent
from avatar_optuna.view import DistilledStudent, PredictedStudent, SearchRound

PREDICTED, MEASURED, REFERENCE, FAINT = "#3f8fd2", "#e0782b", "#858c96", "rgba(133,140,150,0.35)"
_CURVES = ("#e0782b", "#3f8fd2", "#3a9e6b", "#b065c0", "#c9a227", "#d25f7a", "#4fb0b8", "#8c7a5b")
_Z = 1.96
_TEACHER = "teacher, measured"
_MOST_FRONT, _MOST_OTHERS = 400, 600

AXES: Mapping[str, tuple[str, bool]] = {
    "size_bytes": ("size, MB", True),
    "flops": ("forward MFLOPs of one input", True),
    "latency_ms": ("latency of one input, ms", True),
    "energy_j": ("energy of one input, J", True),
    "effectiveness": ("on validation, %", False),
}
"""What an axis can show: its title, and whether it is logarithmic."""

ConfigurationTable = dict[str, list[float | None]]


def axis_title(axis: str, content: Content) -> str:
    """The title of an axis."""
    title = AXES[axis][0]
    return f"{content.metric.replace('_', ' ')} {title}" if axis == "effectiveness" else title


def front(content: Content) -> go.Figure:
    """The front in the plane: what was predicted, what was measured, and the teacher.

    The `meta` of each trace holds one column an axis, from which the page draws other axes.
    """
    figure = go.Figure()
    for series in _series(content):
        columns, errors = series["columns"], series["errors"]
        figure.add_scatter(
            x=columns.get("size_bytes", []),
            y=columns.get("effectiveness", []),
            error_y={**errors, "visible": True, "width": 0, "thickness": 1} if errors else None,
            mode="markers+text" if series["labels"] else "markers",
            text=series["labels"],
            textposition="top center",
            hovertext=series["hover"],
            hoverinfo="text",
            customdata=series["details"],
            name=series["name"],
            marker=series["marker"],
            visible="legendonly" if series["name"] == _TEACHER else True,  # so far away that it squeezes the rest
            meta={"columns": columns, "errors": bool(errors)},
        )
    if content.teacher is not None:
        figure.add_hline(**_teacher_line(content))
    _axis(figure, "x", "size_bytes", content)
    _axis(figure, "y", "effectiveness", content)
    return figure.update_layout(height=460, legend=_LEGEND, margin=_MARGIN, hovermode="closest")


def front_3d(content: Content) -> go.Figure:
    """Effectiveness over size and FLOPs."""
    figure = go.Figure()
    for series in _series(content):
        columns = series["columns"]
        if not columns.get("flops"):
            continue
        figure.add_scatter3d(
            x=columns["size_bytes"],
            y=columns["flops"],
            z=columns["effectiveness"],
            mode="markers",
            hovertext=series["hover"],
            hoverinfo="text",
            name=series["name"],
            marker={
                "size": 5 if series["labels"] else 2.5,
                "color": series["marker"]["color"],
                "symbol": "diamond" if series["labels"] else "circle",
                "line": {"width": 0},
            },
            visible="legendonly" if series["name"] == _TEACHER else True,  # so far away that it squeezes the rest
        )
    axes = {"xaxis": "size_bytes", "yaxis": "flops", "zaxis": "effectiveness"}
    short = {"size_bytes": "size, MB", "flops": "MFLOPs", "effectiveness": f"{content.metric.replace('_', ' ')}, %"}
    scene: dict[str, Any] = {
        place: {"title": {"text": short[axis]}, **_scale(axis), "nticks": 6} for place, axis in axes.items()
    }
    scene["camera"] = {"eye": {"x": 1.55, "y": 1.75, "z": 0.7}, "center": {"x": 0, "y": 0, "z": -0.15}}
    return figure.update_layout(height=520, scene=scene, legend=_LEGEND, margin={"l": 0, "r": 0, "t": 10, "b": 0})


def predicted_against_measured(content: Content) -> go.Figure:
    """Each student's prediction and its measured figure, both with 95 % intervals."""
    pairs = [(s, s.prediction, s.result) for s in content.students if s.prediction is not None]
    predicted = [100 * p.effectiveness for _, p, _ in pairs]
    measured = [100 * r.effectiveness for _, _, r in pairs]
    figure = go.Figure()
    shown = [*predicted, *measured]
    low, high = (min(shown) - 3, max(shown) + 3) if shown else (0, 100)
    figure.add_scatter(
        x=[low, high],
        y=[low, high],
        mode="lines",
        line={"color": REFERENCE, "dash": "dot", "width": 1},
        hoverinfo="skip",
        name="as predicted",
    )
    figure.add_scatter(
        x=_rounded(predicted),
        y=_rounded(measured),
        error_x={"array": _rounded(100 * _Z * p.std for _, p, _ in pairs), "width": 0, "thickness": 1},
        error_y=_interval_bars([r.valid.get(f"{content.metric}_interval") for _, _, r in pairs], measured),
        mode="markers+text",
        text=[str(student.job) for student, _, _ in pairs],
        textposition="top center",
        hovertext=[
            f"student {s.job}<br>predicted {percent(p.effectiveness)}<br>measured {percent(r.effectiveness)}"
            for s, p, r in pairs
        ],
        hoverinfo="text",
        marker={"color": MEASURED, "size": 9},
        name="students",
    )
    figure.update_xaxes(title={"text": f"predicted {content.metric.replace('_', ' ')}, %"})
    figure.update_yaxes(title={"text": f"measured {axis_title('effectiveness', content)}"})
    return figure.update_layout(height=400, showlegend=False, margin=_MARGIN)


def hypervolume(content: Content) -> go.Figure:
    """How each round's hypervolume grew."""
    figure = go.Figure()
    for index, found in enumerate(content.rounds):
        figure.add_scatter(
            x=[trials for trials, _ in content.volumes[found.number]],
            y=_rounded(100 * share for _, share in content.volumes[found.number]),
            mode="lines+markers",
            line={"color": _CURVES[(index + 1) % len(_CURVES)], "width": 2},
            marker={"size": 4},
            name=f"round {found.number + 1}",
        )
    figure.update_xaxes(title={"text": "configurations scored"}, rangemode="tozero")
    figure.update_yaxes(title={"text": "hypervolume, % of the final"})
    return figure.update_layout(height=340, showlegend=len(content.rounds) > 1, legend=_LEGEND, margin=_MARGIN)


def learning_curves(content: Content) -> go.Figure:
    """The metric on validation after each epoch, the kept epoch marked, the teacher beside them."""
    figure = go.Figure()
    for index, student in enumerate(content.students):
        history = student.result.history
        colour = _CURVES[index % len(_CURVES)]
        kept = [entry["epoch"] == student.result.best_epoch for entry in history]
        figure.add_scatter(
            x=[entry["epoch"] for entry in history],
            y=_rounded(100 * entry["valid"][content.metric] for entry in history),
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": [11 if is_kept else 4 for is_kept in kept], "color": colour, "opacity": 1},
            hovertemplate="epoch %{x}: %{y:.1f} %",
            name=f"student {student.job}",
        )
    if content.teacher is not None and content.students:
        figure.add_hline(**_teacher_line(content))
    figure.update_xaxes(title={"text": "epoch"}, dtick=1 if _most_epochs(content) <= 15 else None)
    figure.update_yaxes(title={"text": axis_title("effectiveness", content)})
    return figure.update_layout(height=380, legend=_LEGEND, margin=_MARGIN)


def audit(content: Content) -> go.Figure:
    """FLOPs against measured latency of the audited students, and the line of equal rank where it is kept."""
    assert content.audit is not None
    students = content.audit.students
    figure = go.Figure()
    figure.add_scatter(
        x=_rounded(student.flops / 1e6 for student in students),
        y=_rounded(student.latency_ms for student in students),
        error_y={
            "type": "data",
            "symmetric": False,
            "array": _rounded(s.latency_interval_ms[1] - s.latency_ms for s in students),
            "arrayminus": _rounded(s.latency_ms - s.latency_interval_ms[0] for s in students),
            "width": 0,
            "thickness": 1,
        },
        mode="markers",
        marker={"color": MEASURED, "size": 7},
        hovertext=[f"{megaflops(s.flops)}<br>{milliseconds(s.latency_ms)}" for s in students],
        hoverinfo="text",
        name="audited students",
    )
    figure.update_xaxes(title={"text": "forward MFLOPs, by formula"}, **_scale("flops"))
    figure.update_yaxes(title={"text": "latency of one input, ms, measured"}, **_scale("latency_ms"))
    return figure.update_layout(height=400, showlegend=False, margin=_MARGIN)


_LEGEND = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "xanchor": "left"}
_MARGIN = {"l": 60, "r": 16, "t": 16, "b": 52}


def _series(content: Content) -> list[dict[str, Any]]:
    """Traces of the front: what else was scored, the predicted front, the students, the teacher."""
    found = [*_predicted_series(content)] if content.rounds else []
    if content.students:
        found.append(_measured_series(content))
    if (teacher := _teacher_series(content)) is not None:
        found.append(teacher)
    return found


def _predicted_series(content: Content) -> list[dict[str, Any]]:
    last = content.rounds[-1]
    shown = front_shown(last)
    columns: ConfigurationTable = {
        "effectiveness": _rounded(100 * student.prediction.effectiveness for student in shown),
        "size_bytes": _rounded(student.size_bytes / 1e6 for student in shown),
        "flops": _rounded(student.flops / 1e6 for student in shown),
    }
    others = _others(last, content)
    front_trace = {
        "name": "predicted front",
        "columns": columns,
        "errors": None,
        "labels": None,
        "hover": [_hover(f"trial {student.trial}, predicted", student) for student in shown],
        "details": [f"trial-{student.trial}" for student in shown],
        "marker": {"color": PREDICTED, "size": 6},
    }
    return [*([others] if others is not None else []), front_trace]


def _others(last: SearchRound, content: Content) -> dict[str, Any] | None:
    found = last.scored
    others = np.flatnonzero(~np.isin(found.numbers, [student.trial for student in last.front]))
    if not len(others):
        return None
    chosen = [int(index) for index in _thinned(others, _MOST_OTHERS)]
    students = [found.students[index] for index in chosen]
    return {
        "name": "scored, not on the front",
        "columns": {
            "effectiveness": _rounded(100 * found.values[chosen, 0]),
            "size_bytes": _rounded(int(size_bytes(student, content.task_shape)) / 1e6 for student in students),
            "flops": _rounded(int(flops(student, content.task_shape)) / 1e6 for student in students),
        },
        "errors": None,
        "labels": None,
        "hover": [f"trial {int(found.numbers[index])}, predicted, not on the front" for index in chosen],
        "details": [None] * len(chosen),
        "marker": {"color": FAINT, "size": 4},
    }


def front_shown(last: SearchRound) -> list[PredictedStudent]:
    """Of the predicted front as many as a page can bear, evenly chosen."""
    return [last.front[int(index)] for index in _thinned(np.arange(len(last.front)), _MOST_FRONT)]


def others_shown(last: SearchRound) -> int:
    """How many of the configurations that are not on the front are drawn."""
    return min(len(last.scored) - len(last.front), _MOST_OTHERS)


def _measured_series(content: Content) -> dict[str, Any]:
    results = [(student, student.result) for student in content.students]
    recommended = content.recommendation.student.job if content.recommendation is not None else None
    measured = [100 * result.effectiveness for _, result in results]
    columns: ConfigurationTable = {
        "effectiveness": _rounded(measured),
        "size_bytes": _rounded(result.size_bytes / 1e6 for _, result in results),
        "flops": _rounded(result.flops / 1e6 for _, result in results),
        "latency_ms": _rounded(student.latency_ms for student, _ in results),
    }
    if any(student.energy is not None for student, _ in results):
        columns["energy_j"] = [s.energy.joules if s.energy is not None else None for s, _ in results]
    return {
        "name": "distilled and measured",
        "columns": columns,
        "errors": _interval_bars([r.valid.get(f"{content.metric}_interval") for _, r in results], measured),
        "labels": [str(student.job) for student, _ in results],
        "hover": [
            _hover(f"student {student.job}, measured", student)
            + f"<br>{percent(result.effectiveness)} on validation<br>{milliseconds(student.latency_ms)}"
            for student, result in results
        ],
        "details": [f"job-{student.job}" for student, _ in results],
        "marker": {
            "color": MEASURED,
            "opacity": 1,
            "size": [14 if student.job == recommended else 10 for student, _ in results],
            "symbol": ["star" if student.job == recommended else "diamond" for student, _ in results],
        },
    }


def _teacher_series(content: Content) -> dict[str, Any] | None:
    teacher = content.teacher
    if teacher is None or teacher.size_bytes is None:
        return None
    columns: ConfigurationTable = {
        "effectiveness": [round(100 * teacher.valid[content.metric], 3)],
        "size_bytes": [teacher.size_bytes / 1e6],
        "flops": [teacher.flops / 1e6 if teacher.flops is not None else None],
    }
    if (model := content.model("teacher")) is not None:
        columns["latency_ms"] = [round(model.latency_ms, 4)]
        if model.energy is not None:
            columns["energy_j"] = [model.energy.joules]
    return {
        "name": _TEACHER,
        "columns": columns,
        "errors": None,
        "labels": ["teacher"],
        "hover": [
            f"teacher<br>{percent(teacher.valid[content.metric])} on validation<br>{megabytes(teacher.size_bytes)}"
        ],
        "details": [None],
        "marker": {"color": REFERENCE, "size": 10, "symbol": "square"},
    }


def _teacher_line(content: Content) -> dict[str, Any]:
    assert content.teacher is not None
    return {
        "y": round(100 * content.teacher.valid[content.metric], 3),
        "line": {"color": REFERENCE, "dash": "dash", "width": 1},
        "annotation": {"text": "teacher", "font": {"color": REFERENCE}},
    }


def _hover(title: str, student: DistilledStudent | PredictedStudent) -> str:
    text = f"{title}<br>{megabytes(student.size_bytes)}, {megaflops(student.flops)}"
    if isinstance(student, PredictedStudent):
        prediction = student.prediction
        text += f"<br>{percent(prediction.effectiveness)} ± {100 * _Z * prediction.std:.1f} predicted"
    return text


def _interval_bars(intervals: Sequence[Sequence[float] | None], values: Sequence[float]) -> dict[str, Any] | None:
    """Error bars of 95 % intervals given as fractions, around percentages."""
    if any(interval is None for interval in intervals):
        return None
    known = [interval for interval in intervals if interval is not None]
    return {
        "type": "data",
        "symmetric": False,
        "array": _rounded(100 * interval[1] - value for interval, value in zip(known, values, strict=True)),
        "arrayminus": _rounded(value - 100 * interval[0] for interval, value in zip(known, values, strict=True)),
        "width": 0,
        "thickness": 1,
    }


def _axis(figure: go.Figure, which: str, axis: str, content: Content) -> None:
    about = {"title": {"text": axis_title(axis, content)}, **_scale(axis)}
    figure.update_layout({f"{which}axis": about})


def _scale(axis: str) -> dict[str, str]:
    """Logarithmic axes are ticked at 1, 2 and 5."""
    return {"type": "log", "dtick": "D2", "tickformat": "~g"} if AXES[axis][1] else {"type": "linear"}


def _most_epochs(content: Content) -> int:
    return max((len(student.result.history) for student in content.students), default=0)


def _thinned(indices: Any, most: int) -> Any:
    """At most so many of them, evenly spread."""
    if len(indices) <= most:
        return indices
    return indices[np.linspace(0, len(indices) - 1, most).round().astype(np.int64)]


def _rounded(values: Any) -> list[float | None]:
    """Six figures are enough to draw, and keep the page small."""
    return [float(f"{value:.6g}") for value in values]
