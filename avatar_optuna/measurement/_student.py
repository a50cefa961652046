"""Everything that is measured of one classifier once it stands: figures of two splits, latency, energy, objectives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.decision import Aim, Decision, decide
from avatar_optuna.distillation import Classifier
from avatar_optuna.exceptions import StudyError
from avatar_optuna.measurement._energy import energy_of
from avatar_optuna.measurement._latency import interleaved_latencies
from avatar_optuna.measurement._models import classifier_runs
from avatar_optuna.metrics import Answers, figures
from avatar_optuna.objectives import MeasuredObjective, MeasuredStudent
from avatar_optuna.schema import Energy, Latency
from avatar_optuna.settings import MeasurementSettings
from avatar_optuna.students import Configuration
from avatar_optuna.tasks import Split, Task

_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Figures of one classifier.

    Args:
        valid: Of the validation split (see `metrics.figures`).
        test: Of the test split: for reporting only.
        latency: One for each batch size, in ascending order.
        energy: Of one pass at batch 1, or None where the device has no counter or others use it.
        decision: How its logits become probabilities and labels, chosen on validation; the figures are at it.
    """

    valid: Mapping[str, Any]
    test: Mapping[str, Any]
    latency: tuple[Latency, ...]
    energy: Energy | None
    decision: Decision


def measure(
    classifier: Classifier,
    task: Task,
    settings: MeasurementSettings,
    *,
    aim: Aim | None = None,
    decision: Decision | None = None,
    logits: Mapping[str, npt.NDArray[np.float32]] | None = None,
    has_device_alone: bool = True,
) -> Measurement:
    """Measure one classifier, loaded from its files, on the device where it is.

    Args:
        settings: Batch sizes and passes of the latency.
        aim: What the threshold is chosen for on validation; None: the likeliest labels count.
        decision: How its logits become labels, where that is known already; `aim` is then not asked.
        logits: Of "valid" and "test", where they are known already.
        has_device_alone: Whether nothing else computes there: a counter cannot tell whose joules it counts.
    """
    runs, device = classifier_runs(classifier, task.test), str(classifier.device)
    latencies = interleaved_latencies({"model": runs}, settings, device=device)
    logits = logits or {name: split_logits(classifier, task.splits[name]) for name in ("valid", "test")}
    decision = decision or decide(logits["valid"], task.valid.labels, aim)
    return Measurement(
        energy=energy_of(runs(1), device) if has_device_alone else None,
        valid=_figures(classifier, task, task.valid, logits["valid"], decision),
        test=_figures(classifier, task, task.test, logits["test"], decision),
        latency=latencies["model"],
        decision=decision,
    )


def split_logits(classifier: Classifier, split: Split) -> npt.NDArray[np.float32]:
    """Logits (n, labels) of the inputs of a split."""
    return classifier.predict_logits(split.functions, split.inputs, batch_size=_BATCH)


def _figures(
    classifier: Classifier, task: Task, split: Split, logits: npt.NDArray[np.float32], decision: Decision
) -> dict[str, Any]:
    def logits_of(inputs: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        used, places = np.unique(inputs, return_inverse=True)
        functions = [split.functions[place] for place in used.tolist()]
        return classifier.predict_logits(functions, places.reshape(inputs.shape), batch_size=_BATCH)

    asked = logits_of if classifier.has_vectors else None  # else each pair is read anew: too slow for all of them
    return figures(Answers(split=split, logits=logits, logits_of=asked, decision=decision), task.label_names)


def measure_objectives(
    kinds: Mapping[str, MeasuredObjective],
    classifier: Classifier,
    task: Task,
    *,
    directory: Path,
    hyperparameters: Configuration,
    edits: int,
    cache_dir: Path | None = None,
    decision: Decision,
) -> dict[str, float]:
    """Measure a distilled student, loaded from its directory, by each of these objectives.

    Args:
        decision: How its logits become labels.
        edits: Of each function, under which robustness is measured.
        cache_dir: Where edited functions are kept.

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
        functions=valid.functions,
        inputs=valid.inputs,
        language=task.language,
        predict=partial(classifier.predict_logits, batch_size=_BATCH),
        edits=edits,
        cache_dir=cache_dir,
        labels_of=decision.labels,
    )
    figures = {name: float(kind.measure(student)) for name, kind in kinds.items()}
    for name, value in figures.items():
        if not math.isfinite(value):
            raise StudyError(f"the objective {name} must be a finite number, it measured {value}")
    return figures
