"""The queue of distillation jobs and the workers that do them: nothing lost, nothing twice."""

from avatar_optuna.pool._job import ArtifactCheckpoints, Executor, ExecutorSettings, JobContext, JobOutcome
from avatar_optuna.pool._processes import DISTILLATION, WorkerProcesses, run_workers
from avatar_optuna.pool._queue import Pool
from avatar_optuna.pool._slots import Slot, parse_devices
from avatar_optuna.pool._status import FailedStatus, PoolStatus, RunningStatus, WorkerStatus, pool_status
from avatar_optuna.pool._worker import PoolTiming, Worker

__all__ = [
    "DISTILLATION",
    "ArtifactCheckpoints",
    "Executor",
    "ExecutorSettings",
    "FailedStatus",
    "JobContext",
    "JobOutcome",
    "Pool",
    "PoolStatus",
    "PoolTiming",
    "RunningStatus",
    "Slot",
    "Worker",
    "WorkerProcesses",
    "WorkerStatus",
    "parse_devices",
    "pool_status",
    "run_workers",
]
