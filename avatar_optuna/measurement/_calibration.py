"""Calibrate a cost model of latency or energy on students with random weights, on the device they will run on."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from avatar_optuna.cost_model import MIN_STUDENTS, CostModel, fit
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import StudyError
from avatar_optuna.measurement._energy import require_counter
from avatar_optuna.measurement._latency import computing_threads, describe_device
from avatar_optuna.measurement._random_students import BATCH_SIZE, energies_of_students, time_students
from avatar_optuna.students import Configuration

OnProgress = Callable[[int], None]

CALIBRATION_STUDENTS = 40
CALIBRATION_REPEATS = 15


def calibrate_latency(
    students: Sequence[Configuration],
    task_shape: TaskShape,
    *,
    device: str,
    threads: int | None = None,
    repeats: int = CALIBRATION_REPEATS,
    on_progress: OnProgress | None = None,
) -> CostModel:
    """Time students by turns, and fit the cost model of `latency_ms` on what they take undisturbed.

    Args:
        students: Spread over the space.
        task_shape: Single functions or pairs.
        device: Where students will run.
        threads: On a CPU; None takes one.
        repeats: Timed passes of each.
        on_progress: Called with the number of timed passes done.
    """
    with computing_threads(device, threads):
        timed = time_students(students, task_shape, device=device, repeats=repeats, on_progress=on_progress)
        latencies = timed.latencies_ms.tolist()
        return _fitted("latency_ms", students, latencies, task_shape, device=device, waited_share=timed.waited_share)


def calibrate_energy(
    students: Sequence[Configuration],
    task_shape: TaskShape,
    *,
    device: str,
    threads: int | None = None,
    on_progress: OnProgress | None = None,
) -> CostModel:
    """Count each student's joules over seconds full of passes, and fit the cost model of `energy_j` on them.

    Args:
        students: Spread over the space.
        task_shape: Single functions or pairs.
        device: Where students will run.
        threads: On a CPU; None takes one.
        on_progress: Called with the number of students measured.

    Raises:
        InputError: The device has no counter that can be read.
        StudyError: The counter gave too few figures.
    """
    counter = require_counter(device)
    with computing_threads(device, threads):
        joules = energies_of_students(students, task_shape, counter, device=device, on_progress=on_progress)
        counted = [(student, value) for student, value in zip(students, joules, strict=True) if value is not None]
        if len(counted) < MIN_STUDENTS:
            raise StudyError(
                f"energy_j cannot be predicted: the counter {counter.source} gave figures for {len(counted)} of "
                f"{len(students)} students, and {MIN_STUDENTS} are needed"
            )
        return _fitted("energy_j", [s for s, _ in counted], [v for _, v in counted], task_shape, device=device)


def _fitted(
    quantity: str,
    students: Sequence[Configuration],
    figures: Sequence[float],
    task_shape: TaskShape,
    *,
    device: str,
    waited_share: float | None = None,
) -> CostModel:
    fitted = fit(students, figures, task_shape)
    return CostModel(
        quantity=quantity,
        family=students[0].family.name,
        task_shape=task_shape,
        weights=fitted.weights,
        device=describe_device(device),
        host=platform.node(),
        batch_size=BATCH_SIZE,
        num_students=len(students),
        median_error=fitted.median_error,
        p90_error=fitted.p90_error,
        rank_correlation=fitted.rank_correlation,
        range=(min(figures), max(figures)),
        waited_share=waited_share,
        measured_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )
