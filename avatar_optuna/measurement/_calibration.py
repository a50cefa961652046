"""Calibrate a cost model of latency or energy on students with random weights, on the device they will run on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from avatar_optuna.cost_model import MIN_STUDENTS, CostModel
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import StudyError
from avatar_optuna.measurement._energy import require_counter
from avatar_optuna.measurement._latency import computing_threads, describe_device
from avatar_optuna.measurement._random_students import BATCH_SIZE, energies_of_students, time_students
from avatar_optuna.students import Configuration

CALIBRATION_STUDENTS = 40
CALIBRATION_REPEATS = 15


def calibrate(
    quantity: str,
    students: Sequence[Configuration],
    task_shape: TaskShape,
    *,
    device: str,
    threads: int | None = None,
    repeats: int = CALIBRATION_REPEATS,
    on_progress: Callable[[int], None] | None = None,
) -> CostModel:
    """Measure students, and fit the cost model of what they take.

    Args:
        quantity: "latency_ms", of students timed by turns, undisturbed; or "energy_j", counted over seconds full of
            passes of each.
        students: Spread over the space.
        threads: On a CPU; None takes one.
        repeats: Timed passes of each, for the latency.
        on_progress: Called with the number of timed passes done, or of students whose energy was counted.

    Raises:
        InputError: The device has no energy counter that can be read.
        StudyError: The counter gave too few figures.
    """
    counter = require_counter(device) if quantity == "energy_j" else None
    waited_share = None
    with computing_threads(device, threads):
        about = describe_device(device)
        if counter is None:
            timed = time_students(students, task_shape, device=device, repeats=repeats, on_progress=on_progress)
            measured, waited_share = list(zip(students, timed.latencies_ms.tolist(), strict=True)), timed.waited_share
        else:
            joules = energies_of_students(students, task_shape, counter, device=device, on_progress=on_progress)
            measured = [(student, value) for student, value in zip(students, joules, strict=True) if value is not None]
            if len(measured) < MIN_STUDENTS:
                raise StudyError(
                    f"energy_j cannot be predicted: the counter {counter.source} gave figures for {len(measured)} of "
                    f"{len(students)} students, and {MIN_STUDENTS} are needed"
                )
    return CostModel.fit(
        quantity,
        [student for student, _ in measured],
        [figure for _, figure in measured],
        task_shape,
        device=about,
        batch_size=BATCH_SIZE,
        waited_share=waited_share,
    )
