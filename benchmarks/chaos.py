"""Workers killed with -9 every few seconds, PostgreSQL crashing in the middle: nothing lost, nothing twice.

`python -m benchmarks.chaos` distils 40 real students with 4 workers on each database; its last figures stand in
`benchmarks/RESULTS.md`. `make test` runs a short version of the same function.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState

from avatar_optuna.exceptions import StorageError
from avatar_optuna.pool import PoolTiming, WorkerProcesses, parse_devices
from avatar_optuna.pool._patience import Patience
from avatar_optuna.records import KEY, JobResult, distilled_name
from avatar_optuna.storage import JobQueue, artifact_store, download_directory, open_storage
from tests.postgres import PostgresServer


@dataclass(frozen=True, kw_only=True)
class Ordeal:
    """What the workers have to bear.

    Args:
        workers: How many work at a time.
        kill_every_s: Mean seconds between two kills.
        restarts: How many times the server crashes and comes back, if there is one.
        down_s: How long it stays away.
        seed: Of the choice of victims.
    """

    workers: int = 4
    kill_every_s: float = 4.0
    restarts: int = 1
    down_s: float = 5.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of it.

    Args:
        seconds: How long it took.
        kills: How many workers were killed.
        attempts: Number of times a job was begun -> number of jobs.
        epochs_inherited: Epochs that were not done again because a checkpoint was there.
    """

    seconds: float
    kills: int
    attempts: dict[int, int]
    epochs_inherited: int


def endure(
    url: str,
    *,
    ordeal: Ordeal,
    server: PostgresServer | None,
    executor: str,
    folder: Path,
    timing: PoolTiming,
    limit_s: float = 3600.0,
) -> Outcome:
    """Work off the queue of the study `s` while workers are killed and the server crashes; then check everything.

    Raises:
        AssertionError: A job is lost, left running, done twice, or lacks an epoch or a file.
    """
    rng = random.Random(ordeal.seed)
    queue = JobQueue(open_storage(url), distilled_name("s"))
    total = sum(queue.counts().values())
    patiently = Patience(lambda: False)
    slots = parse_devices("cpu", workers=ordeal.workers)
    began, kills, restarts = time.monotonic(), 0, 0
    next_kill = began + ordeal.kill_every_s
    workers = WorkerProcesses(url, "s", slots=slots, cache_dir=folder / "cache", executor=executor, timing=timing)
    with workers:
        while patiently(queue.is_busy):
            assert time.monotonic() - began < limit_s, f"not done in {limit_s} s"
            workers.keep_alive()
            done = patiently(queue.counts)[TrialState.COMPLETE]
            if server is not None and restarts < ordeal.restarts and done >= total * (restarts + 1) // (restarts + 2):
                server.stop()
                time.sleep(ordeal.down_s)
                server.start()
                restarts += 1
            if time.monotonic() >= next_kill and workers.pids:
                os.kill(rng.choice(workers.pids), signal.SIGKILL)
                kills += 1
                next_kill = time.monotonic() + ordeal.kill_every_s * rng.uniform(0.5, 1.5)
            time.sleep(0.1)
    return check(url, folder, total=total, kills=kills, seconds=time.monotonic() - began)


def check(url: str, folder: Path, *, total: int, kills: int, seconds: float) -> Outcome:
    """That every job is done once, whole, with files that can be fetched."""
    trials = optuna.load_study(study_name=distilled_name("s"), storage=open_storage(url)).trials
    assert len(trials) == total, f"{len(trials)} trials of {total} jobs"
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}, Counter(trial.state.name for trial in trials)
    assert len({trial.user_attrs[KEY] for trial in trials}) == total, "a job was done twice"
    store = artifact_store(folder / "artifacts")
    inherited = 0
    for trial in trials:
        result = JobResult.from_trial(trial)
        epochs = [entry["epoch"] for entry in result.history]
        assert epochs == list(range(1, trial.user_attrs["epochs"] + 1)), f"job {trial.number} did epochs {epochs}"
        attempts = [entry.get("attempt", 1) for entry in result.history]
        inherited += sum(attempt < trial.user_attrs["attempts"] for attempt in attempts)
        assert result.files
        try:
            download_directory(store, result.files, folder / "checked" / str(trial.number))
        except StorageError as error:
            raise AssertionError(f"job {trial.number}: {error}") from error
    attempts = Counter(trial.user_attrs["attempts"] for trial in trials)
    return Outcome(seconds=seconds, kills=kills, attempts=dict(sorted(attempts.items())), epochs_inherited=inherited)
