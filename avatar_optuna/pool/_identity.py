"""Which process a worker is, so that another on the same machine can tell at once that it is gone."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any


def this_process() -> dict[str, Any]:
    """Host and process id, and where the kernel tells: boot, process namespace, and when the process was started.

    The last three make it unique: a process id alone is given again, and means another process in another container.
    """
    pid = os.getpid()
    return {"host": socket.gethostname(), "pid": pid, "place": _place(), "started": _started(pid)}


def is_certainly_gone(process: Mapping[str, Any]) -> bool:
    """Whether a process described by `this_process` has ended; false where that cannot be known from here."""
    if process.get("place") is None or process["place"] != _place() or process.get("started") is None:
        return False
    return bool(_started(process["pid"]) != process["started"])


def is_certainly_alive(process: Mapping[str, Any]) -> bool:
    """Whether a process described by `this_process` runs still; false where that cannot be known from here."""
    is_near = process.get("place") is not None and process["place"] == _place()
    return is_near and process.get("started") is not None and _started(process["pid"]) == process["started"]


@cache
def _place() -> str | None:
    """The running kernel and the process namespace: within them, a process id and its start name one process."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """When a process was started, in clock ticks since boot; None where there is no such process (or a dead one)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None
