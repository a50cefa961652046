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
    """Time several models by turns, so that whatever else the machine does falls on all of them alike.

    Args:
        models: By name, what makes passes over prepared inputs of a batch size; each call is timed.
        settings: Batch sizes, to which batch 1 is added, and timed passes of each model and batch size.

    Returns:
        By name, one for each batch size, in ascending order.
    """
    about = describe_device(device)
    latencies: dict[str, tuple[Latency, ...]] = dict.fromkeys(models, ())
    repeats = settings.repeats
    for batch_size in sorted({1, *settings.batch_sizes}):
        turns = timed_turns([make(batch_size) for make in models.values()], repeats=repeats, device=device)
        for name, times_ms in zip(models, turns.times_ms, strict=True):
            median_ms, p95_ms = (float(value) for value in np.percentile(times_ms, [50, 95]))
            latencies[name] += (
                Latency(
                    batch_size=batch_size,
                    median_ms=median_ms,
                    p95_ms=p95_ms,
                    repeats=repeats,
                    device=about,
                    interval_ms=median_interval(times_ms),
                ),
            )
    return latencies


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
    """Several models, timed by turns.

    Args:
        times_ms: Shape (models, repeats).
        computed_ms: The same without the time in which other work had the processor: what a quiet machine would take.
            None where that cannot be told (a GPU, several threads).
    """

    times_ms: npt.NDArray[np.float64]
    computed_ms: npt.NDArray[np.float64] | None


def timed_turns(
    runs: Sequence[Run], *, repeats: int, device: str, on_turn: Callable[[int], None] | None = None
) -> Turns:
    """Warm each model up, then time a pass of each by turns; `on_turn` is called with the number of turns done."""
    for run in runs:
        for _ in range(_WARM_UPS):
            run()
    times, computed = np.zeros((len(runs), repeats)), np.zeros((len(runs), repeats))
    for turn in range(repeats):
        for index, run in enumerate(runs):
            synchronize(device)
            begun, computing = time.perf_counter(), time.thread_time()
            run()
            synchronize(device)
            times[index, turn] = (time.perf_counter() - begun) * 1000
            computed[index, turn] = (time.thread_time() - computing) * 1000
        if on_turn is not None:
            on_turn(turn + 1)
    is_alone = device == "cpu" and torch.get_num_threads() == 1
    return Turns(times_ms=times, computed_ms=computed if is_alone else None)
