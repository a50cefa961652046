"""Figures of the search, the audit and the study's own cost for the report's templates."""

from __future__ import annotations

from dataclasses import dataclass

from avatar_optuna.objectives import OBJECTIVES
from avatar_optuna.report._content import Content
from avatar_optuna.report._figures import axes, axis_title, front_shown, others_shown
from avatar_optuna.report._words import amount, duration, joules, times
from avatar_optuna.schema import PHASES, Audit, StudyCost

_PHASES = {
    "teacher": "teacher: training or loading, and measuring",
    "calibration": "calibration of cost models",
    "samples": "samples of the indicator",
    "search": "search",
    "distillation": "distillation of students",
    "audit": "audit of the stand-ins",
    "comparison": "comparison side by side",
}


def front_axes(content: Content) -> list[tuple[str, str]]:
    """What the front's figure can show on an axis: (name, title)."""
    return [(axis, axis_title(axis, content)) for axis in axes(content)]


def drawn_configurations(content: Content) -> str:
    """How many configurations of the last round the front's figure shows."""
    last = content.rounds[-1]
    shown, others = len(front_shown(last)), others_shown(last)
    of_front = f"{shown} of the {len(last.front)}" if shown < len(last.front) else f"the {shown}"
    of_others = f" and {others} of the {len(last.scored) - len(last.front):,} others" if others else ""
    return f"{of_front} configurations of the predicted front{of_others}"


def correlation_rows(audit: Audit) -> list[list[str]]:
    """Rank correlations of FLOPs and parameters with what was measured, with their intervals."""
    return [
        [
            "FLOPs" if correlation.stand_in == "flops" else correlation.stand_in,
            OBJECTIVES.get(correlation.figure).title,
            _correlation(correlation.spearman, correlation.spearman_interval),
            _correlation(correlation.kendall, correlation.kendall_interval),
        ]
        for correlation in audit.correlations
    ]


def _correlation(value: float, bounds: tuple[float, float]) -> str:
    return f"{value:.2f} ({bounds[0]:.2f} to {bounds[1]:.2f})"


def worst_rows(audit: Audit) -> list[list[str]]:
    """The pairs of students that FLOPs order most wrongly."""
    rows = []
    for pair in audit.worst:
        students = (audit.students[pair.fewer_flops], audit.students[pair.more_flops])
        figures = [text for s in students for text in (amount("flops", s.flops), amount("latency_ms", s.latency_ms))]
        rows.append([*figures, times(pair.times_latency)])
    return rows


def has_counted_energy(spent: StudyCost) -> bool:
    """Whether the energy of any phase was counted."""
    return any(phase.energy_j is not None for phase in spent.phases.values())


def cost_rows(spent: StudyCost) -> list[list[str]]:
    """By phase: time, jobs and, where it was counted, energy; the last row is their sum."""
    is_counted = has_counted_energy(spent)
    rows = []
    for name in PHASES:
        if (phase := spent.phases.get(name)) is not None:
            energy = joules(phase.energy_j) if phase.energy_j is not None else "not counted"
            jobs = f"{phase.jobs}" if phase.jobs else ""
            rows.append([_PHASES[name], duration(phase.seconds), jobs, *([energy] if is_counted else [])])
    energy = joules(spent.energy_j) if spent.energy_j else ""
    return [*rows, ["altogether", duration(spent.seconds), "", *([energy] if is_counted else [])]]


@dataclass(frozen=True, kw_only=True)
class PayBack:
    """When the recommended student has saved as much as the study took; `is_derived`: whether that is a figure."""

    sentences: str
    is_derived: bool = False


def pay_back(content: Content, spent: StudyCost) -> PayBack:
    """After how many inferences the recommended student has saved the study's own time and energy."""
    if content.recommendation is None:
        return PayBack(sentences="No student is distilled yet, so none saves anything yet.")
    student = content.recommendation.student
    own, teacher = content.model(str(student.job)), content.model("teacher")
    if own is None or teacher is None:
        return PayBack(sentences="What a student saves is known once students and teacher are timed side by side.")
    saved_ms = teacher.latency_ms - student.latency_ms
    inferences = spent.inferences_to_repay_time(saved_ms)
    if inferences is None:
        return PayBack(sentences=f"Student {student.job} is no faster than its teacher: it saves no time.")
    sentences = (
        f"Student {student.job} saves {amount('latency_ms', saved_ms)} on each input compared with its teacher: "
        f"{inferences:,} inferences save the time of the whole study."
    )
    if own.energy is not None and teacher.energy is not None:
        saved_j = teacher.energy.joules - own.energy.joules
        if (repaid := spent.inferences_to_repay_energy(saved_j)) is not None:
            sentences += f" Each saves {joules(saved_j)}: {repaid:,} inferences save its energy."
    return PayBack(sentences=sentences, is_derived=True)
