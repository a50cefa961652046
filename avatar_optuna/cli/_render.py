"""Tables for people; the same figures as rows for programs."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from optuna.distributions import CategoricalDistribution
from rich.console import Console
from rich.table import Table

from avatar_optuna.cost_model import CostModel
from avatar_optuna.feasibility import TightenedSpace
from avatar_optuna.indicator import Indicator
from avatar_optuna.pool import PoolStatus, RunningStatus
from avatar_optuna.schema import ATTAINED, BASELINE, Audit
from avatar_optuna.space import SearchSpace
from avatar_optuna.study import (
    AvatarStudy,
    Student,
    compared_latency_ms,
    distilled_students,
    fitted_indicator,
    predicted_students,
    ratios,
    searched,
    stored_cost_models,
    teacher_record,
)
from avatar_optuna.tasks import task_shape_of

_PREDICTED_ROWS = 10


def space(found: TightenedSpace, asked_for: SearchSpace, console: Console) -> None:
    """The tightened ranges, the feasible share and what binds."""
    table = Table("hyperparameter", "asked for", "feasible", box=None, pad_edge=False)
    for name, feasible in found.ranges.items():
        asked, listed = found.asked[name], asked_for.distributions[name]
        choices = listed.choices if isinstance(listed, CategoricalDistribution) else ()
        text = _range(feasible, choices)
        table.add_row(name, _range(asked, choices), text if feasible != asked else f"[dim]{text}[/dim]")
    console.print(table)
    low, high = found.share_interval
    console.print(
        f"\n{found.share:.3%} of {found.draws:,} uniform draws are feasible (95 % interval {low:.3%} to {high:.3%}).",
        highlight=False,
    )
    for text, share in found.broken.items():
        alone = found.broken_alone[text]
        mark = "  <- binds" if text == found.binding else ""
        console.print(
            f"  {text}: broken by {share:.1%} of draws, by {alone:.1%} it alone{mark}", highlight=False, markup=False
        )
    exact = "exact, by Z3" if found.exact else "by Z3, wider than need be where it ran out of time"
    console.print(f"Ranges: {exact}, in {found.seconds:.1f} s.", highlight=False)


def _range(values: Sequence[Any], choices: Sequence[Any]) -> str:
    """A range by its ends, a list of numbers as those of its choices that lie between the ends."""
    if isinstance(values[0], str):
        return ", ".join(values)
    low, high = values
    if choices:
        return ", ".join(_number(value) for value in sorted(choices) if low <= value <= high)
    return f"{_number(low)} to {_number(high)}" if low != high else _number(low)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def teacher(
    source: str, figures: Mapping[str, Mapping[str, Any]], plain: Mapping[str, Mapping[str, Any]], console: Console
) -> None:
    """The teacher beside the plain competitor."""
    console.print(f"teacher {source}", highlight=False, markup=False, soft_wrap=True)
    table = Table("", *(f"{split} {name}" for split in figures for name in ("accuracy", "balanced")), box=None)
    for name, rows in (("teacher", figures), ("TF-IDF + logistic regression", plain)):
        cells = [f"{100 * rows[split][key]:.1f} %" for split in figures for key in ("accuracy", "balanced_accuracy")]
        table.add_row(name, *cells)
    console.print(table)


def status(study: AvatarStudy, found: PoolStatus, console: Console) -> None:
    """What the pool is doing."""
    rate = f", {found.jobs_per_minute:.1f} a minute" if found.jobs_per_minute is not None else ""
    left = f", about {_duration(found.seconds_to_go)} to go" if found.seconds_to_go else ""
    console.print(
        f"{study.name}: {found.queued} queued, {len(found.running)} running, {found.done} done{rate}, "
        f"{len(found.failed)} failed; {len(found.workers)} worker(s) alive{left}",
        highlight=False,
        soft_wrap=True,
    )
    for job in found.running:
        epoch = f"epoch {job.epoch} of {job.epochs}" if job.epochs else "before its first epoch"
        console.print(
            f"  job {job.number}: {epoch} on {job.device} of {job.host}, since {job.since}",
            highlight=False,
            soft_wrap=True,
        )
    for failure in found.failed:
        console.print(
            f"  job {failure.number} ({failure.key}) failed: {failure.reason}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def audit(found: Audit, console: Console) -> None:
    """Whether FLOPs may stand in for time on the audited device."""
    console.print(found.verdict, highlight=False, soft_wrap=True)
    device = found.device.get("model", found.device.get("name"))
    console.print(
        f"{len(found.students)} random feasible students, {found.repeats} passes each, on {device}, "
        f"{found.measured_utc[:10]}; in brackets 95 % intervals:",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    table = Table("stand-in", "for", "Spearman", "Kendall", box=None)
    for row in found.correlations:
        cells = ((row.spearman, row.spearman_interval), (row.kendall, row.kendall_interval))
        table.add_row(
            row.stand_in, row.figure, *(f"{value:.2f} \\[{low:.2f}, {high:.2f}]" for value, (low, high) in cells)
        )
    console.print(table)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"


def _epochs(job: RunningStatus) -> str:
    return f"epoch {job.epoch}" + (f" of {job.epochs}" if job.epochs is not None else "")


def front(study: AvatarStudy, console: Console) -> None:
    """The distilled students beside their teacher, then the front that is only predicted."""
    task_shape = task_shape_of(study.settings.task)
    record = teacher_record(study)
    distilled = distilled_students(study, task_shape)
    metric = study.settings.measurement.effectiveness.replace("_", " ")
    if distilled:
        console.print(
            f"students of {study.name} ({metric} in %; valid selects, test is only reported)", highlight=False
        )
        table = Table(box=None)
        for heading in ("job", "", "predicted", "valid", "test", "MB", "MFLOPs", "ms", "smaller", "faster"):
            table.add_column(heading, justify="left" if heading == "" else "right")
        for student in distilled:
            table.add_row(*_student_cells(student, study))
        if record is not None:
            table.add_row(*_teacher_cells(study, record))
        console.print(table)
        console.print(
            "ms: median latency of one input, tokenization apart; smaller, faster: than the teacher; *: on the front.",
            highlight=False,
        )
    found = _last_search(study)
    if found is not None and len(found):
        if (reached := study.attributes.get(f"{ATTAINED}:{study.settings.search.rounds - 1}")) is not None:
            console.print(
                f"\nthe search reached {reached['share']:.1%} of the attainable hypervolume ({reached['method']}: "
                f"{reached['lattice_points']:,} points)",
                highlight=False,
                soft_wrap=True,
            )
        predicted = predicted_students(found, study.settings.search.objectives, task_shape)
        _predicted(predicted, study, console, bool(distilled))
    if not distilled and (found is None or not len(found)):
        console.print(f"the study {study.name} has no students yet", highlight=False)


def _student_cells(student: Student, study: AvatarStudy) -> list[str]:
    result = student.result
    assert result is not None
    metric = study.settings.measurement.effectiveness
    times = ratios(student, study).get("teacher", {})
    latency_ms = compared_latency_ms(str(student.job), study) or result.latency_ms
    predicted = student.predicted
    return [
        str(student.job),
        "*" if student.on_front else "",
        f"{100 * predicted['effectiveness']:.1f} ± {196 * predicted['std']:.1f}" if predicted is not None else "",
        f"{100 * result.effectiveness:.1f}",
        f"{100 * result.test[metric]:.1f}",
        _megabytes(student.size_bytes),
        _megaflops(student.flops),
        f"{latency_ms:.2f}",
        *(f"{times[key]:.0f}x" if key in times else "" for key in ("size", "latency")),
    ]


def _teacher_cells(study: AvatarStudy, record: Any) -> list[str]:
    metric = study.settings.measurement.effectiveness
    latency = compared_latency_ms("teacher", study)
    return [
        "teacher",
        "",
        "",
        f"{100 * record.valid[metric]:.1f}",
        f"{100 * record.test[metric]:.1f}" if record.test is not None else "",
        _megabytes(record.size_bytes) if record.size_bytes is not None else "",
        _megaflops(record.flops) if record.flops is not None else "",
        f"{latency:.2f}" if latency is not None else "",
        "",
        "",
    ]


def _predicted(students: Sequence[Student], study: AvatarStudy, console: Console, some_are_distilled: bool) -> None:
    indicator, cost_models = fitted_indicator(study), stored_cost_models(study)
    shown = students if not some_are_distilled else students[:_PREDICTED_ROWS]
    like_last = _like_last(students, indicator)
    console.print(
        f"\npredicted front: {len(students)} configurations"
        + (f", the first {len(shown)}:" if len(shown) < len(students) else ":"),
        highlight=False,
    )
    table = Table(box=None)
    columns = study.settings.space.family.table_columns
    for heading in (
        "trial",
        "predicted",
        "",
        "MB",
        "MFLOPs",
        *(cost_model.unit for cost_model in cost_models.values()),
        *columns,
    ):
        table.add_column(heading, justify="right")
    for student, is_like_last in zip(shown, like_last, strict=False):
        h, predicted = student.hyperparameters, student.predicted
        assert predicted is not None
        table.add_row(
            str(student.trial),
            f"{100 * predicted['effectiveness']:.1f} ± {196 * predicted['std']:.1f}",
            "~" if is_like_last else "",
            _megabytes(student.size_bytes),
            _megaflops(student.flops),
            *(f"{cost_model(h):.3g}" for cost_model in cost_models.values()),
            *(str(getattr(h, name)) for name in columns.values()),
        )
    console.print(table)
    for cost_model in cost_models.values():
        console.print(_cost_model(cost_model), highlight=False, markup=False, soft_wrap=True)
    if indicator is not None:
        console.print(_trust(students, indicator), highlight=False, soft_wrap=True)


def _cost_model(cost_model: CostModel) -> str:
    """How far to trust predicted latency or energy, in words."""
    device = cost_model.device.get("model", cost_model.device.get("name"))
    return (
        f"{cost_model.unit}: {cost_model.quantity} of one input at full length, predicted for {device} "
        f"({cost_model.num_students} students timed, median error {cost_model.median_error:.0%}, rank correlation "
        f"{cost_model.rank_correlation:.2f})."
    )


def _like_last(students: Sequence[Student], indicator: Indicator | None) -> list[bool]:
    """For each student, whether the indicator cannot tell it from the one before."""
    if indicator is None:
        return [False] * len(students)
    return [False, *(not indicator.can_rank(a.hyperparameters, b.hyperparameters) for a, b in pairwise(students))][
        : len(students)
    ]


def _trust(students: Sequence[Student], indicator: Indicator) -> str:
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


def front_rows(study: AvatarStudy) -> dict[str, Any]:
    """The front as plain values: distilled students, the predicted front and the teacher."""
    task_shape = task_shape_of(study.settings.task)
    record = teacher_record(study)
    found = _last_search(study)
    predicted = predicted_students(found, study.settings.search.objectives, task_shape) if found is not None else []
    indicator = fitted_indicator(study)
    return {
        "study": study.name,
        "effectiveness": study.settings.measurement.effectiveness,
        "teacher": record.to_dict() if record is not None else None,
        "baseline": study.attributes.get(BASELINE),
        "students": [_row(student, study) for student in distilled_students(study, task_shape)],
        "predicted": [
            {**_row(student, study), "told_from_previous": not is_like_last}
            for student, is_like_last in zip(predicted, _like_last(predicted, indicator), strict=True)
        ],
        "indicator": {
            "rank_correlation": indicator.rank_correlation,
            "rank_correlation_interval": list(indicator.rank_correlation_interval),
            "ranks": indicator.ranks,
        }
        if indicator is not None
        else None,
    }


def _row(student: Student, study: AvatarStudy) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trial": student.trial,
        "job": student.job,
        "on_front": student.on_front,
        "predicted_effectiveness": student.predicted["effectiveness"] if student.predicted is not None else None,
        "predicted_std": student.predicted["std"] if student.predicted is not None else None,
        **{f"predicted_{name}": float(p(student.hyperparameters)) for name, p in stored_cost_models(study).items()},
        "size_bytes": student.size_bytes,
        "flops": student.flops,
        **student.hyperparameters.to_dict(),
    }
    if student.result is not None:
        result = student.result
        row |= {
            "effectiveness": result.effectiveness,
            "valid": dict(result.valid),
            "test": dict(result.test),
            "latency_ms": result.latency_ms,
            "energy_j": student.energy["joules"] if student.energy is not None else None,
            "times_less_than": ratios(student, study),
        }
    return row


def front_csv(study: AvatarStudy, console: Console) -> None:
    """The same as CSV, nested figures left out."""
    rows = front_rows(study)
    flat = [
        {k: v for k, v in row.items() if not isinstance(v, dict)} for row in (*rows["students"], *rows["predicted"])
    ]
    names = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.DictWriter(console.file, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)


def _last_search(study: AvatarStudy) -> Any:
    for round_ in reversed(range(study.settings.search.rounds)):
        found = searched(study, round_=round_)
        if len(found):
            return found
    return None


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f}"


def _megaflops(flops: int) -> str:
    return f"{flops / 1e6:,.1f}"
