"""Worker processes: one for each slot on a CPU and one for each four slots of a GPU, restarted when they die.

A GPU takes kernels of several processes by turns, but those of several streams of one process at once: four students
that share a card are workers in threads of one process. Each claims, keeps and gives back jobs as if it were alone.
Under CUDA's multi-process service kernels of several processes run at once: then each slot has a process, as long as
the service takes so many.

A worker's settings come through its standard input, so no password stands in a list of processes. The pipe stays open:
when it closes, whoever started the worker is gone, however it went, and the worker hands its job back and ends.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import optuna

from avatar_optuna.exceptions import AvatarError, InputError, StudyError
from avatar_optuna.pool._job import Executor, ExecutorSettings
from avatar_optuna.pool._slots import Slot
from avatar_optuna.pool._worker import PoolTiming, Worker
from avatar_optuna.schema import ARTIFACTS, SETTINGS
from avatar_optuna.storage import artifact_store, open_storage, study_attributes

logger = logging.getLogger(__name__)

DISTILLATION = "avatar_optuna.pool._distillation:Distiller"
"""The executor of real jobs: a class made from `ExecutorSettings`, as "module:name"."""

_STOP_S = 30.0
_DEATHS_AT_START = 5
_SENT_FROM_OUTSIDE = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)
_INPUT_ERROR = 2
_WORKERS_PER_PROCESS = 4  # on a GPU: four captured students fill an H100, and more wait for the interpreter
_PROCESSES_UNDER_SERVICE = 40  # of a GPU: the service refuses the 49th context of one, and not all need be ours
_SERVICE_FOLDER = "/tmp/nvidia-mps"  # where CUDA's multi-process service listens if it is not told otherwise


@dataclass
class _Process:
    slot: Slot
    workers: int
    process: subprocess.Popen[str]
    claimed: int
    deaths_at_start: int = 0

    def has_claimed(self) -> bool:
        """Whether it ever claimed a job: it then writes a byte into a pipe."""
        try:
            return os.read(self.claimed, 1) != b""
        except BlockingIOError:
            return False

    def close(self) -> None:
        os.close(self.claimed)
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


class WorkerProcesses:
    """Worker processes of this machine; leaving the context stops them, and they hand their jobs back.

    Args:
        slots: One process each; without the multi-process service one for each four slots of a GPU, and with it at
            most 40 for each GPU.
        until_empty: Each ends when no job waits or runs.
        executor: Who does the jobs, as "module:name".
        artifacts: The one artifact store that the workers may use; None takes the study's from the database, which
            whoever may write there can set.
    """

    def __init__(
        self,
        storage_url: str,
        study_name: str,
        *,
        slots: Sequence[Slot],
        cache_dir: Path | str,
        until_empty: bool = False,
        executor: str = DISTILLATION,
        timing: PoolTiming | None = None,
        artifacts: str | None = None,
    ) -> None:
        self._slots = tuple(slots)
        self._settings = {
            "storage_url": storage_url,
            "study_name": study_name,
            "cache_dir": str(cache_dir),
            "until_empty": until_empty,
            "executor": executor,
            "timing": asdict(timing or PoolTiming()),
            "artifacts": artifacts,
        }
        self._processes: list[_Process] = []

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run."""
        return tuple(p.process.pid for p in self._processes if p.process.poll() is None)

    def keep_alive(self) -> int:
        """Begin dead workers anew; returns how many run. To be called every second or so.

        Raises:
            StudyError: A worker dies before it has claimed a job, time and again.
            InputError: A worker refused its input; it has said why.
        """
        for entry in list(self._processes):
            status = entry.process.poll()
            if status is None:
                continue
            self._processes.remove(entry)
            has_claimed = entry.has_claimed()
            entry.close()
            if status == 0:
                continue
            if status == _INPUT_ERROR:
                raise InputError("a worker refused what it was given, for the reason above")
            deaths = 0 if has_claimed else entry.deaths_at_start + (status not in _SENT_FROM_OUTSIDE)
            if deaths >= _DEATHS_AT_START:
                raise StudyError(
                    f"a worker on {entry.slot.name} ended {deaths} times before it claimed a job, "
                    f"last with code {status}"
                )
            logger.warning("a worker on %s ended with code %d: begun anew", entry.slot.name, status)
            begun = self._begin(entry.slot, entry.workers)
            begun.deaths_at_start = deaths
            self._processes.append(begun)
        return sum(entry.workers for entry in self._processes)

    def begin(self) -> None:
        """Begin a worker on each slot, where none runs: at first, or after all have ended by themselves."""
        _say_sharing(self._slots)
        try:
            for slot, workers in _shared(self._slots):
                self._processes.append(self._begin(slot, workers))
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Let the workers hand their jobs back and end; those that do not within half a minute are killed."""
        for entry in self._processes:
            if entry.process.poll() is None:
                entry.process.terminate()
        deadline = time.monotonic() + _STOP_S
        for entry in self._processes:
            try:
                entry.process.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                entry.process.kill()
                entry.process.wait()
            entry.close()
        self._processes = []

    def _begin(self, slot: Slot, workers: int) -> _Process:
        claimed, claiming = os.pipe()
        os.set_blocking(claimed, False)
        process = subprocess.Popen(
            [sys.executable, "-m", "avatar_optuna.pool"],
            stdin=subprocess.PIPE,
            env={**os.environ, **slot.environment},
            text=True,
            pass_fds=(claiming,),
        )
        os.close(claiming)
        share = slot.memory_share * workers
        about = {"name": slot.name, "device": slot.device, "threads": slot.threads, "memory_share": share}
        settings = {**self._settings, "slot": about, "workers": workers, "claiming": claiming}
        assert process.stdin is not None
        process.stdin.write(json.dumps(settings) + "\n")
        process.stdin.flush()
        return _Process(slot=slot, workers=workers, process=process, claimed=claimed)


def run_workers(processes: WorkerProcesses) -> None:
    """Run worker processes until they end by themselves or SIGTERM or Ctrl-C comes."""
    stopping = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopping.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with processes:
            while not stopping.is_set() and processes.keep_alive():
                stopping.wait(0.5)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def worker_main() -> int:
    """A worker process: `python -m avatar_optuna.pool`, its settings on standard input. Returns the exit code."""
    settings = json.loads(sys.stdin.readline())
    slot = Slot(**settings["slot"])
    faulthandler.register(signal.SIGUSR2)  # prints where each thread is, also where the interpreter stands still
    logging.basicConfig(format=f"%(asctime)s worker {os.getpid()} on {slot.name}: %(message)s", level=logging.WARNING)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.disable_default_handler()
    try:
        workers = _workers(settings, slot)
        threading.Thread(target=_stop_with_parent, name="parent", daemon=True).start()
        if len(workers) == 1:
            workers[0].run()
        else:
            _run_side_by_side(workers)
    except AvatarError as error:
        logger.error("%s", error)
        return _INPUT_ERROR if isinstance(error, InputError) else 1
    return 0


def _say_sharing(slots: Sequence[Slot]) -> None:
    """Say how students share each GPU that has several slots, and what would give them more of it."""
    how = (
        "under CUDA's multi-process service"
        if _has_service()
        else f"up to {_WORKERS_PER_PROCESS} in a process; under CUDA's multi-process service, which "
        "`nvidia-cuda-mps-control -d` starts, they are faster"
    )
    for name, count in Counter(slot.name for slot in slots if slot.name != "cpu").items():
        if count > 1:
            logger.warning("%s: %d students at a time, %s", name, count, how)


def _shared(slots: Sequence[Slot]) -> list[tuple[Slot, int]]:
    """The slots of a process each, and how many workers it runs: slots of one GPU may share processes."""
    gpus, counts = {slot.name: slot for slot in slots if slot.name != "cpu"}, Counter(slot.name for slot in slots)
    most = {name: _workers_per_process(counts[name]) for name in gpus}
    return [
        *((slot, 1) for slot in slots if slot.name == "cpu"),
        *(
            (gpu, min(most[name], counts[name] - at))
            for name, gpu in gpus.items()
            for at in range(0, counts[name], most[name])
        ),
    ]


def _workers_per_process(slots: int) -> int:
    """Of a GPU with so many slots: four, or under the multi-process service as few as it takes."""
    return math.ceil(slots / _PROCESSES_UNDER_SERVICE) if _has_service() else _WORKERS_PER_PROCESS


def _has_service() -> bool:
    """Whether CUDA's multi-process service runs, under which kernels of several processes run at once."""
    return (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", _SERVICE_FOLDER)) / "nvidia-cuda-mps-control.pid").exists()


def _run_side_by_side(workers: Sequence[Worker]) -> None:
    """Run workers in threads until all have ended; a signal, or the failure of one, makes all hand back their jobs."""
    failures: list[BaseException] = []

    def interrupt(*_: object) -> None:
        for worker in workers:
            worker.interrupt()

    def run(worker: Worker) -> None:
        try:
            worker.run()
        except BaseException as error:
            failures.append(error)
            interrupt()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, interrupt)
    threads = [threading.Thread(target=run, args=(worker,), name=worker.name, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():
            thread.join(timeout=0.5)  # a wait without end would hold signals back
    if failures:
        raise failures[0]


def _workers(settings: Mapping[str, Any], slot: Slot) -> list[Worker]:
    """The workers of this process, each with a connection of its own; they share who does the jobs."""
    study_name: str = settings["study_name"]
    storages = [open_storage(settings["storage_url"], create=False) for _ in range(settings["workers"])]
    attributes = study_attributes(storages[0], study_name)
    if ARTIFACTS not in attributes:
        raise InputError(f"study {study_name!r} was not made by avatar-optuna: it names no artifact store")
    if (own := settings.get("artifacts")) not in (None, attributes[ARTIFACTS]):
        raise InputError(
            f"--artifacts of a worker must be those of the study {study_name!r}, {attributes[ARTIFACTS]}, got {own}"
        )
    module, _, name = settings["executor"].partition(":")
    about = ExecutorSettings(
        storage=storages[0], study_name=study_name, cache_dir=Path(settings["cache_dir"]), slot=slot
    )
    execute: Executor = getattr(importlib.import_module(module), name)(about)
    return [
        Worker(
            storage=storage,
            study_name=study_name,
            execute=execute,
            artifacts=artifact_store(attributes[ARTIFACTS]),
            slot=slot,
            max_retries=attributes.get(SETTINGS, {}).get("distillation", {}).get("max_retries", 2),
            until_empty=settings["until_empty"],
            timing=PoolTiming(**settings["timing"]),
            on_claim=cache(partial(os.write, settings["claiming"], b"1")),  # once: the pipe must not fill up
        )
        for storage in storages
    ]


def _stop_with_parent() -> None:
    """Wait until the pipe from the parent closes, then end as by SIGTERM; a job deaf to that is cut off."""
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_S)
    os._exit(1)
