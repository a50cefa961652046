"""Energy from counters, and from nothing else: without a counter there is no measured energy."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from avatar_optuna.codec import Stored
from avatar_optuna.exceptions import InputError

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
    """The energy counter of an NVIDIA GPU (Volta and later), in millijoules since the driver was loaded.

    Args:
        index: Of the device, as NVML numbers it.

    Raises:
        OSError: There is no such counter.
    """

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
    """The processor packages' energy counters of Linux's powercap, wrap-around undone.

    Args:
        root: Where the kernel shows them.

    Raises:
        OSError: There are none, or they may not be read (most systems let only root read them).
    """

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
    import os

    number = int(device.partition(":")[2] or 0)
    visible = [entry for entry in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if entry.strip().isdecimal()]
    return int(visible[number]) if number < len(visible) else number


@dataclass(frozen=True, kw_only=True)
class Energy(Stored):
    """Energy of one pass, from a counter.

    Args:
        joules: A pass, idle subtracted.
        idle_watts: Power of the device while it does nothing, measured just before.
        gross_joules: A pass, idle included.
        passes: How many were run in the window.
        window_s: How long they took.
        source: The counter.
    """

    joules: float
    idle_watts: float
    gross_joules: float
    passes: int
    window_s: float
    source: str


def measure_energy(
    run: Callable[[], object],
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
        run: One pass.
        counter: Read four times: around the idle time and around the window.
        window_s: Shortest window; counters are updated some ten times a second.
        idle_s: How long the idle device is watched.
        settle: Waits for what was told to the device (a CUDA synchronisation).
        clock: Seconds.
        sleep: Waits.

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
