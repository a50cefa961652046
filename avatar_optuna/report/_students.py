"""The table of the students beside their teacher, for the report's templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from avatar_optuna.decision import Decision
from avatar_optuna.objectives import EFFECTIVENESS, OBJECTIVES
from avatar_optuna.report._content import Content
from avatar_optuna.schema import Latency
from avatar_optuna.view import METRIC_TITLES, DistilledStudent
from avatar_optuna.words import count, figure, interval, times

_REFERENCES = {"teacher": "the teacher", "codebert": "CodeBERT"}
_AS_TEACHER, _THRESHOLD = "as teacher, %", "threshold"
_MOST_LABELS, _MOST_CONFUSIONS = 10, 12
_TIMINGS = {"warm_ms": "warm", "thread_ms": "thread"}
_RATIOS = {"size": "smaller", "latency": "faster", "energy": "less J"}

Cell = str | tuple[str, str]
"""Of a table: text, or text and what stands below it in small."""


def costs(content: Content) -> list[str]:
    """Names of the objectives besides effectiveness that any student has a figure of: a column each."""
    names = dict.fromkeys(name for student in content.students for name in student.figures)
    return [name for name in names if name != EFFECTIVENESS]


def units(content: Content) -> list[str]:
    """Headings of these columns."""
    return [OBJECTIVES.get(name).unit for name in costs(content)]


def timings(content: Content) -> list[str]:
    """Headings of the further figures of a latency, where any student has them."""
    own = [student.timed for student in content.students if student.timed is not None]
    return [title for name, title in _TIMINGS.items() if any(getattr(timed, name) is not None for timed in own)]


def _timing_cells(content: Content, timed: Latency | None) -> list[Cell]:
    values = {title: getattr(timed, name, None) for name, title in _TIMINGS.items()}
    return [figure("latency_ms", values[title]) for title in timings(content)]


def answers(content: Content) -> list[str]:
    """Headings of how students answer: beside their teacher, and from which probability on, where that is known."""
    has_fidelity = any(student.fidelity is not None for student in content.students)
    return [_AS_TEACHER] * has_fidelity + [_THRESHOLD] * (content.aim is not None)


def ratios(content: Content) -> list[str]:
    """Headings of what is compared with each reference; energy only where it was measured."""
    return [word for key, word in _RATIOS.items() if key in _ratio_keys(content)]


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


def metric_titles(content: Content, split: str) -> list[str]:
    """Headings of the metrics of "valid" or "test"."""
    return [METRIC_TITLES[name] for name in content.metrics(split)]


def metric_rows(content: Content, split: str) -> list[list[Cell]]:
    """The metrics of students, teacher and baseline."""
    names = content.metrics(split)
    return [
        [model, *(_with_interval(figures, name) for name in names)] for model, figures in content.figures(split).items()
    ]


def parts(content: Content) -> list[tuple[str, list[str], list[list[Cell]]]]:
    """Title, headings and rows of a table of each student's recall by label, and of its figures by group, on test."""
    models = content.figures("test")
    found: list[tuple[str, list[str], list[list[Cell]]]] = []
    for key, figure_name, title in (
        ("by_class", "recall", "Recall by label, on test"),
        ("by_group", "ordered_pairs", "Fixes in order by group, on test"),
        ("by_group", "balanced_accuracy", "Balanced accuracy by group, on test"),
    ):
        tables = {model: figures[key] for model, figures in models.items() if key in figures}
        names = list(dict.fromkeys(name for own in tables.values() for name in own))
        names = [name for name in names if any(figure_name in own.get(name, {}) for own in tables.values())]
        rows: list[list[Cell]] = [
            [_counted(name, [own.get(name, {}) for own in tables.values()])]
            + [_with_interval(own.get(name), figure_name) for own in tables.values()]
            for name in names
        ]
        if rows:
            found.append((title, [key.removeprefix("by_"), *tables], rows))
    return found


def confusions(content: Content) -> list[tuple[str, list[str], list[list[Cell]]]]:
    """Of each model: its name, and headings and rows of its confusion matrix on test; where there are many labels, the
    commonest confusions in place of all."""
    found: list[tuple[str, list[str], list[list[Cell]]]] = []
    for model, figures in content.figures("test").items():
        names, counts = list(figures.get("by_class", ())), confusion(figures)
        if counts is None:
            continue
        if len(names) <= _MOST_LABELS:
            rows: list[list[Cell]] = [
                [name, *(f"{number:,}" for number in row)] for name, row in zip(names, counts, strict=True)
            ]
            found.append((model, ["label", *(f"as {name}" for name in names)], rows))
            continue
        wrong = [
            (number, names[label], names[answer])
            for label, row in enumerate(counts)
            for answer, number in enumerate(row)
            if label != answer and number
        ]
        commonest = sorted(wrong, reverse=True)[:_MOST_CONFUSIONS]
        found.append((model, ["label", "answered as", "inputs"], [[a, b, f"{number:,}"] for number, a, b in commonest]))
    return found


