"""What a study finds out about the device that its students shall run on: calibrated predictors, and the audit."""

from __future__ import annotations

from collections.abc import Mapping

from avatar_optuna.costs import TaskForm
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.hyperparameters import Hyperparameters
from avatar_optuna.measurement import (
    AUDIT_REPEATS,
    AUDITED_STUDENTS,
    CALIBRATION_REPEATS,
    CALIBRATION_STUDENTS,
    audit_stand_ins,
    calibrate_energy,
    calibrate_latency,
    require_counter,
)
from avatar_optuna.predictor import CostPredictor
from avatar_optuna.progress import Progress
from avatar_optuna.records import Audit
from avatar_optuna.settings import StudySettings

_AUDIT_SEED = 1  # not the students that a predictor was calibrated on


def calibrated(
    settings: StudySettings, form: TaskForm, progress: Progress, *, known: Mapping[str, CostPredictor] | None = None
) -> dict[str, CostPredictor]:
    """A predictor for each figure that the study's objectives and constraints name and that has no formula.

    Args:
        settings: Name the figures, the device and the space.
        form: Single functions or pairs.
        progress: Where it says what it does.
        known: Predictors that were calibrated before.

    Raises:
        InputError: `energy_j` is named and the device has no counter.
    """
    found = {name: (known or {})[name] for name in sorted(settings.predicted_names & set(known or {}))}
    missing = sorted(settings.predicted_names - set(found))
    if "energy_j" in missing:
        require_counter(settings.measurement.device)
    if not missing:
        return found
    students = drawn_students(settings, form, CALIBRATION_STUDENTS, seed=settings.search.seed)
    device, threads = settings.measurement.device, settings.measurement.threads
    for name in missing:
        if name == "latency_ms":
            with progress.bar("calibrating latency: passes", len(students) * CALIBRATION_REPEATS) as update:
                predictor = calibrate_latency(students, form, device=device, threads=threads, on_progress=update)
        else:
            with progress.bar("calibrating energy: students", len(students)) as update:
                predictor = calibrate_energy(students, form, device=device, threads=threads, on_progress=update)
        found[name] = predictor
        progress.say(_said(predictor))
    return found


def _said(predictor: CostPredictor) -> str:
    low, high = predictor.range
    return (
        f"calibrated {predictor.quantity} on {predictor.num_students} students with random weights, {low:.2f} to "
        f"{high:.2f} {predictor.unit}: median error {predictor.median_error:.0%} (of nine in ten below "
        f"{predictor.p90_error:.0%}), rank correlation {predictor.rank_correlation:.2f}, each predicted from the others"
    )


def audited(settings: StudySettings, form: TaskForm, progress: Progress) -> Audit:
    """Hold FLOPs and parameters against what random feasible students really take on the study's device."""
    students = drawn_students(settings, form, AUDITED_STUDENTS, seed=settings.search.seed + _AUDIT_SEED)
    with progress.bar("audit: passes", len(students) * AUDIT_REPEATS) as update:
        return audit_stand_ins(
            students,
            form,
            device=settings.measurement.device,
            threads=settings.measurement.threads,
            on_progress=update,
        )


def drawn_students(settings: StudySettings, form: TaskForm, count: int, *, seed: int) -> list[Hyperparameters]:
    """Students spread over the study's space, feasible but for what only a predictor could say."""
    feasibility = Feasibility(space=settings.space, constraints=settings.formula_constraints, form=form)
    return draw(feasibility, count, seed=seed)
