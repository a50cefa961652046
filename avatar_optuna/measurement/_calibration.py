"""Calibrate a predictor of latency or energy on students with random weights, on the device where students will run."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from avatar_optuna.costs import TaskForm
from avatar_optuna.exceptions import StudyError
from avatar_optuna.hyperparameters import Hyperparameters
from avatar_optuna.measurement._energy import require_counter
from avatar_optuna.measurement._latency import computing_threads, describe_device
from avatar_optuna.measurement._random_students import BATCH_SIZE, energies_of_students, time_students
from avatar_optuna.predictor import MIN_STUDENTS, CostPredictor, fit

OnProgress = Callable[[int], None]

CALIBRATION_STUDENTS = 40
CALIBRATION_REPEATS = 15


def calibrate_latency(
    students: Sequence[Hyperparameters],
    form: TaskForm,
    *,
    device: str,
    threads: int | None = None,
    repeats: int = CALIBRATION_REPEATS,
    on_progress: OnProgress | None = None,
) -> CostPredictor:
    """Time students by turns, and fit the predictor of `latency_ms` on what they take undisturbed.

    Args:
        students: Spread over the space.
        form: Single functions or pairs.
        device: Where students will run.
        threads: On a CPU; None takes one.
        repeats: Timed passes of each.
        on_progress: Called with the number of timed passes done.
    """
    with computing_threads(device, threads):
        timed = time_students(students, form, device=device, repeats=repeats, on_progress=on_progress)
        latencies = timed.latencies_ms.tolist()
        return _fitted("latency_ms", students, latencies, form, device=device, waited_share=timed.waited_share)


def calibrate_energy(
    students: Sequence[Hyperparameters],
    form: TaskForm,
    *,
    device: str,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> CostPredictor:
    """Count each student's joules over seconds full of passes, and fit the predictor of `energy_j` on them.

    Args:
        students: Spread over the space.
        form: Single functions or pairs.
        device: Where students will run.
        threads: On a CPU; None takes one.
        on_progress: Called with the number of students measured.

    Raises:
        InputError: The device has no counter that can be read.
        StudyError: The counter gave too few figures.
    """
    counter = require_counter(device)
    with computing_threads(device, threads):
        joules = energies_of_students(students, form, counter, device=device, on_progress=on_progress)
        counted = [(student, value) for student, value in zip(students, joules, strict=True) if value is not None]
        if len(counted) < MIN_STUDENTS:
            raise StudyError(
                f"energy_j cannot be predicted: the counter {counter.source} gave figures for {len(counted)} of "
                f"{len(students)} students, and {MIN_STUDENTS} are needed"
            )
        return _fitted("energy_j", [s for s, _ in counted], [v for _, v in counted], form, device=device)


def _fitted(
    quantity: str,
    students: Sequence[Hyperparameters],
    figures: Sequence[float],
    form: TaskForm,
    *,
    device: str,
    waited_share: float | None = None,
) -> CostPredictor:
    found = fit(students, figures, form)
    return CostPredictor(
        quantity=quantity,
        form=form,
        weights=found.weights,
        device=describe_device(device),
        host=platform.node(),
        batch_size=BATCH_SIZE,
        num_students=len(students),
        median_error=found.median_error,
        p90_error=found.p90_error,
        rank_correlation=found.rank_correlation,
        range=(min(figures), max(figures)),
        waited_share=waited_share,
        measured_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
