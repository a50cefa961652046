"""Figures of the students for the report's templates: the one recommended, and all of them beside their teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avatar_optuna.report._content import Content
from avatar_optuna.report._words import interval, joules, megabytes, megaflops, milliseconds, percent, points, times
from avatar_optuna.schema import Energy
from avatar_optuna.view import DistilledStudent

_REFERENCES = {"teacher": "the teacher", "codebert": "CodeBERT"}

Cell = str | tuple[str, str]
"""Of a table: text, or text and what stands below it in small."""


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure shown large.

    Args:
        value: The figure with its unit.
        what: What it is.
        note: Below it; may be empty.
        how: How it was obtained, such as "measured".
    """

    value: str
    what: str
    note: str
    how: str = "measured"


def tiles(content: Content, student: DistilledStudent) -> list[Tile]:
    """Effectiveness, size, latency, and energy (FLOPs where it was not measured) of a distilled student."""
    result = student.result
    ratio = student.times_less_than.get("teacher", {})
    bounds = result.valid.get(f"{content.metric}_interval")
    under = f"95 % interval {interval(bounds)}" if bounds is not None else ""
    than = {
        name: f"{times(ratio[name])} {word} than the teacher" if name in ratio else ""
        for name, word in (("size", "smaller"), ("latency", "faster"), ("energy", "less"), ("flops", "fewer"))
    }
    shown = [
        Tile(
            value=percent(result.effectiveness),
            what=f"{content.metric.replace('_', ' ')} on validation",
            note=under,
        ),
        Tile(value=megabytes(result.size_bytes), what="weights on disk", note=than["size"]),
        Tile(value=milliseconds(student.latency_ms), what="one input, median", note=than["latency"]),
    ]
    if student.energy is not None:
        return [*shown, Tile(value=joules(student.energy.joules), what="one input", note=than["energy"])]
    return [*shown, Tile(value=megaflops(result.flops), what="one input", note=than["flops"], how="by formula")]


def against_teacher(content: Content, student: DistilledStudent) -> str:
    """How far a distilled student lies from its teacher; empty while the teacher is not measured."""
    teacher, result = content.teacher, student.result
    if teacher is None:
        return ""
    difference = result.effectiveness - teacher.valid[content.metric]
    sign = "above" if difference >= 0 else "below"
    own, other = (figures.get(f"{content.metric}_interval") for figures in (result.valid, teacher.valid))
    overlap = own is not None and other is not None and own[0] <= other[1] and other[0] <= own[1]
    sentence = f"It lies {points(abs(difference))} {sign} its teacher on validation"
    return f"{sentence}, and their 95 % intervals overlap." if overlap else f"{sentence}."


def has_energy(content: Content) -> bool:
    """Whether the energy of any student was measured."""
    return any(student.energy is not None for student in content.students)


def references(content: Content) -> list[str]:
    """What students were timed side by side with, in words."""
    return [_REFERENCES[name] for name in _compared(content)]


def recommended_row(content: Content) -> int | None:
    """Index of the recommended student among `rows`."""
    jobs = [student.job for student in content.students]
    return jobs.index(content.recommendation.student.job) if content.recommendation is not None else None


def rows(content: Content) -> list[list[Cell]]:
    """Of the table: the distilled students, then teacher and CodeBERT where they were measured."""
    own = [_row(content, student) for student in content.students]
    return own + [_reference(content, name, len(own[0])) for name in _REFERENCES if _is_measured(content, name)]


def _compared(content: Content) -> list[str]:
    return [name for name in _REFERENCES if any(name in student.times_less_than for student in content.students)]


def _row(content: Content, student: DistilledStudent) -> list[Cell]:
    result, prediction = student.result, student.prediction
    ratio = student.times_less_than
    keys = ["size", "latency", *(["energy"] if has_energy(content) else [])]
    return [
        f"{student.job}{' •' if student.on_front else ''}",
        f"{100 * prediction.effectiveness:.1f} ± {196 * prediction.std:.1f}" if prediction is not None else "",
        _with_interval(result.valid, content.metric),
        _with_interval(result.test, content.metric),
        *_costs(content, result.size_bytes, result.flops, student.latency_ms, student.energy),
        *(times(ratio[n][key]) if key in ratio.get(n, {}) else "" for n in _compared(content) for key in keys),
    ]


def _is_measured(content: Content, name: str) -> bool:
    return content.model(name) is not None or (name == "teacher" and content.teacher is not None)


def _reference(content: Content, name: str, width: int) -> list[Cell]:
    """The row of the teacher or of the CodeBERT architecture, whose weights are random: it has costs alone."""
    model, teacher = content.model(name), content.teacher if name == "teacher" else None
    cells: list[Cell] = [
        name if name == "teacher" else "CodeBERT",
        "",
        _with_interval(teacher.valid if teacher is not None else None, content.metric),
        _with_interval(teacher.test if teacher is not None else None, content.metric),
        *_costs(
            content,
            model.size_bytes if model is not None else teacher.size_bytes if teacher is not None else None,
            (teacher.flops if teacher is not None else None) or (model.flops if model is not None else None),
            model.latency_ms if model is not None else None,
            model.energy if model is not None else None,
        ),
    ]
    return cells + [""] * (width - len(cells))


def _costs(
    content: Content,
    size_bytes: int | None,
    flops: float | None,
    latency_ms: float | None,
    energy: Energy | None,
) -> list[str]:
    """Cells without units, which the headings name; empty where a figure is not known."""
    cells = [
        megabytes(size_bytes).removesuffix(" MB") if size_bytes is not None else "",
        megaflops(flops).removesuffix(" MFLOPs") if flops is not None else "",
        milliseconds(latency_ms).removesuffix(" ms") if latency_ms is not None else "",
    ]
    if has_energy(content):
        cells.append(f"{energy.joules:.3g}" if energy is not None else "")
    return cells


def _with_interval(figures: Mapping[str, Any] | None, metric: str) -> Cell:
    """`69.3` above `63.9 to 74.2`."""
    if figures is None:
        return ""
    value, bounds = f"{100 * figures[metric]:.1f}", figures.get(f"{metric}_interval")
    return (value, interval(bounds)) if bounds is not None else value
