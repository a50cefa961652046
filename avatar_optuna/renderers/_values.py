"""The front as plain values, nested for JSON and flat for CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict
from typing import IO, Any

from avatar_optuna.indicator import StudyIndicator
from avatar_optuna.schema import Flips
from avatar_optuna.verdict import as_good_as_best, verdict_of
from avatar_optuna.view import DistilledStudent, PredictedStudent, StudyView


def front_values(view: StudyView) -> dict[str, Any]:
    """Distilled students, the predicted front and the teacher, as values that JSON has."""
    indicator, predicted, verdict = view.indicator, view.predicted_front, verdict_of(view)
    recommended, as_good = verdict.recommendation, as_good_as_best(view.students, view.metric)
    like_best = {student.job for student in as_good.students if student is not as_good.best} if as_good else set()
    return {
        "study": view.name,
        "effectiveness": view.metric,
        "verdict": {
            "answer": verdict.answer,
            "sentence": verdict.sentence,
            "next_steps": list(verdict.next_steps),
            "recommended": recommended.student.job if recommended is not None else None,
            "is_final": verdict.is_final,
        },
        "best": {
            "student": as_good.best.job,
            "effectiveness": as_good.best.effectiveness,
            "standard_error": as_good.error,
            "expected": as_good.expected,
        }
        if as_good is not None
        else None,
        "teacher": view.teacher.to_dict() if view.teacher is not None else None,
        "baseline": view.baseline,
        **({"teacher_flips": _flips(flips)} if (flips := view.flips("teacher")) is not None else {}),
        "students": [
            {**_distilled(student), "told_from_best": student.job not in like_best} for student in view.students
        ],
        "predicted": [
            {**_predicted(student), "told_from_previous": not is_like_previous}
            for student, is_like_previous in zip(predicted, like_previous(predicted, indicator), strict=True)
        ],
        "indicator": {
            "rank_correlation": indicator.rank_correlation,
            "rank_correlation_interval": list(indicator.rank_correlation_interval),
            "ranks": indicator.ranks,
        }
        if indicator is not None
        else None,
    }


def _predicted(student: PredictedStudent) -> dict[str, Any]:
    return {
        "trial": student.trial,
        "job": None,
        "on_front": True,
        "predicted_effectiveness": student.prediction.effectiveness,
        "predicted_std": student.prediction.std,
        **_costs(student),
        **student.hyperparameters.shown,
    }


def _distilled(student: DistilledStudent) -> dict[str, Any]:
    prediction, decision = student.prediction, student.result.decision
    low_ms, high_ms = student.latency_interval_ms or (None, None)
    timed = student.timed
    return {
        "trial": student.trial,
        "job": student.job,
        "on_front": student.on_front,
        "predicted_effectiveness": prediction.effectiveness if prediction is not None else None,
        "predicted_std": prediction.std if prediction is not None else None,
        **_costs(student),
        **student.hyperparameters.shown,
        "effectiveness": student.effectiveness,
        "temperature": decision.temperature if decision is not None else None,
        "threshold": decision.threshold if decision is not None else None,
        "threshold_missed": decision.missed if decision is not None else None,
        "valid": dict(student.metrics("valid")),
        "test": dict(student.metrics("test")),
        "latency_ms": student.latency_ms,
        "latency_low_ms": low_ms,
        "latency_high_ms": high_ms,
        "latency_thread_ms": timed.thread_ms if timed is not None else None,
        "latency_warm_ms": timed.warm_ms if timed is not None else None,
        "latency_warm_thread_ms": timed.warm_thread_ms if timed is not None else None,
        "energy_j": student.figures.get("energy_j"),
        "times_less_than": {name: dict(ratios) for name, ratios in student.times_less_than.items()},
        "latency_is_provisional": not student.is_compared,
        "differences": {
            split: {other: asdict(difference) for other, difference in others.items()}
            for split, others in student.differences.items()
        },
        **(_flips(student.flips) if student.flips is not None else {}),
    }


def _flips(flips: Flips) -> dict[str, float]:
    """How often edits change the label of a model on test, with a 95 % interval."""
    low, high = flips.interval
    return {"flips": flips.share, "flips_low": low, "flips_high": high, "flips_edits": flips.edits}


_PLACED = ("effectiveness", "latency_ms", "energy_j")
"""Figures that a row has elsewhere."""


def _costs(student: PredictedStudent | DistilledStudent) -> dict[str, float]:
    """What cost models predict, then size, FLOPs and the study's further objectives."""
    return {
        **{f"predicted_{name}": value for name, value in student.predicted_costs.items()},
        "size_bytes": student.size_bytes,
        "flops": student.flops,
        **{name: value for name, value in student.figures.items() if name not in _PLACED},
    }


def like_previous(students: Sequence[PredictedStudent], indicator: StudyIndicator | None) -> list[bool]:
    """For each student, whether the indicator cannot tell it from the one before."""
    if indicator is None or not students:
        return [False] * len(students)
    return [False, *(~indicator.can_rank_neighbours([student.hyperparameters for student in students])).tolist()]


def front_rows(view: StudyView) -> list[dict[str, Any]]:
    """A flat dictionary a student, nested figures left out: distilled students, then the predicted front."""
    values = front_values(view)
    return [
        {name: value for name, value in row.items() if not isinstance(value, dict)}
        for row in (*values["students"], *values["predicted"])
    ]


def front_csv(view: StudyView, stream: IO[str]) -> None:
    rows = front_rows(view)
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
