"""The queue of distillation jobs and the workers that do them: nothing lost, nothing twice."""

from avatar_optuna.pool._identity import this_process
from avatar_optuna.pool._job import ExecutorSettings, JobContext, JobOutcome
from avatar_optuna.pool._patience import Patience, is_passing
from avatar_optuna.pool._processes import DISTILLATION, WorkerProcesses, run_workers
from avatar_optuna.pool._queue import Pool
from avatar_optuna.pool._slots import Slot, parse_devices
from avatar_optuna.pool._status import (
    FailedStatus,
    PoolStatus,
    RunningStatus,
    RunStatus,
    WorkerStatus,
    pool_status,
    status_of,
)
from avatar_optuna.pool._worker import PoolTiming, Worker
