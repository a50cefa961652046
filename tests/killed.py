"""A study that is killed over and over: `avatar-optuna` commands, how each of them ends, and what disturbs them.

Meanwhile the disk is full, the artifact store read-only, the server crashes, and each process is begun with another
wrong clock.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from avatar_optuna.schema import distilled_name
from avatar_optuna.storage import JobQueue, open_storage
from tests.interrupted import Interrupt
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[1]
NAME = "killed"
"""Of the study."""
_CLOCK_OFFSETS_S = (0, -7 * 3600, 40 * 86_400)
HELD_S = 4.0
"""How long a disturbance lasts."""
_LONGEST_S = 60.0
_DISK_BYTES = 24 << 20


@dataclass(frozen=True, kw_only=True)
class Step:
    """One process, and how it ends.

    Args:
        phase: In which it is sent a signal.
        signal: Which.
        delay_s: How long after the phase began.
        workers: What its workers are sent before.
        disturbance: What happens meanwhile, once a job is being done: "full disk", "read-only store", "restart".
    """

    phase: str
    signal: str
    delay_s: float = 0.0
    workers: Sequence[str] = ()
    disturbance: str = ""


@dataclass(kw_only=True)
class Campaign:
    """A study that is killed over and over.

    Args:
        folder: Its study file, data and artifacts.
        url: Its database.
        server: The server of the database, if it has one.
        skewed_clock: What makes the clocks of processes wrong, or None without a C compiler.
        kills: (phase, signal, "process" or "worker") -> how many were sent.
        disturbances: Which took place.
    """

    folder: Path
    url: str
    server: PostgresServer | None
    skewed_clock: Path | None
    kills: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    disturbances: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._clocks = itertools.cycle(_CLOCK_OFFSETS_S)
        self._log, self._output = self.folder / "kills.txt", self.folder / "output.txt"
        preloaded = {"LD_PRELOAD": str(self.skewed_clock)} if self.skewed_clock is not None else {}
        self._processes = subprocess.Popen(
            [sys.executable, "-m", "tests.interrupted"],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **preloaded},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process that begins the others."""
        self._processes.communicate(timeout=_LONGEST_S)

    def run(self, steps: Sequence[Step]) -> None:
        """All steps, then to the end; then the report, killed while it is written."""
        command = ("run", "study.toml", "--workers", "1", "--storage", self.url)
        for step in steps:
            if step.phase != "report":
                self._step(step, *command)
        self.succeed(*command)
        assert "all is done" in self.succeed(*command)
        report = ("report", "--study-name", NAME, "--out", "report.html", "--storage", self.url)
        for step in steps:
            if step.phase == "report":
                self._step(step, *report)
                assert not (self.folder / "report.html").exists() or _is_whole(self.folder / "report.html")
        self.succeed(*report)
        assert _is_whole(self.folder / "report.html")

    def _step(self, step: Step, *words: str) -> None:
        interrupt = Interrupt(
            phase=step.phase,
            signal=step.signal,
            delay_s=step.delay_s,
            workers=step.workers,
            log=str(self._log),
        )
        before = len(self._noted())
        for _ in range(3):  # a command that a disk or a server fails ends with one line: it is then given again
            self._begin(words, interrupt)
            if step.disturbance:
                self._disturb(step.disturbance)
            code, output = self._end()
            if len(self._noted()) > before:
                break
            assert code == 1, f"{step} was not reached: {code}: {output}"
            assert "cannot be used" in output.strip().splitlines()[-1], output
            assert "Traceback" not in output, output
        noted = [tuple(line.split()) for line in self._noted()[before:]]
        assert noted[-1:] == [(step.phase, step.signal, "process")], f"{step}: {noted}: {output}"
        ends = {"KILL": -signal.SIGKILL, "TERM": -signal.SIGTERM, "INT": 130}
        assert code == ends[step.signal], f"{step}: {code}: {output}"
        self.kills.update((phase, name, who) for phase, name, who in noted)

    def _noted(self) -> list[str]:
        return self._log.read_text().splitlines() if self._log.exists() else []

    def succeed(self, *words: str) -> str:
        """What a command prints that nothing disturbs."""
        self._begin(words, None)
        code, output = self._end()
        assert code == 0, output
        return output

    def _begin(self, words: Sequence[str], interrupt: Interrupt | None) -> None:
        command = {
            "words": words,
            "interrupt": asdict(interrupt) if interrupt is not None else None,
            "environment": {"AVATAR_TEST_CLOCK_OFFSET_S": str(next(self._clocks))},
            "output": str(self._output),
        }
        assert self._processes.stdin is not None
        self._processes.stdin.write(json.dumps(command) + "\n")
        self._processes.stdin.flush()

    def _end(self) -> tuple[int, str]:
        """Exit code, or the signal's number, negative; and what was printed."""
        assert self._processes.stdout is not None
        code = int(self._processes.stdout.readline())
        return code, self._output.read_text()

    def _disturb(self, disturbance: str) -> None:
        """Wait for a job that is being done, and let it happen."""
        storage = self.folder / "storage"
        if disturbance == "restart" and self.server is None:
            return
        if disturbance == "full disk" and not storage.is_mount():
            return
        queue = JobQueue(open_storage(self.url), distilled_name(NAME))
        while not queue.running():
            time.sleep(0.02)
        with {"full disk": _full_disk, "read-only store": _read_only}.get(disturbance, self._restart)(storage):
            time.sleep(HELD_S)
        self.disturbances.add(disturbance)

    @contextlib.contextmanager
    def _restart(self, storage: Path) -> Iterator[None]:
        assert self.server is not None
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()


@contextlib.contextmanager
def _full_disk(storage: Path) -> Iterator[None]:
    """Fill the small file systems of the database and of the artifacts to the last byte."""
    fillers = [storage / "filler", storage / "artifacts/filler"]
    for filler in fillers:
        with filler.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
            while True:
                stream.write(b"\0" * 4096)
    try:
        yield
    finally:
        for filler in fillers:
            filler.unlink()


@contextlib.contextmanager
def _read_only(storage: Path) -> Iterator[None]:
    """A file system of its own is mounted read-only; else the folder's rights forbid to write."""
    store = storage / "artifacts"
    if not store.is_mount():
        store.chmod(0o555)
        yield
        store.chmod(0o755)
        return
    while subprocess.run(("mount", "-o", "remount,ro", str(store)), capture_output=True, check=False).returncode:
        time.sleep(0.01)  # a file of it is being written
    try:
        yield
    finally:
        subprocess.run(("mount", "-o", "remount,rw", str(store)), check=True)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A small file system of its own on a folder, where this user may mount one."""
    folder.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", f"size={_DISK_BYTES}", "tmpfs", str(folder))
    is_mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield
    finally:
        if is_mounted:
            subprocess.run(("umount", "--lazy", str(folder)), check=True)


def skewed_clock(folder: Path) -> Path | None:
    """Compile what shifts the clock of a process, where there is a C compiler."""
    library, source = folder / "skewed_clock.so", Path(__file__).with_name("skewed_clock.c")
    with contextlib.suppress(OSError):
        subprocess.run(("cc", "-shared", "-fPIC", "-o", str(library), str(source)), check=True)
        return library
    return None


def _is_whole(page: Path) -> bool:
    return page.read_text().rstrip().endswith("</html>")
