"""Energy from counters: without one there is no measured energy, only an assumed power, which is never an objective."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from avatar_optuna.exceptions import InputError
from avatar_optuna.measurement._latency import Run, synchronize
from avatar_optuna.schema import Energy, EstimatedPower

logger = logging.getLogger(__name__)

_RAPL_ROOT = Path("/sys/class/powercap")


class EnergyCounter(Protocol):
    """A counter of joules that only goes up."""

    source: str
    """Where it comes from: "nvml", "rapl" or "replayed"."""

    def read_j(self) -> float:
        """Joules counted so far; differences of two readings are what counts.

        Raises:
            OSError: The counter cannot be read.
        """


class NvmlCounter:
    """The energy counter of an NVIDIA GPU (Volta and later), by its number in NVML, where there is one."""

    source = "nvml"

    def __init__(self, index: int) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            self._handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            self._nvml = pynvml
            self.read_j()
        except Exception as error:
            raise OSError(f"NVML gives no energy counter for device {index}: {error}") from error

    def read_j(self) -> float:
        """Joules since the driver was loaded."""
        try:
            return float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)) / 1000
        except self._nvml.NVMLError as error:
            raise OSError(f"the NVML energy counter cannot be read: {error}") from error


class RaplCounter:
    """Linux's energy counters of processor packages, wrap-around undone; most systems let only root read them."""

    source = "rapl"

    def __init__(self, root: Path = _RAPL_ROOT) -> None:
        self._zones = sorted(zone for zone in root.glob("intel-rapl:*") if zone.name.count(":") == 1)
        if not self._zones:
            raise OSError(f"{root} shows no energy counter of a processor package")
        self._ranges = [float((zone / "max_energy_range_uj").read_text()) for zone in self._zones]
        self._last = [self._raw(zone) for zone in self._zones]
        self._total_uj = 0.0

    def read_j(self) -> float:
        """Joules since this object was made."""
        for index, zone in enumerate(self._zones):
            now = self._raw(zone)
            step = now - self._last[index]
            self._total_uj += step if step >= 0 else step + self._ranges[index]
            self._last[index] = now
        return self._total_uj / 1e6

    @staticmethod
    def _raw(zone: Path) -> float:
        return float((zone / "energy_uj").read_text())


def open_counter(device: str) -> EnergyCounter | None:
    """The counter of a device, or None where it has none that can be read."""
    try:
        return _counter(device)
    except OSError as error:
        logger.info("no measured energy: %s", error)
        return None


def require_counter(device: str) -> EnergyCounter:
    """The counter of a device, which an objective or a constraint on `energy_j` needs: estimates will not do.

    Raises:
        InputError: There is none that can be read, with the reason.
    """
    try:
        return _counter(device)
    except OSError as error:
        raise InputError(
            f"energy_j must be measured by a counter to be an objective or a constraint, and {device} has none: {error}"
        ) from error


def _counter(device: str) -> EnergyCounter:
    return NvmlCounter(_visible_index(device)) if device.startswith("cuda") else RaplCounter()


def _visible_index(device: str) -> int:
    """NVML numbers all devices, CUDA the visible ones."""
    number = int(device.partition(":")[2] or 0)
    visible = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip().isdecimal()]
    return int(visible[number]) if number < len(visible) else number


def energy_of(run: Run, device: str) -> Energy | None:
    """Energy of one pass on a device; None where it has no counter that can be read."""
    counter = open_counter(device)
    return measure_energy(run, counter, settle=lambda: synchronize(device)) if counter is not None else None


def measure_energy(
    run: Run,
    counter: EnergyCounter,
    *,
    window_s: float = 3.0,
    idle_s: float = 2.0,
    settle: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Energy | None:
    """Energy of one pass: a window of seconds full of passes, less what the device takes while idle.

    Args:
        counter: Read four times: around the idle time and around the window.
        window_s: Shortest window; counters are updated some ten times a second.
        idle_s: How long the idle device is watched.
        settle: Waits for what was told to the device (a CUDA synchronisation).

    Returns:
        None where the counter cannot be read: an unreadable counter never yields a number.
    """
    try:
        settle()
        idle_begun, idle_from = clock(), counter.read_j()
        sleep(idle_s)
        idle_to, idle_ended = counter.read_j(), clock()
        begun, start = clock(), counter.read_j()
        passes = 0
        while passes == 0 or clock() - begun < window_s:
            run()
            settle()
            passes += 1
        end, ended = counter.read_j(), clock()
    except OSError as error:
        logger.warning("no measured energy: %s", error)
        return None
    idle_watts = (idle_to - idle_from) / max(idle_ended - idle_begun, 1e-9)
    seconds = ended - begun
    gross = (end - start) / passes
    return Energy(
        joules=max(gross - idle_watts * seconds / passes, 0.0),
        idle_watts=idle_watts,
        gross_joules=gross,
        passes=passes,
        window_s=seconds,
        source=counter.source,
    )


def estimate_power(device: str, threads: int | None) -> EstimatedPower:
    """What codecarbon assumes a device to take while it computes; memory is left out, for it takes the same idle.

    Args:
        device: cpu; for a GPU, whose limit NVML tells where its counter is missing, the processor's share alone.
        threads: That compute; None is one.
    """
    from codecarbon.core.cpu import TDP  # it loads pandas: only where it is needed

    logging.getLogger("codecarbon").setLevel(logging.ERROR)
    processor = TDP()  # type: ignore[no-untyped-call]
    cores = os.cpu_count() or 1
    used = min(threads or 1, cores)
    watts = float(processor.tdp) * used / cores
    return EstimatedPower(
        watts=watts,
        assumption=(
            f"{processor.model} takes {processor.tdp:g} W at full load, {used} of its {cores} visible threads their "
            f"share: {watts:.3g} W whatever is computed{'' if device == 'cpu' else ', its GPU left out'}"
        ),
        source=f"codecarbon {version('codecarbon')}",
    )
