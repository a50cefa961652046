"""The front as tables for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from avatar_optuna.cost_model import CostModel
from avatar_optuna.decision import Decision
from avatar_optuna.indicator import StudyIndicator
from avatar_optuna.objectives import OBJECTIVES, written
from avatar_optuna.progress import say
from avatar_optuna.renderers._values import like_previous
from avatar_optuna.schema import Flips, Latency, TeacherRecord
from avatar_optuna.verdict import AsGood, as_good_as_best, verdict_of
from avatar_optuna.view import DistilledStudent, PredictedStudent, Prediction, StudyView
from avatar_optuna.words import listed, percent, points

_PREDICTED_ROWS = 10
_MEASURED = ("size_bytes", "flops", "latency_ms")
_BY_FORMULA = ("size_bytes", "flops")
_PLACED = ("effectiveness", "energy_j", *_MEASURED)
"""Figures that have a place of their own, or none, in the tables; the study's further objectives come after them."""


def front_table(view: StudyView, console: Console) -> None:
    """The distilled students beside their teacher, the front that is only predicted, and whether any of it is good."""
    if view.students:
        _distilled(view, console)
    if view.rounds:
        if (share := view.rounds[-1].hypervolume_share) is not None:
            say(
                console,
                f"\nthe search reached {share['share']:.1%} of the attainable hypervolume ({share['method']}: "
                f"{share['lattice_points']:,} points)",
            )
        _predicted(view, console)
    if not view.students and not view.rounds:
        say(console, f"the study {view.name} has no students yet")
    verdict = verdict_of(view)
    say(console, f"\nverdict    {verdict.sentence}")
    for step in verdict.next_steps:
        say(console, f"           {step}")


def _distilled(view: StudyView, console: Console) -> None:
    say(console, f"students of {view.name} ({view.metric_title} in %; valid selects, test is only reported)")
    times = _timings(view)
    table = _students(view, times)
    if times and console.measure(table, options=console.options.update(max_width=_ANY_WIDTH)).maximum > console.width:
        times = []
        table = _students(view, times)
    console.print(table)
    are_compared = all(student.is_compared for student in view.students)
    provisional = "" if are_compared else "; p: provisional, timed by the student's own worker"
    say(
        console,
        "student: its number, for `export --student`; ms: median latency of one input and its 95 % interval, "
        f"tokenization apart, {_timing_words(view, times)}; smaller, faster: than the teacher; *: on the front"
        f"{_flips_legend(view)}{provisional}.",
    )
    for sentence in (*_decision_words(view, _decided(view)), *_selection(view)):
        say(console, sentence)


_ANY_WIDTH = 10_000


