"""What is known of a study at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avatar_optuna.cost_model import CostModel
from avatar_optuna.costs import TaskShape
from avatar_optuna.data_audit import DataAudit
from avatar_optuna.decision import Aim
from avatar_optuna.indicator import StudyIndicator
from avatar_optuna.schema import (
    Audit,
    ComparedModel,
    Comparison,
    EstimatedPower,
    Flips,
    SearchResult,
    StudyCost,
    TeacherRecord,
)
from avatar_optuna.settings import StudySettings
from avatar_optuna.view._students import DistilledStudent, PredictedStudent

METRIC_TITLES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "macro_f1": "macro F1",
    "mcc": "MCC",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "ordered_pairs": "fixes in order",
    "map_at_r": "MAP@R",
    "flips": "flips",
    "ece": "ECE ↓",
    "ece_uncalibrated": "ECE uncalibrated ↓",
    "agreement": "label as teacher",
    "total_variation": "distance to teacher ↓",
}
"""What metrics are called, in the order of columns; of those with an arrow less is better."""


def metric_title(name: str) -> str:
    """What a metric is called wherever people read it: `ROC-AUC` of "roc_auc"."""
    return METRIC_TITLES.get(name, name.replace("_", " "))


@dataclass(frozen=True, kw_only=True)
class SearchRound:
    """A round of the search.

    Args:
        number: From 0.
        scored: All configurations that it scored.
        front: Those that none of them dominates, by what is predicted; the most effective first.
        indicator: What scored them.
        hypervolume_share: The share of the attainable hypervolume, as stored; None where it could not be computed.
    """

    number: int
    scored: SearchResult
    front: tuple[PredictedStudent, ...]
    indicator: StudyIndicator | None
    hypervolume_share: Mapping[str, Any] | None


@dataclass(frozen=True, kw_only=True)
class StudyView:
    """What is known of a study; what is not there yet is None or empty.

    Args:
        name: Of the study.
        settings: Its resolved settings.
        task_shape: Functions an input, and labels.
        teacher: As measured.
        baseline: Metrics of TF-IDF with logistic regression, by split.
        data: The data's fingerprint and counts.
        data_audit: What was found in the data, or None in studies from before it was looked at.
        edits: How many training functions there are, and how many of them cannot be edited; None where the study has no
            edits.
        feasible: The tightened ranges, as stored.
        cost_models: Calibrated cost models, by objective.
        indicator: Of the last round that has one, whether or not that round scored anything.
        rounds: Rounds of the search that scored anything.
        students: Distilled students of the front, most effective first.
        indicator_samples: Distilled samples of the indicator, likewise.
        jobs: Number of jobs by state, those of samples and of students together.
        failures: (number, reason) of the jobs that failed.
        compared: What was timed side by side, or None.
        audit: Whether FLOPs and parameters stand in for time.
        cost: Of the study itself.
        estimated_power: What is assumed of a device without a counter, or None.
        provenance: Versions, host, system and when the study was begun.
        artifacts: Where the students' files are, passwords masked.
    """

    name: str
    settings: StudySettings
    task_shape: TaskShape
    teacher: TeacherRecord | None
    baseline: Mapping[str, Any] | None
    data: Mapping[str, Any] | None
    data_audit: DataAudit | None
    edits: Mapping[str, int] | None
    feasible: Mapping[str, Any] | None
    cost_models: Mapping[str, CostModel]
    indicator: StudyIndicator | None
    rounds: tuple[SearchRound, ...]
    students: tuple[DistilledStudent, ...]
    indicator_samples: tuple[DistilledStudent, ...]
    jobs: Mapping[str, int]
    failures: tuple[tuple[int, str], ...]
    compared: Comparison | None
    audit: Audit | None
    cost: StudyCost | None
    estimated_power: EstimatedPower | None
    provenance: Mapping[str, Any]
    artifacts: str

    @property
    def metric(self) -> str:
        """What counts as effectiveness, such as "balanced_accuracy"."""
        return self.settings.measurement.effectiveness

    @property
    def metric_title(self) -> str:
        """What that is called, such as "balanced accuracy"."""
        return metric_title(self.metric)

    @property
    def aim(self) -> Aim | None:
        """What the thresholds of students, teacher and baseline were chosen for; None: none were."""
        return self.settings.distillation.aim

    @property
    def aim_title(self) -> str | None:
        """What that is called: a metric, or a comparison such as `precision >= 0.9`."""
        return metric_title(str(self.aim)) if self.aim is not None else None

    @property
    def teacher_reached(self) -> float | None:
        """The teacher's effectiveness on validation; None where it is not known."""
        return self.teacher.valid.get(self.metric) if self.teacher is not None else None

    @property
    def baseline_reached(self) -> float | None:
        """The baseline's; None also in studies whose baseline was not measured by this metric."""
        return self.baseline["valid"].get(self.metric) if self.baseline is not None else None

    def figures(self, split: str) -> dict[str, Mapping[str, Any]]:
        """What is known of "valid" or "test": by a student's number, of the "teacher", and of "TF-IDF".

        Those of the test split have `flips` and `flips_interval` where these were counted.
        """
        own = {str(student.job): student.metrics(split) for student in self.students}
        teacher = self.teacher.figures(split) if self.teacher is not None else None
        others = {"teacher": teacher, "TF-IDF": self.baseline[split] if self.baseline is not None else None}
        known = {**own, **{name: figures for name, figures in others.items() if figures is not None}}
        return {name: {**figures, **(self._flips(name) if split == "test" else {})} for name, figures in known.items()}

    def _flips(self, name: str) -> dict[str, Any]:
        flips = self.flips(name)
        return {"flips": flips.share, "flips_interval": list(flips.interval)} if flips is not None else {}

    def flips(self, name: str) -> Flips | None:
        """How often edits change the label of a student, by its number, or of the "teacher"; None where not counted."""
        model = self.model(name)
        return model.flips if model is not None else None

    def metrics(self, split: str) -> list[str]:
        """The metrics that any of these has; studies of an earlier version have few."""
        every = self.figures(split).values()
        return [name for name in METRIC_TITLES if any(name in figures for figures in every)]

    @property
    def predicted_front(self) -> tuple[PredictedStudent, ...]:
        """The front of the last round that scored anything."""
        return self.rounds[-1].front if self.rounds else ()

    def model(self, name: str, *, beside: str | None = None) -> ComparedModel | None:
        """Of what was timed side by side: a job's number, "teacher" or "codebert".

        Args:
            beside: A job's number: the reference as it was timed beside this student; None takes the first time.
        """
        comparison = self.compared.of(beside or name) if self.compared is not None else None
        return comparison.models.get(name) if comparison is not None else None
