"""An estimate of power where no counter can be read: codecarbon's table of processors, offline. Never an objective."""

from __future__ import annotations

import logging
import os
from importlib.metadata import version

from avatar_optuna.schema import EstimatedPower


def estimate_power(device: str, threads: int | None) -> EstimatedPower:
    """What codecarbon assumes a device to take while it computes; memory is left out, for it takes the same idle.

    Args:
        device: cpu; for a GPU, whose limit NVML tells where its counter is missing, the processor's share alone.
        threads: That compute; None is one.
    """
    from codecarbon.core.cpu import TDP  # it loads pandas: only where it is needed

    logging.getLogger("codecarbon").setLevel(logging.ERROR)
    found = TDP()  # type: ignore[no-untyped-call]
    cores = os.cpu_count() or 1
    used = min(threads or 1, cores)
    watts = float(found.tdp) * used / cores
    return EstimatedPower(
        watts=watts,
        assumption=(
            f"{found.model} takes {found.tdp:g} W at full load, {used} of its {cores} visible threads their share: "
            f"{watts:.3g} W whatever is computed{'' if device == 'cpu' else ', its GPU left out'}"
        ),
        source=f"codecarbon {version('codecarbon')}",
    )