def _students(view: StudyView, times: Sequence[str]) -> Table:
    """A row for each distilled student, and one for the teacher.

    Args:
        times: Columns of further figures of a latency.
    """
    names, kinds, further = (*_MEASURED, *_further(view.students)), _kinds(view), _decided(view)
    table = Table(box=None)
    units = [OBJECTIVES.get(name).unit for name in names]
    for heading in ("student", "", *kinds, "predicted", "valid", "test", *further, *units, *times, "smaller", "faster"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for student in view.students:
        number, mark, *cells = _student_cells(student, view.metric, names, further, times)
        shown = student.hyperparameters.shown
        table.add_row(number, mark, *(str(shown[kind]) for kind in kinds), *cells)
    if view.teacher is not None:
        number, mark, *cells = _teacher_cells(view, view.teacher, names, further, times)
        table.add_row(number, mark, *("" for _ in kinds), *cells)
    return table


def _selection(view: StudyView) -> list[str]:
    """Which students the validation split cannot tell from the best, and what the best owes to being the best."""
    found = as_good_as_best(view.students, view.metric)
    return [*_ties(found), *_luck(found, len(view.students))] if found is not None else []


def _luck(found: AsGood, count: int) -> list[str]:
    if found.expected is None or found.best.effectiveness - found.expected < _LEAST_LUCK:
        return []
    luck = found.best.effectiveness - found.expected
    return [
        f"student {found.best.job}, the best of {count}, is it by luck too: on other inputs of the kind {points(luck)} "
        f"less than on validation are to be expected, {percent(found.expected)}."
    ]


_LEAST_LUCK = 0.0005  # what is written as no points


def _ties(found: AsGood) -> list[str]:
    if len(found.students) == 1:
        return []
    numbers = listed([str(student.job) for student in found.students])
    return [
        f"students {numbers} cannot be told apart on validation: they lie within one standard error "
        f"({points(found.error)}) of the best, student {found.best.job}; the fastest of them is student "
        f"{found.cheapest.job}."
    ]


_WARM, _THREAD = "warm", "thread"


def _timings(view: StudyView) -> list[str]:
    """Columns for the further figures of a latency, where any student has them; a narrow terminal goes without."""
    own = [student.timed for student in view.students if student.timed is not None]
    known = {_WARM: any(timed.warm_ms for timed in own), _THREAD: any(timed.thread_ms for timed in own)}
    return [name for name, is_known in known.items() if is_known]


def _timing(timed: Latency | None, name: str) -> str:
    """A latency in a warm block, or the time of the thread by turns; nothing where it is not known."""
    value = None if timed is None else timed.warm_ms if name == _WARM else timed.thread_ms
    return written("latency_ms", value) if value is not None else ""


def _timing_words(view: StudyView, times: Sequence[str]) -> str:
    """How models were timed, which earlier versions did in one order; and what the columns of further figures are."""
    if view.compared is None:
        return "by its own worker"
    is_random = all(model.is_in_random_order for model in view.compared.models.values())
    order = "by turns in random order" if is_random else "by turns in one order"
    words = {_WARM: "warm: a block of that model alone", _THREAD: "thread: of ms, the time that it had a processor"}
    return "; ".join([order, *(words[name] for name in times)])


_FLIPS, _AS_TEACHER, _THRESHOLD = "flips", "as teacher", "threshold"


def _decided(view: StudyView) -> list[str]:
    """Columns for how students answer: under edits, beside their teacher, from which probability on, where known."""
    has_flips = any(student.flips is not None for student in view.students)
    has_fidelity = any(student.fidelity is not None for student in view.students)
    return [_FLIPS] * has_flips + [_AS_TEACHER] * has_fidelity + [_THRESHOLD] * (view.aim is not None)


def _decision_words(view: StudyView, columns: Sequence[str]) -> list[str]:
    """What these columns are, and which students miss what their threshold is for."""
    words = []
    if _AS_TEACHER in columns:
        words.append("as teacher: % of the test inputs that student and teacher give the same label.")
    if view.aim is not None:
        words.append(
            "threshold: the second label is given from this probability on, chosen on validation for "
            f"{view.aim_title}; valid and test are at it, those of teacher and baseline at theirs."
        )
    return [
        *words,
        *(f"student {s.job}: {s.decision.missed}" for s in view.students if s.decision.missed is not None),
    ]


def _flips_legend(view: StudyView) -> str:
    edits = next((student.flips.edits for student in view.students if student.flips is not None), None)
    counted = f"; flips: % of test inputs whose label changes under any of {edits} edits that keep what functions do"
    return counted if edits is not None else ""


def _kinds(view: StudyView) -> list[str]:
    """Columns for what kinds of students there are: the family and the precision, where students differ in them."""
    members = view.settings.space.members
    has_precision = any("precision" in member.names for member in members)
    return ["family"] * (len(members) > 1) + ["precision"] * has_precision


def _shape_cells(view: StudyView) -> tuple[list[str], Callable[[PredictedStudent], list[str]]]:
    """Headings of what a student is, and its cells; students of several families are described in words."""
    kinds, members = _kinds(view), view.settings.space.members
    columns = dict(members[0].family.table_columns) if len(members) == 1 else {}

    def cells(student: PredictedStudent) -> list[str]:
        shown = student.hyperparameters.shown
        words = [student.hyperparameters.family.describe(student.hyperparameters)] if not columns else []
        values = [str(getattr(student.hyperparameters, name)) for name in columns.values()]
        return [*values, *(str(shown[kind]) for kind in kinds), *words]

    return [*columns, *kinds, *([] if columns else ["student"])], cells


def _further(students: Sequence[DistilledStudent] | Sequence[PredictedStudent]) -> list[str]:
    """Objectives beyond those that every study has, in their order."""
    names = dict.fromkeys(name for student in students for name in student.figures)
    return [name for name in names if name not in _PLACED]


def _student_cells(
    student: DistilledStudent, metric: str, names: Sequence[str], further: Sequence[str], timings: Sequence[str]
) -> list[str]:
    times = student.times_less_than.get("teacher", {})
    after = {"latency_ms": _latency_error(student) + ("" if student.is_compared else " p")}
    fidelity = student.fidelity
    decided = {
        _FLIPS: _share(student.flips),
        _AS_TEACHER: written("effectiveness", fidelity.agreement) if fidelity is not None else "",
        _THRESHOLD: _threshold(student.decision),
    }
    return [
        str(student.job),
        "*" if student.on_front else "",
        _with_error(student.prediction) if student.prediction is not None else "",
        written("effectiveness", student.effectiveness),
        _reached(student.result.test, metric),
        *(decided[name] for name in further),
        *(f"{written(name, student.figures[name])}{after.get(name, '')}" for name in names),
        *(_timing(student.timed, name) for name in timings),
        *(f"{times[key]:.0f}x" if key in times else "" for key in ("size", "latency")),
    ]


def _latency_error(student: DistilledStudent) -> str:
    """How far its 95 % interval reaches from the median latency, where it is known."""
    if student.latency_interval_ms is None:
        return ""
    low_ms, high_ms = student.latency_interval_ms
    return f" ± {written('latency_ms', max(high_ms - student.latency_ms, student.latency_ms - low_ms))}"


def _with_error(prediction: Prediction) -> str:
    """A predicted effectiveness and half its 95 % interval."""
    return f"{written('effectiveness', prediction.effectiveness)} ± {written('effectiveness', 1.96 * prediction.std)}"


def _threshold(decision: Decision | None) -> str:
    """Three digits, marked where it does not do what it was chosen for; nothing where none was chosen."""
    if decision is None or decision.threshold is None:
        return ""
    return f"{decision.threshold:.3g}{' !' if decision.missed is not None else ''}"


def _teacher_cells(
    view: StudyView, teacher: TeacherRecord, names: Sequence[str], further: Sequence[str], timings: Sequence[str]
) -> list[str]:
    compared = view.model("teacher")
    decided = {_FLIPS: _share(view.flips("teacher")), _AS_TEACHER: "", _THRESHOLD: _threshold(teacher.decision)}
    figures = {
        "size_bytes": teacher.size_bytes,
        "flops": teacher.flops,
        "latency_ms": compared.latency_ms if compared is not None else None,
    }
    return [
        "teacher",
        "",
        "",
        _reached(teacher.valid, view.metric),
        _reached(teacher.test, view.metric),
        *(decided[name] for name in further),
        *(written(name, value) if (value := figures.get(name)) is not None else "" for name in names),
        *(_timing(compared.of_one_input if compared is not None else None, name) for name in timings),
        "",
        "",
    ]


def _share(flips: Flips | None) -> str:
    return f"{100 * flips.share:.1f}" if flips is not None else ""


def _reached(figures: Mapping[str, Any] | None, metric: str) -> str:
    return written("effectiveness", figures[metric]) if figures is not None and metric in figures else ""


def _predicted(view: StudyView, console: Console) -> None:
    students, indicator = view.predicted_front, view.indicator
    shown = students if not view.students else students[:_PREDICTED_ROWS]
    part = f", the first {len(shown)}" if len(shown) < len(students) else ""
    say(console, f"\npredicted front: {len(students)} configurations{part} (trial: a number for `distil --trial`):")
    names = (*_BY_FORMULA, *_further(students))
    units = [OBJECTIVES.get(name).unit for name in (*names, *view.cost_models)]
    shape, shape_cells = _shape_cells(view)
    table = Table(box=None)
    for heading in ("trial", "predicted", "", *units, *shape):
        table.add_column(heading, justify="right")
    for student, is_like_previous in zip(shown, like_previous(students, indicator), strict=False):
        table.add_row(
            str(student.trial),
            _with_error(student.prediction),
            "~" if is_like_previous else "",
            *(written(name, student.figures[name]) for name in names),
            *(f"{value:.3g}" for value in student.predicted_costs.values()),
            *shape_cells(student),
        )
    console.print(table)
    for cost_model in view.cost_models.values():
        say(console, _cost_model(cost_model))
    if indicator is not None:
        say(console, _trust(students, indicator))


def _cost_model(cost_model: CostModel) -> str:
    """How far to trust predicted latency or energy, in words."""
    device = cost_model.device.get("model", cost_model.device.get("name"))
    return (
        f"{cost_model.unit}: {cost_model.quantity} of one input at full length, predicted for {device} "
        f"({cost_model.num_students} students timed, median error {cost_model.median_error:.0%}, rank correlation "
        f"{cost_model.rank_correlation:.2f})."
    )


def _trust(students: Sequence[PredictedStudent], indicator: StudyIndicator) -> str:
    """What the indicator can rank, in words."""
    told = indicator.rankable([student.hyperparameters for student in students])
    pairs = len(students) * (len(students) - 1) // 2
    sure = int(np.triu(told, 1).sum())
    low, high = indicator.rank_correlation_interval
    words = (
        f"~: not told from the row above. The indicator is 95 % sure of the order of {sure:,} of {pairs:,} pairs of "
        f"this front; on samples it had not seen its rank correlation was {indicator.rank_correlation:.2f} (95 % "
        f"interval {low:.2f} to {high:.2f})"
    )
    return words + ("." if indicator.ranks else ": as far as that tells, it cannot rank students here.")
