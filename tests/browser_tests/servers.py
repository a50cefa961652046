"""The dashboard in a process of its own, on a free port of this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def served(url: str, *words: str) -> Iterator[str]:
    """The address of a dashboard of a database, until the block ends."""
    server = subprocess.Popen(
        [sys.executable, "-m", "avatar_optuna", "dashboard", "--storage", url, "--port", "0", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        line = next(line for line in server.stdout if "http://" in line)
        yield "http://" + line.split("http://", 1)[1].split("/")[0]
    finally:
        server.terminate()
        server.wait(timeout=30)
