"""What a study finds out about the device that its students shall run on: calibrated cost models, and the audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from avatar_optuna.cost_model import CostModel
from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import draw, feasibility_of
from avatar_optuna.measurement import (
    AUDIT_REPEATS,
    AUDITED_STUDENTS,
    CALIBRATION_REPEATS,
    CALIBRATION_STUDENTS,
    audit_stand_ins,
    calibrate,
    computing_threads,
    describe_device,
    require_counter,
    require_device,
)
from avatar_optuna.progress import Progress
from avatar_optuna.schema import Audit
from avatar_optuna.settings import StudySettings
from avatar_optuna.students import Configuration
from avatar_optuna.words import count

_AUDIT_SEED = 1  # not the students that a cost model was calibrated on


def calibrated(
    settings: StudySettings, task_shape: TaskShape, progress: Progress, *, known: Mapping[str, CostModel] | None = None
) -> dict[str, CostModel]:
    """A cost model for each figure that objectives and constraints name and that has no formula."""
    names = sorted(settings.predicted_names)
    cost_models = {name: known[name] for name in names if known is not None and name in known}
    missing = [name for name in names if name not in cost_models]
    if "energy_j" in missing:
        require_counter(settings.measurement.device)
    if not missing:
        return cost_models
    students = drawn_students(settings, task_shape, CALIBRATION_STUDENTS, seed=settings.search.seed)
    device, threads = settings.measurement.device, settings.measurement.threads
    steps = {
        "latency_ms": ("calibrating latency: passes", len(students) * CALIBRATION_REPEATS),
        "energy_j": ("calibrating energy: students", len(students)),
    }
    for name in missing:
        with progress.bar(*steps[name]) as update:
            cost_model = calibrate(name, students, task_shape, device=device, threads=threads, on_progress=update)
        cost_models[name] = cost_model
        progress.say(_said(cost_model))
    return cost_models


def _said(cost_model: CostModel) -> str:
    low, high = cost_model.range
    return (
        f"calibrated {cost_model.quantity} on {cost_model.num_students} students with random weights, {low:.2f} to "
        f"{high:.2f} {cost_model.unit}: median error {cost_model.median_error:.0%} (of nine in ten below "
        f"{cost_model.p90_error:.0%}), rank correlation {cost_model.rank_correlation:.2f}, "
        "each predicted from the others"
    )


def calibrated_elsewhere(cost_models: Iterable[CostModel], settings: StudySettings) -> dict[str, str]:
    """Of cost models that were calibrated on another device than the study's device on this machine: a sentence each.

    Returns:
        By figure, such as "latency_ms"; empty where all of them were calibrated on such a device.

    Raises:
        InputError: This machine has no such device.
    """
    here = device_here(settings)
    return {
        cost_model.quantity: (
            f"{cost_model.quantity} is predicted for {named_device(cost_model.device)} of {cost_model.host}, where its "
            f"cost model was calibrated, and this device is {named_device(here)}"
        )
        for cost_model in cost_models
        if not cost_model.is_of(here)
    }


def device_here(settings: StudySettings) -> dict[str, Any]:
    """The study's device on this machine, as kept beside what is measured on it.

    Raises:
        InputError: This machine has no such device.
    """
    device = settings.measurement.device
    require_device(device)
    with computing_threads(device, settings.measurement.threads):
        return describe_device(device)


def named_device(device: Mapping[str, Any]) -> str:
    """What a device is called in a sentence."""
    threads = device["threads"]
    return f"{device['model']}" + (f" with {count(threads, 'thread')}" if threads else "")


def audited(settings: StudySettings, task_shape: TaskShape, progress: Progress) -> Audit:
    """Hold FLOPs and parameters against what random feasible students really take on the study's device."""
    students = drawn_students(settings, task_shape, AUDITED_STUDENTS, seed=settings.search.seed + _AUDIT_SEED)
    with progress.bar("audit: passes", len(students) * AUDIT_REPEATS) as update:
        return audit_stand_ins(
            students,
            task_shape,
            device=settings.measurement.device,
            threads=settings.measurement.threads,
            on_progress=update,
        )


def drawn_students(settings: StudySettings, task_shape: TaskShape, count: int, *, seed: int) -> list[Configuration]:
    """Students spread over the study's space, feasible but for what only a cost model could say."""
    feasibility = feasibility_of(settings.space, constraints=settings.formula_constraints, task_shape=task_shape)
    return draw(feasibility, count, seed=seed)
