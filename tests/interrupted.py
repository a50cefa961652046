"""`avatar-optuna` in processes that are sent signals in a phase of their run: `python -m tests.interrupted`.

The phases are those of the product, and the signals real ones: what is added is who sends them, and when. A process
whose phase ends too soon waits there, before its result is stored. Processes are forked from one that has imported
everything, which takes longer than most phases; what they begin themselves, such as workers, is as ever.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import plotly.graph_objects  # noqa: F401  what is imported late, for all processes to come
import sklearn.linear_model  # noqa: F401
from sqlalchemy.exc import DBAPIError

import avatar_optuna.report
from avatar_optuna.cli import main
from avatar_optuna.indicator import Indicator
from avatar_optuna.pipeline import _comparison, _run, _teacher_phase
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.schema import distilled_name
from avatar_optuna.storage import JobQueue, open_storage
from avatar_optuna.study import FinalModel, RoundsPolicy, SuccessiveHalving
from avatar_optuna.teachers import _fine_tuning

PHASES = (
    *("teacher", "measurement", "samples", "indicator", "search", "distillation", "comparison", "report"),
    *("rungs", "decision"),  # of the policies that train students rung by rung
)
_LONGEST_S = 300.0


@dataclass(frozen=True, kw_only=True)
class Interrupt:
    """When a process is sent which signals.

    Args:
        phase: One of `PHASES`; the first time that it has something to do.
        signal: What the process is sent, by name.
        delay_s: How long after the phase began; of phases with workers, after one of them has claimed a job, or at once
            where it is 0.
        workers: What its worker is sent before, one after the other, each while it does a job.
        log: Each signal is noted there once it is sent: `PHASE SIGNAL process|worker` a line.
    """

    phase: str
    signal: str
    delay_s: float
    workers: Sequence[str]
    log: str


class Interrupter:
    """Sends the signals of an `Interrupt`, from a thread."""

    def __init__(self, interrupt: Interrupt) -> None:
        self._interrupt = interrupt
        self._has_ended = threading.Event()
        self._has_begun = False

    def around(self, phase: str, original: Callable[..., Any]) -> Callable[..., Any]:
        """A function of a phase, in which the signals are sent."""

        def interrupted(*arguments: Any, **keywords: Any) -> Any:
            if self._has_begun or self._interrupt.phase != _phase(phase, arguments):
                return original(*arguments, **keywords)
            self._has_begun = True
            queue = _queue(arguments[0]) if phase == "jobs" else None
            threading.Thread(target=self._send, args=(queue,), daemon=True).start()
            original(*arguments, **keywords)
            self._has_ended.set()
            until = time.monotonic() + _LONGEST_S
            while time.monotonic() < until:
                time.sleep(0.02)  # a signal that comes just before a longer sleep would be seen after it
            raise AssertionError("no signal came")

        return interrupted

    def _send(self, queue: JobQueue | None) -> None:
        for name in self._interrupt.workers:
            if victim := self._wait_for_job(queue):
                self._kill(victim, name, "worker")
                while victim in _children():
                    time.sleep(0.02)
        if self._interrupt.delay_s:
            self._wait_for_job(queue)
            self._has_ended.wait(self._interrupt.delay_s)
        self._kill(os.getpid(), self._interrupt.signal, "process")

    def _wait_for_job(self, queue: JobQueue | None) -> int | None:
        """Wait until a worker does a job; its process id, or None where the phase has ended."""
        while queue is not None and not self._has_ended.is_set():
            with suppress(DBAPIError):  # a full disk, a server that restarts
                workers = {job.progress["process"]["pid"] for job in queue.running()}
                if workers := workers.intersection(_children()):
                    return workers.pop()
            time.sleep(0.02)
        return None

    def _kill(self, pid: int, name: str, who: str) -> None:
        with Path(self._interrupt.log).open("a") as log:
            log.write(f"{self._interrupt.phase} {name} {who}\n")
        os.kill(pid, signal.Signals[f"SIG{name}"])


def _phase(phase: str, arguments: Sequence[Any]) -> str:
    """Jobs are waited for in three phases: their keys tell which."""
    if phase != "jobs":
        return phase
    purposes = {key.partition("/")[0] for key in arguments[1]}
    return next((_PHASES_OF_JOBS[purpose] for purpose in purposes if purpose in _PHASES_OF_JOBS), "distillation")


_PHASES_OF_JOBS = {"indicator": "samples", "rung": "rungs"}


def _queue(workforce: Workforce) -> JobQueue:
    return JobQueue(open_storage(workforce.storage_url), distilled_name(workforce.study.name))


def _children() -> list[int]:
    """The worker processes that this one has begun and that have not ended."""
    pids = [int(pid) for path in Path("/proc/self/task").iterdir() for pid in (path / "children").read_text().split()]
    return [pid for pid in pids if _is_worker(pid)]


def _is_worker(pid: int) -> bool:
    try:
        return "avatar_optuna.pool" in Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended since it was listed
        return False


def install(interrupter: Interrupter) -> None:
    """Put the interrupter around the phases."""
    for holder, name, phase in (
        (_fine_tuning, "_train", "teacher"),
        (_teacher_phase, "teacher_record", "measurement"),
        (Workforce, "_wait", "jobs"),
        (_run, "search", "search"),
        (RoundsPolicy, "next", "decision"),
        (SuccessiveHalving, "next", "decision"),
        (_comparison, "compare", "comparison"),
        (avatar_optuna.report, "write_report", "report"),
    ):
        setattr(holder, name, interrupter.around(phase, getattr(holder, name)))
    for kind in (Indicator, FinalModel):
        kind.fit = staticmethod(interrupter.around("indicator", kind.fit))  # type: ignore[method-assign]


def serve() -> None:
    """Run the commands that come as lines of JSON, a process each; answer each with how its process ended.

    A command is an object: `words`, `interrupt` (or null), `environment`, and `output`, a file for both streams. The
    answer is the exit code, or the number of the signal that ended it, negative.
    """
    for line in sys.stdin:
        command = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _run_command(**command)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run_command(
    words: Sequence[str], interrupt: dict[str, Any] | None, environment: dict[str, str], output: str
) -> NoReturn:
    code = 1
    try:
        stream = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (stream, 1), (stream, 2)):
            os.dup2(source, target)
        os.environ.update(environment)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
        if interrupt is not None:
            install(Interrupter(Interrupt(**interrupt)))
        code = main(words)
    except SystemExit as exit_:
        code = int(exit_.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    serve()
