"""All that a report shows, read once from the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.costs import TaskShape
from avatar_optuna.indicator import Indicator
from avatar_optuna.pareto import hypervolume, non_dominated
from avatar_optuna.report._recommendation import Recommendation, recommend
from avatar_optuna.schema import (
    ATTAINED,
    AUDIT,
    BASELINE,
    COMPARISON,
    COST,
    DATA,
    FAILED,
    FEASIBLE,
    INDICATOR,
    POWER,
    PROVENANCE,
    SETTINGS,
    Audit,
    EstimatedPower,
    StudyCost,
    TeacherRecord,
    directions,
)
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import mask_url
from avatar_optuna.study import (
    AvatarStudy,
    SearchResult,
    Student,
    distilled_students,
    predicted_students,
    ratios,
    searched,
    teacher_record,
)
from avatar_optuna.tasks import task_shape_of

_VOLUMES = 50
_VOLUMES_OF_MANY_OBJECTIVES = 15


@dataclass(frozen=True, kw_only=True)
class Round:
    """A round of the search.

    Args:
        number: From 0.
        found: All configurations that it scored.
        front: Those that none of them dominates, by what is predicted.
        volumes: (configurations scored so far, share of the round's final hypervolume) as the search went on.
        indicator: What scored them.
        hypervolume_share: The share of the attainable hypervolume, as stored; None where it could not be computed.
    """

    number: int
    found: SearchResult
    front: tuple[Student, ...]
    volumes: tuple[tuple[int, float], ...]
    indicator: Indicator | None
    hypervolume_share: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class Content:
    """What is known of a study; what is not there yet is None or empty.

    Args:
        name: Of the study.
        settings: Its resolved settings.
        task_shape: Single functions or pairs.
        teacher: As measured.
        baseline: Metrics of TF-IDF with logistic regression, by split.
        data: The data's fingerprint and counts.
        feasible: The tightened ranges, as stored.
        rounds: Rounds of the search that scored anything.
        students: Distilled students of the front, most effective first.
        samples: How many brief samples were distilled.
        jobs: Number of jobs by state, those of samples and of students together.
        failures: (number, reason) of the jobs that failed.
        compared: What was timed side by side: the object of `measurement.compare`, or None.
        times: Ratios of each student by its job: see `study.ratios`.
        recommendation: One of the students, with the reason.
        audit: Of the stand-ins.
        cost: Of the study itself.
        estimated_power: What is assumed of a device without a counter, or None.
        provenance: Versions, host, system and when the study was begun.
        artifacts: Where the students' files are.
    """

    name: str
    settings: StudySettings
    task_shape: TaskShape
    teacher: TeacherRecord | None
    baseline: Mapping[str, Any] | None
    data: Mapping[str, Any] | None
    feasible: Mapping[str, Any] | None
    rounds: tuple[Round, ...]
    students: tuple[Student, ...]
    samples: int
    jobs: Mapping[str, int]
    failures: tuple[tuple[int, str], ...]
    compared: Mapping[str, Any] | None
    times: Mapping[int, Mapping[str, Mapping[str, float]]]
    recommendation: Recommendation | None
    audit: Audit | None
    cost: StudyCost | None
    estimated_power: EstimatedPower | None
    provenance: Mapping[str, Any]
    artifacts: str

    @property
    def metric(self) -> str:
        """What counts as effectiveness, such as "balanced_accuracy"."""
        return self.settings.measurement.effectiveness

    def latency_ms(self, student: Student) -> float:
        """Timed side by side with the others where that was done, else by the student's own worker."""
        assert student.result is not None
        model = self.model(str(student.job))
        return _median_ms(model) if model is not None else student.result.latency_ms

    def model(self, name: str) -> Mapping[str, Any] | None:
        """Of what was timed side by side: a job's number, "teacher" or "codebert"."""
        models = self.compared["models"] if self.compared is not None else {}
        found: Mapping[str, Any] | None = models.get(name)
        return found

    def reference_latency_ms(self, name: str) -> float | None:
        """Of "teacher" or "codebert", timed side by side."""
        model = self.model(name)
        return _median_ms(model) if model is not None else None


def read_content(study: AvatarStudy, *, update: Callable[[int], None] = lambda done: None) -> Content:
    """Read all that a report shows.

    Args:
        study: The study, finished or not.
        update: Called with how many rounds are read.
    """
    attributes = dict(study.attributes)
    settings = StudySettings.from_dict(attributes[SETTINGS])
    task_shape = task_shape_of(settings.task)
    trials = study.distilled.get_trials(deepcopy=False)
    students = tuple(distilled_students(study, task_shape))
    rounds = []
    for number in range(settings.search.rounds):
        if (found := searched(study, round_=number)) and len(found):
            rounds.append(_round(number, found, attributes, settings, task_shape))
        update(number + 1)
    teacher = teacher_record(study)
    times = {student.job: ratios(student, study) for student in students if student.job is not None}
    compared = attributes.get(COMPARISON)
    content = Content(
        name=study.name,
        settings=settings,
        task_shape=task_shape,
        teacher=teacher,
        baseline=attributes.get(BASELINE),
        data=attributes.get(DATA),
        feasible=attributes.get(FEASIBLE),
        rounds=tuple(rounds),
        students=students,
        samples=sum(t.state is TrialState.COMPLETE and t.user_attrs.get("purpose") == "indicator" for t in trials),
        jobs={state.name: sum(trial.state is state for trial in trials) for state in TrialState},
        failures=tuple(_failure(trial) for trial in trials if trial.state is TrialState.FAIL),
        compared=compared,
        times=times,
        recommendation=None,
        audit=Audit.from_dict(attributes[AUDIT]) if AUDIT in attributes else None,
        cost=StudyCost.from_dict(attributes[COST]) if COST in attributes else None,
        estimated_power=EstimatedPower.from_dict(attributes[POWER]) if POWER in attributes else None,
        provenance=attributes.get(PROVENANCE, {}),
        artifacts=mask_url(study.artifacts) if "://" in study.artifacts else study.artifacts,
    )
    return replace(content, recommendation=recommend(students, content.metric, content.latency_ms))


def _round(
    number: int, found: SearchResult, attributes: Mapping[str, Any], settings: StudySettings, task_shape: TaskShape
) -> Round:
    stored = attributes.get(f"{INDICATOR}:{number}")
    objectives = settings.search.objectives
    return Round(
        number=number,
        found=found,
        front=tuple(predicted_students(found, objectives, task_shape)),
        volumes=volumes(found, objectives),
        indicator=Indicator.from_json(stored) if stored is not None else None,
        hypervolume_share=attributes.get(f"{ATTAINED}:{number}"),
    )


def volumes(found: SearchResult, objectives: tuple[str, ...]) -> tuple[tuple[int, float], ...]:
    """How the hypervolume grew: (configurations scored, share of the final volume), at the ends of generations.

    Each objective is scaled to [0, 1] over the final front; the volume is taken below the point (1.1, 1.1, ...).
    """
    signs = np.where([direction == "maximize" for direction in directions(objectives)], -1.0, 1.0)
    values = found.values * signs
    front = values[non_dominated(values)]
    low, span = front.min(axis=0), np.ptp(front, axis=0)
    scaled = (values - low) / np.where(span > 0, span, 1.0)
    corner = np.full(len(objectives), 1.1)
    ends = np.flatnonzero(np.diff(found.generations, append=found.generations[-1] + 1)) + 1
    most = _VOLUMES if len(objectives) <= 3 else _VOLUMES_OF_MANY_OBJECTIVES
    if len(ends) > most:
        ends = ends[np.unique(np.linspace(0, len(ends) - 1, most).round().astype(np.int64))]
    final = hypervolume(scaled, corner)
    return tuple((int(end), hypervolume(scaled[:end], corner) / final) for end in ends)


def _failure(trial: FrozenTrial) -> tuple[int, str]:
    return trial.number, str(trial.user_attrs.get(FAILED, "for no stated reason"))


def _median_ms(model: Mapping[str, Any]) -> float:
    return float(next(entry["median_ms"] for entry in model["latency"] if entry["batch_size"] == 1))
