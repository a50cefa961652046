"""Jobs that take no learning: the queue, the processes, the files and the checkpoints around them are the real ones."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

from avatar_optuna.files import write_text
from avatar_optuna.pool import ExecutorSettings, JobContext, JobOutcome
from avatar_optuna.schema import Job, JobResult

EPOCH_S = float(os.environ.get("AVATAR_TEST_EPOCH_S", "0.05"))


def result(history: list[dict[str, int]], seconds: float = 0.0, effectiveness: float = 0.5) -> JobResult:
    return JobResult(
        effectiveness=effectiveness,
        valid={"accuracy": 0.5},
        test={"accuracy": 0.5},
        size_bytes=1000,
        parameters=250,
        flops=1000,
        latency_ms=1.0,
        latency=(),
        history=tuple(history),
        best_epoch=1,
        seconds=seconds,
        device={"name": "cpu"},
        host="here",
        versions={},
    )


class Epochs:
    """Sleeps an epoch, keeps a checkpoint, and notes in each epoch which process did it in which attempt."""

    def __init__(self, settings: ExecutorSettings) -> None:
        self.settings = settings

    def __call__(self, job: Job, context: JobContext) -> JobOutcome:
        state, folder = context.folder / "state", context.folder / "student"
        folder.mkdir()
        history = json.loads((state / "state.json").read_text()) if context.checkpoints.load(state) else []
        state.mkdir(exist_ok=True)
        while len(history) < job.epochs:
            self.epoch(job, context)
            history.append({"epoch": len(history) + 1, "pid": os.getpid(), "attempt": context.attempt})
            (state / "state.json").write_text(json.dumps(history))
            context.checkpoints.save(state)
            context.report(len(history))
        (folder / "config.json").write_text(json.dumps(job.key))
        return JobOutcome(result=result(history), directory=folder)

    def epoch(self, job: Job, context: JobContext) -> None:
        time.sleep(EPOCH_S)


class Rungs(Epochs):
    """Leaves the checkpoint of a job that is the beginning of a longer training beside its student."""

    def __call__(self, job: Job, context: JobContext) -> JobOutcome:
        outcome = super().__call__(job, context)
        if job.schedule_epochs is not None:
            shutil.copy(context.folder / "state" / "state.json", context.folder / "student")
        return outcome


class Failing(Epochs):
    """Raises in every attempt at a job whose key begins with "fail", in the first at one that begins with "retry"."""

    def epoch(self, job: Job, context: JobContext) -> None:
        if job.key.startswith("fail") or (job.key.startswith("retry") and context.attempt == 1):
            raise OSError(28, "No space left on device")
        super().epoch(job, context)


class Deadly(Epochs):
    """Kills its process in the second epoch of each job's first attempt."""

    def epoch(self, job: Job, context: JobContext) -> None:
        if context.attempt == 1 and (context.folder / "state" / "state.json").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        super().epoch(job, context)


class DeadlyEveryEpoch(Epochs):
    """Ends its process, of its own accord, once in each attempt: after the epoch that it has done and kept."""

    def epoch(self, job: Job, context: JobContext) -> None:
        if not hasattr(self, "has_done_one"):
            self.has_done_one = True
            super().epoch(job, context)
        else:
            os._exit(3)


class DeadAtStart:
    """Ends its process before it could claim anything."""

    def __init__(self, settings: ExecutorSettings) -> None:
        os._exit(3)


class Endless(Epochs):
    """Says that it has begun, and never ends."""

    def epoch(self, job: Job, context: JobContext) -> None:
        write_text(Path(os.environ["AVATAR_TEST_BEGUN"]), str(os.getpid()))  # whole from the moment it exists
        time.sleep(600)


class NoOp:
    """Does nothing at all: what is left is the pool's own cost."""

    def __init__(self, settings: ExecutorSettings) -> None:
        pass

    def __call__(self, job: Job, context: JobContext) -> JobOutcome:
        return JobOutcome(result=result([]))
