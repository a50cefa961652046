"""Where workers run: a slot is one worker that sees one device and has its share of the processor cores."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import pynvml

from avatar_optuna.exceptions import InputError

_ENTRY = re.compile(r"(cpu|cuda|cuda:\d+)(\*(?P<count>[1-9]\d{0,3}))?")


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One worker; on a GPU, four share a process.

    Args:
        name: The device as this machine names it: "cpu" or "cuda:1".
        device: The device as the process sees it: "cpu" or "cuda:0", for it sees no other.
        threads: Its share of the processor cores.
        environment: Variables that make it so.
        memory_share: Of the device's memory, of which each slot of a GPU has as much.
    """

    name: str
    device: str
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    memory_share: float = 1.0


def parse_devices(devices: str = "auto", *, workers: int | None = None) -> tuple[Slot, ...]:
    """Slots for `auto`, `cpu`, `cuda`, `cuda:0,cuda:1`, and several on one device: `cuda:0*4`, `cpu*2`.

    Args:
        devices: `auto` is every visible GPU, or one slot on the CPU where there is none.
        workers: How many processes, dealt over the slots in turn; None is one a slot.

    Raises:
        InputError: It is written otherwise, or names a device that this machine lacks.
    """
    visible = _visible_gpus()
    here = [f"cuda:{index}" for index in range(len(visible))]
    names: list[str] = []
    for entry in devices.split(","):
        match = _ENTRY.fullmatch(entry.strip())
        if entry.strip() == "auto" and devices.strip() == "auto":
            names += here or ["cpu"]
        elif match is None:
            raise InputError(f"devices must be auto, cpu, or a list such as cuda:0,cuda:1*4, got {devices!r}")
        else:
            named = (here or ["cuda:0"]) if match[1] == "cuda" else [match[1]]
            names += named * int(match["count"] or 1)
    if workers is not None:
        names = [names[index % len(names)] for index in range(workers)]
    return tuple(_slot(name, names, visible) for name in names)


def _slot(name: str, names: Sequence[str], visible: tuple[str, ...]) -> Slot:
    threads = max(1, len(os.sched_getaffinity(0)) // len(names))
    environment = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    if name == "cpu":
        environment["CUDA_VISIBLE_DEVICES"] = ""
        return Slot(name=name, device="cpu", threads=threads, environment=MappingProxyType(environment))
    index = int(name.removeprefix("cuda:"))
    if index >= len(visible):
        here = ", ".join(f"cuda:{i}" for i in range(len(visible))) or "no CUDA device"
        raise InputError(f"devices must be of this machine, which has {here}, got {name}")
    environment |= {"CUDA_VISIBLE_DEVICES": visible[index], "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as NVML counts
    return Slot(
        name=name,
        device="cuda:0",
        threads=threads,
        environment=MappingProxyType(environment),
        memory_share=1 / names.count(name),
    )


def _visible_gpus() -> tuple[str, ...]:
    """What `CUDA_VISIBLE_DEVICES` may hold to see one GPU each, in the order in which CUDA numbers them now."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        entries = [entry.strip() for entry in given.split(",")]
        return tuple(entry for entry in entries if entry not in ("", "-1"))
    try:
        pynvml.nvmlInit()
        try:
            return tuple(str(index) for index in range(pynvml.nvmlDeviceGetCount()))
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:
        return ()
