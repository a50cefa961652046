"""The front as people see it: students predicted, distilled and measured, beside their teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import TrialState

from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.indicator import Indicator
from avatar_optuna.pareto import greedy_hypervolume_subset, non_dominated
from avatar_optuna.schema import COMPARISON, INDICATOR, TEACHER, Job, JobResult, TeacherRecord
from avatar_optuna.students import Configuration
from avatar_optuna.study._open import AvatarStudy
from avatar_optuna.study._search import SearchResult, pareto_indices


@dataclass(frozen=True, kw_only=True)
class Student:
    """A distilled student, or one that is only predicted.

    Args:
        hyperparameters: The thirteen.
        trial: Number of the search trial that found it, or None for a sample of the indicator.
        job: Number of its trial among the distilled, or None while it is only predicted.
        purpose: "front" or "indicator".
        predicted: Predicted effectiveness, a fraction, and its standard deviation; None for the indicator's samples.
        size_bytes: Measured where it was distilled, else by `costs`.
        flops: Forward FLOPs by `costs`.
        result: What was measured, or None.
        on_front: Whether no other distilled student is at least as good in everything that was measured.
        energy: Measured energy of one input (see `measurement.Energy`), from the comparison, in which nothing else ran;
            None before it, and without a counter.
    """

    hyperparameters: Configuration
    trial: int | None
    job: int | None
    purpose: str
    predicted: Mapping[str, float] | None
    size_bytes: int
    flops: int
    result: JobResult | None
    on_front: bool = False
    energy: Mapping[str, Any] | None = None


def choose_students(found: SearchResult, objectives: Sequence[str], count: int) -> list[int]:
    """Indices of the students of the front that are worth distilling: the most effective, then by hypervolume gained.

    Returns:
        At most `count` indices into `found`, best predicted effectiveness first.
    """
    front = pareto_indices(found, objectives)
    if len(front) <= count:
        return [int(index) for index in front]
    costs = found.values[front] * np.where(np.arange(len(objectives)) == 0, -1.0, 1.0)
    span = np.ptp(costs, axis=0)
    scaled = (costs - costs.min(axis=0)) / np.where(span > 0, span, 1.0)
    chosen = greedy_hypervolume_subset(scaled, count, reference=np.full(len(objectives), 1.1), first=0)
    return [int(index) for index in front[np.sort(chosen)]]


def distilled_students(study: AvatarStudy, task_shape: TaskShape, *, purpose: str | None = "front") -> list[Student]:
    """Students with a measured result, most effective first; those that nothing measured dominates are on the front.

    Args:
        study: The study.
        task_shape: Single functions or pairs.
        purpose: "front", "indicator", or None for both.
    """
    trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    jobs = [(trial.number, Job.from_trial(trial), JobResult.from_trial(trial)) for trial in trials]
    jobs = [entry for entry in jobs if purpose is None or entry[1].purpose == purpose]
    if not jobs:
        return []
    values = np.asarray([[-r.effectiveness, r.size_bytes, r.flops, r.latency_ms] for _, _, r in jobs], dtype=np.float64)
    kept = non_dominated(values)
    compared = study.attributes.get(COMPARISON, {"models": {}})["models"]
    students = [
        Student(
            hyperparameters=job.hyperparameters,
            trial=job.origin,
            job=number,
            purpose=job.purpose,
            predicted=job.predicted,
            size_bytes=result.size_bytes,
            flops=result.flops,
            result=result,
            on_front=bool(on_front),
            energy=compared.get(str(number), {}).get("energy"),
        )
        for (number, job, result), on_front in zip(jobs, kept, strict=True)
    ]
    return sorted(students, key=lambda student: (-student.result.effectiveness, student.size_bytes))  # type: ignore[union-attr]


def predicted_students(found: SearchResult, objectives: Sequence[str], task_shape: TaskShape) -> list[Student]:
    """The Pareto front of the last search, most effective first, as the indicator sees it."""
    return [
        Student(
            hyperparameters=found.students[index],
            trial=int(found.numbers[index]),
            job=None,
            purpose="front",
            predicted={"effectiveness": float(found.values[index, 0]), "std": float(found.predicted_std[index])},
            size_bytes=int(size_bytes(found.students[index], task_shape)),
            flops=int(flops(found.students[index], task_shape)),
            result=None,
            on_front=True,
        )
        for index in pareto_indices(found, objectives)
    ]


def fitted_indicator(study: AvatarStudy) -> Indicator | None:
    """The indicator of the last round that has one."""
    for round_ in reversed(range(study.settings.search.rounds)):
        if (stored := study.attributes.get(f"{INDICATOR}:{round_}")) is not None:
            return Indicator.from_json(stored)
    return None


def ratios(student: Student, study: AvatarStudy) -> dict[str, dict[str, float]]:
    """How many times less a student takes than its teacher, and than CodeBERT: of figures of one and the same run.

    Returns:
        For "teacher" and "codebert", where they were compared: `size`, `latency`, and where known `flops` and `energy`.
    """
    models = study.attributes.get(COMPARISON, {"models": {}})["models"]
    own = models.get(str(student.job))
    if own is None:
        return {}
    found = {}
    for name in ("teacher", "codebert"):
        other = models.get(name)
        if other is None:
            continue
        times = {"size": other["size_bytes"] / own["size_bytes"], "latency": _median_ms(other) / _median_ms(own)}
        if other["flops"] and own["flops"]:
            times["flops"] = other["flops"] / own["flops"]
        if other["energy"] and own["energy"] and own["energy"]["joules"] > 0:
            times["energy"] = other["energy"]["joules"] / own["energy"]["joules"]
        found[name] = times
    return found


def compared_latency_ms(name: str, study: AvatarStudy) -> float | None:
    """Median latency at batch 1 as timed side by side; None before the comparison.

    Args:
        name: A job's number, "teacher" or "codebert".
        study: The study.
    """
    own = study.attributes.get(COMPARISON, {"models": {}})["models"].get(name)
    return _median_ms(own) if own is not None else None


def teacher_record(study: AvatarStudy) -> TeacherRecord | None:
    """The teacher as measured, once it is known."""
    stored = study.attributes.get(TEACHER)
    return TeacherRecord.from_dict(stored) if stored is not None else None


def _median_ms(model: Mapping[str, Any]) -> float:
    return float(next(entry["median_ms"] for entry in model["latency"] if entry["batch_size"] == 1))
