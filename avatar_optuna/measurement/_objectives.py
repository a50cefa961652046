"""Objectives of other packages that are measured on a distilled student."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from avatar_optuna.distillation import Classifier
from avatar_optuna.exceptions import StudyError
from avatar_optuna.measurement._models import classifier_runs
from avatar_optuna.objectives import MeasuredObjective, MeasuredStudent
from avatar_optuna.students import Configuration
from avatar_optuna.tasks import Task


def measure_objectives(
    kinds: Mapping[str, MeasuredObjective],
    classifier: Classifier,
    task: Task,
    *,
    directory: Path,
    hyperparameters: Configuration,
) -> dict[str, float]:
    """Measure a distilled student by each of these objectives.

    Args:
        kinds: By name.
        classifier: The student, loaded.
        task: Its task.
        directory: The student's files.
        hyperparameters: Its configuration.

    Raises:
        StudyError: A figure is not a finite number.
    """
    if not kinds:
        return {}
    valid = task.valid
    student = MeasuredStudent(
        directory=directory,
        hyperparameters=hyperparameters,
        task_shape=task.shape,
        device=str(classifier.device),
        labels=valid.labels,
        logits=classifier.predict_logits(valid.functions, valid.inputs),
        run=classifier_runs(classifier, task.test)(1),
    )
    figures = {name: float(kind.measure(student)) for name, kind in kinds.items()}
    for name, value in figures.items():
        if not math.isfinite(value):
            raise StudyError(f"the objective {name} must be a finite number, it measured {value}")
    return figures
