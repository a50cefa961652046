"""Latency of classifiers on the user's device: real test inputs at their real lengths, several models by turns."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.exceptions import InputError
from avatar_optuna.schema import Latency
from avatar_optuna.settings import MeasurementSettings

Run = Callable[[], object]
"""One pass."""

_WARM_UPS = 3
_BLOCK_MS, _MOST_WARMING_MS = 1_000.0, 300.0
_LEAST_PASSES = 5


def describe_device(device: str) -> dict[str, Any]:
    """Name, model and threads of a device, as kept beside every figure measured on it."""
    if device.startswith("cuda"):
        return {"name": device, "model": torch.cuda.get_device_name(device), "threads": None}
    return {"name": "cpu", "model": _processor(), "threads": torch.get_num_threads()}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def use_threads(threads: int) -> None:
    """Let torch compute with this many threads on the CPU, in this whole process."""
    torch.set_num_threads(threads)


@contextmanager
def computing_threads(device: str, threads: int | None) -> Iterator[None]:
    """Compute with so many threads for a while: on a CPU, None takes one, since threads that wait cost more."""
    before = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(threads or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def require_device(device: str) -> None:
    """Refuse (`InputError`) a GPU that torch does not see on this machine."""
    if not device.startswith("cuda"):
        return
    count = torch.cuda.device_count()
    if int(device.partition(":")[2] or 0) >= count:
        raise InputError(f"measurement.device must be of this machine, where torch sees {count} GPUs, got {device!r}")


def synchronize(device: str) -> None:
    """Wait for what this thread's stream of a GPU was told to do.

    The whole device is not waited for: that is refused while another thread captures its steps, and spoils them.
    """
    if device.startswith("cuda"):
        torch.cuda.current_stream(device).synchronize()


def interleaved_latencies(
    models: Mapping[str, Callable[[int], Run]], settings: MeasurementSettings, *, device: str
) -> dict[str, tuple[Latency, ...]]:
    """Time several models by turns, then each in a warm block of its own.

    The order is drawn anew for each turn, so that whatever else the machine does falls on all of them alike, and so do
    the caches that another model left cold.

    Args:
        models: By name, what makes passes over prepared inputs of a batch size; each call is timed.
        settings: Batch sizes, to which batch 1 is added, and timed passes of each model and batch size.

    Returns:
        By name, one for each batch size, in ascending order. A single model has no warm block: its turns are one.
    """
    about = describe_device(device)
    latencies: dict[str, tuple[Latency, ...]] = dict.fromkeys(models, ())
    repeats = settings.repeats
    for batch_size in sorted({1, *settings.batch_sizes}):
        runs = [make(batch_size) for make in models.values()]
        turns = timed_turns(runs, repeats=repeats, device=device)
        blocks = timed_blocks(runs, repeats=repeats, device=device) if len(runs) > 1 else [None] * len(runs)
        for index, (name, block) in enumerate(zip(models, blocks, strict=True)):
            median_ms, p95_ms = (float(value) for value in np.percentile(turns.times_ms[index], [50, 95]))
            latencies[name] += (
                Latency(
                    batch_size=batch_size,
                    median_ms=median_ms,
                    p95_ms=p95_ms,
                    repeats=repeats,
                    device=about,
                    interval_ms=median_interval(turns.times_ms[index]),
                    thread_ms=_median(turns.computed_ms[index]) if turns.computed_ms is not None else None,
                    **(_warm(block) if block is not None else {}),
                ),
            )
    return latencies


def _warm(block: Turns) -> dict[str, Any]:
    """Fields of `Latency`."""
    return {
        "warm_ms": _median(block.times_ms[0]),
        "warm_interval_ms": median_interval(block.times_ms[0]),
        "warm_thread_ms": _median(block.computed_ms[0]) if block.computed_ms is not None else None,
    }


def _median(values: npt.NDArray[np.float64]) -> float:
    return float(np.median(values))


def median_interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """95 % interval of the median of a sample, shape (n,), whatever its distribution.

    How many of n values lie below the median is binomial: the interval reaches from the order statistic at its 2.5 %
    quantile to the one as far from the other end. Fewer than six values give their whole range, which covers less.
    """
    from scipy.stats import binom

    ordered, outside = np.sort(values), max(int(binom.ppf(0.025, len(values), 0.5)), 1)
    return float(ordered[outside - 1]), float(ordered[-outside])


@dataclass(frozen=True, kw_only=True, eq=False)
class Turns:
    """Several models, timed by turns, or one in a block.

    Args:
        times_ms: Shape (models, repeats).
        computed_ms: The same without the time in which other work had the processor: what a quiet machine would take.
            None where that cannot be told (a GPU, several threads).
    """

    times_ms: npt.NDArray[np.float64]
    computed_ms: npt.NDArray[np.float64] | None


def timed_turns(
    runs: Sequence[Run],
    *,
    repeats: int,
    device: str,
    on_turn: Callable[[int], None] | None = None,
    seed: int | None = 0,
) -> Turns:
    """Warm each model up, then time a pass of each by turns.

    Args:
        runs: A pass of each model.
        repeats: Turns.
        on_turn: Called with the number of turns done.
        seed: Of the order, drawn anew for each turn: a model that always runs after the same other one pays for what
            that one left in the caches. None keeps the order of the runs.
    """
    for run in runs:
        for _ in range(_WARM_UPS):
            run()
    rng = np.random.default_rng(seed)
    times = np.zeros((2, len(runs), repeats))
    for turn in range(repeats):
        for index in range(len(runs)) if seed is None else rng.permutation(len(runs)).tolist():
            times[:, index, turn] = _timed(runs[index], device)
        if on_turn is not None:
            on_turn(turn + 1)
    return _turns(times, device)


def timed_blocks(runs: Sequence[Run], *, repeats: int, device: str, seed: int = 0) -> list[Turns]:
    """Time each model in a block of its own, one pass after another, its caches as warm as they get.

    Args:
        runs: A pass of each model.
        repeats: Timed passes of each; of a slow one no more than fit into a second, but five.
        seed: Of the order of the blocks.
    """
    blocks: dict[int, Turns] = {}
    for index in np.random.default_rng(seed).permutation(len(runs)).tolist():
        warming_ms = 0.0
        for _ in range(_WARM_UPS):
            warming_ms += _timed(runs[index], device)[0]
            if warming_ms > _MOST_WARMING_MS:
                break
        passes: list[tuple[float, float]] = []
        while len(passes) < repeats and (len(passes) < _LEAST_PASSES or sum(ms for ms, _ in passes) < _BLOCK_MS):
            passes.append(_timed(runs[index], device))
        blocks[index] = _turns(np.asarray(passes).T[:, None, :], device)
    return [blocks[index] for index in range(len(runs))]


def _timed(run: Run, device: str) -> tuple[float, float]:
    """Milliseconds that a pass took, and those in which this thread had a processor."""
    synchronize(device)
    begun, computing = time.perf_counter(), time.thread_time()
    run()
    synchronize(device)
    return (time.perf_counter() - begun) * 1000, (time.thread_time() - computing) * 1000


def _turns(times: npt.NDArray[np.float64], device: str) -> Turns:
    """Of wall times and thread times, shape (2, models, repeats)."""
    is_alone = device == "cpu" and torch.get_num_threads() == 1
    return Turns(times_ms=times[0], computed_ms=times[1] if is_alone else None)