def confusion(figures: Mapping[str, Any]) -> list[list[int]] | None:
    """[label][answer]: inputs, as stored, or of two labels from the recall of each; None where it is not known."""
    if "confusion" in figures:
        stored: list[list[int]] = figures["confusion"]
        return stored
    own = list(figures.get("by_class", {}).values())
    if len(own) != 2:
        return None
    hits = [round(label["recall"] * label["inputs"]) for label in own]
    first, second = (label["inputs"] for label in own)
    return [[hits[0], first - hits[0]], [second - hits[1], hits[1]]]


def _counted(name: str, own: Sequence[Mapping[str, Any]]) -> Cell:
    """A label or group, and how many inputs have it."""
    inputs = next((figures["inputs"] for figures in own if "inputs" in figures), None)
    return (name, count(inputs, "input")) if inputs is not None else name


def _ratio_keys(content: Content) -> list[str]:
    return [key for key in _RATIOS if key != "energy" or "energy_j" in costs(content)]


def _compared(content: Content) -> list[str]:
    return [name for name in _REFERENCES if any(name in student.times_less_than for student in content.students)]


def _row(content: Content, student: DistilledStudent) -> list[Cell]:
    result, prediction, ratio = student.result, student.prediction, student.times_less_than
    return [
        f"{student.job}{' •' if student.on_front else ''}",
        f"{100 * prediction.effectiveness:.1f} ± {196 * prediction.std:.1f}" if prediction is not None else "",
        _with_interval(result.valid, content.metric),
        _with_interval(result.test, content.metric),
        *_answer_cells(content, student.decision, student.metrics("test")),
        *(_cost(student, name) for name in costs(content)),
        *_timing_cells(content, student.timed),
        *(
            times(ratio[name][key]) if key in ratio.get(name, {}) else ""
            for name in _compared(content)
            for key in _ratio_keys(content)
        ),
    ]


def _answer_cells(content: Content, decision: Decision | None, figures: Mapping[str, Any]) -> list[Cell]:
    threshold: Cell = ""
    if decision is not None and decision.threshold is not None:
        threshold = f"{decision.threshold:.3g}"
        threshold = threshold if decision.missed is None else (threshold, "misses its aim")
    cells: dict[str, Cell] = {_AS_TEACHER: _with_interval(figures, "agreement"), _THRESHOLD: threshold}
    return [cells[heading] for heading in answers(content)]


def _cost(student: DistilledStudent, name: str) -> Cell:
    """A figure; of the latency also its 95 % interval, and whether it is provisional."""
    value, interval_ms = figure(name, student.figures.get(name)), student.latency_interval_ms
    if name != "latency_ms":
        return value
    small = [f"{figure(name, interval_ms[0])} to {figure(name, interval_ms[1])}"] if interval_ms is not None else []
    small += [] if student.is_compared else ["provisional"]
    return (value, ", ".join(small)) if small else value


def _is_measured(content: Content, name: str) -> bool:
    return content.model(name) is not None or (name == "teacher" and content.teacher is not None)


def _reference(content: Content, name: str, width: int) -> list[Cell]:
    """The row of the teacher or of the CodeBERT architecture, whose weights are random: it has costs alone."""
    model, teacher = content.model(name), content.teacher if name == "teacher" else None
    figures: dict[str, float | None] = {}
    if teacher is not None:
        figures = {"size_bytes": teacher.size_bytes, "flops": teacher.flops}
    if model is not None:
        figures |= {"size_bytes": model.size_bytes, "latency_ms": model.latency_ms}
        figures["flops"] = figures.get("flops") or model.flops
        figures["energy_j"] = model.energy.joules if model.energy is not None else None
    cells: list[Cell] = [
        name if name == "teacher" else "CodeBERT",
        "",
        _with_interval(teacher.valid if teacher is not None else None, content.metric),
        _with_interval(teacher.test if teacher is not None else None, content.metric),
        *_answer_cells(content, teacher.decision if teacher is not None else None, {}),
        *(figure(name, figures.get(name)) for name in costs(content)),
        *_timing_cells(content, model.of_one_input if model is not None else None),
    ]
    return cells + [""] * (width - len(cells))


def _with_interval(figures: Mapping[str, Any] | None, metric: str) -> Cell:
    """`69.3` above `63.9 to 74.2`."""
    if figures is None or metric not in figures:
        return ""
    value, bounds = f"{100 * figures[metric]:.1f}", figures.get(f"{metric}_interval")
    return (value, interval(bounds)) if bounds is not None else value
