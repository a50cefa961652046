"""Students with random weights, measured, and cost models calibrated on them.

What a model costs does not depend on its weights, so none is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.cost_model import MIN_STUDENTS, CostModel
from avatar_optuna.costs import TaskShape, size_bytes
from avatar_optuna.distillation import build_student
from avatar_optuna.exceptions import StudyError
from avatar_optuna.measurement._energy import EnergyCounter, measure_energy, require_counter
from avatar_optuna.measurement._latency import Run, computing_threads, describe_device, synchronize, timed_turns
from avatar_optuna.students import Configuration

Array = npt.NDArray[np.float64]

BATCH_SIZE = 1
CALIBRATION_STUDENTS = 40
CALIBRATION_REPEATS = 15
_GROUP_BYTES = 2_000_000_000
_FIRST_TOKEN = 5  # after the special ones
_ENERGY_WINDOW_S = 1.5
_ENERGY_IDLE_S = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class TimedStudents:
    """Times of students, turn by turn.

    Args:
        times_ms: Shape (students, repeats): one input at full length. Where it can be told, without the time in which
            other work had the processor, so that a busy machine gives nearly the figures of a quiet one.
        waited_share: Share of the time that was so taken off, or None where that cannot be told.
    """

    times_ms: Array
    waited_share: float | None

    @property
    def latencies_ms(self) -> Array:
        """The fastest turn of each, shape (students,): what it takes undisturbed, nearly a quiet machine's median."""
        return np.asarray(self.times_ms.min(axis=1))


def time_students(
    students: Sequence[Configuration],
    task_shape: TaskShape,
    *,
    device: str,
    repeats: int,
    on_progress: Callable[[int], None] | None = None,
) -> TimedStudents:
    """Time one input at full length, the students by turns, as many at a time as 2 GB hold.

    Args:
        task_shape: Single functions or pairs: a pair is two passes of the encoder.
        repeats: Timed passes of each.
        on_progress: Called with the number of timed passes done.
    """
    times = np.zeros((len(students), repeats))
    elapsed_ms, waited_ms, done = 0.0, 0.0, 0
    is_known = True
    for group in _groups(students, task_shape):
        runs = [student_run(students[index], task_shape, device) for index in group]

        def on_turn(turn: int, before: int = done, size: int = len(group)) -> None:
            if on_progress is not None:
                on_progress(before + turn * size)

        turns = timed_turns(runs, repeats=repeats, device=device, on_turn=on_turn)
        times[group] = turns.times_ms if turns.computed_ms is None else turns.computed_ms
        elapsed_ms += float(turns.times_ms.sum())
        waited_ms += max(float(turns.times_ms.sum() - times[group].sum()), 0.0)
        is_known = is_known and turns.computed_ms is not None
        done += repeats * len(group)
    return TimedStudents(times_ms=times, waited_share=waited_ms / elapsed_ms if is_known and elapsed_ms else None)


def energies_of_students(
    students: Sequence[Configuration],
    task_shape: TaskShape,
    counter: EnergyCounter,
    *,
    device: str,
    on_progress: Callable[[int], None] | None = None,
) -> list[float | None]:
    """Joules of one input at full length, idle subtracted; None where the counter failed or counted nothing."""
    joules: list[float | None] = []
    for index, student in enumerate(students):
        energy = measure_energy(
            student_run(student, task_shape, device),
            counter,
            window_s=_ENERGY_WINDOW_S,
            idle_s=_ENERGY_IDLE_S,
            settle=lambda: synchronize(device),
        )
        joules.append(energy.joules if energy is not None and energy.joules > 0 else None)
        if on_progress is not None:
            on_progress(index + 1)
    return joules


def student_run(student: Configuration, task_shape: TaskShape, device: str) -> Run:
    """Passes of a random student over one input of random tokens at full length."""
    network = build_student(student, task_shape)
    network.to(device).eval()
    shape = (task_shape.arity, student.max_sequence_length)
    drawn = np.random.default_rng(0).integers(_FIRST_TOKEN, student.vocab_size, size=shape)
    tokens = torch.from_numpy(drawn).to(device)

    @torch.inference_mode()
    def run() -> object:
        return network.classify(network.encode(tokens).reshape(1, -1))

    return run


def _groups(students: Sequence[Configuration], task_shape: TaskShape) -> Iterator[list[int]]:
    """Indices of students that fit in memory together."""
    group: list[int] = []
    held = 0
    for index, student in enumerate(students):
        size = int(size_bytes(student, task_shape))
        if group and held + size > _GROUP_BYTES:
            yield group
            group, held = [], 0
        group.append(index)
        held += size
    if group:
        yield group


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
