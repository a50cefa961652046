"""Workers killed with -9 every few seconds, PostgreSQL crashing in the middle: nothing lost, nothing twice.

`python -m benchmarks.chaos` distils 40 real students with 4 workers on each database; its last figures stand in
`benchmarks/RESULTS.md`. `make test` runs a short version of the same function.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import optuna
from optuna.trial import TrialState

from avatar_optuna.exceptions import StorageError
from avatar_optuna.pool import DISTILLATION, Pool, PoolTiming, WorkerProcesses, parse_devices
from avatar_optuna.pool._patience import Patience
from avatar_optuna.schema import KEY, Job, JobResult, distilled_name
from avatar_optuna.settings import load_study_file
from avatar_optuna.storage import JobQueue, artifact_store, download_directory, open_storage
from avatar_optuna.students.transformer import POSITION_EMBEDDING_TYPES, TOKENIZERS, TRANSFORMER
from avatar_optuna.study import create_study
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
    """

    seconds: float
    kills: int
    attempts: dict[int, int]


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
    for trial in trials:
        result = JobResult.from_trial(trial)
        epochs = [entry["epoch"] for entry in result.history]
        assert epochs == list(range(1, trial.user_attrs["epochs"] + 1)), f"job {trial.number} did epochs {epochs}"
        assert result.files
        try:
            download_directory(store, result.files, folder / "checked" / str(trial.number))
        except StorageError as error:
            raise AssertionError(f"job {trial.number}: {error}") from error
    attempts = Counter(trial.user_attrs["attempts"] for trial in trials)
    return Outcome(seconds=seconds, kills=kills, attempts=dict(sorted(attempts.items())))


STUDY = """
name = "s"
[task]
kind = "python-clones"
max_train = 96
max_valid = 48
max_test = 48
[teacher]
epochs = 1
max_sequence_length = 48
[teacher.architecture]
vocab_size = 500
num_hidden_layers = 1
hidden_size = 32
intermediate_size = 64
num_attention_heads = 2
[space]
vocab_size = [500]
max_sequence_length = { low = 32, high = 64 }
[distillation]
epochs = 4
max_retries = 0
[measurement]
repeats = 5
"""


def new_study(url: str, folder: Path, *, jobs: int) -> None:
    """A study of real, short distillations: students of all kinds of tokenizers and positions."""
    file = folder / "study.toml"
    file.write_text(STUDY)
    settings = load_study_file(file)
    storage = open_storage(url)
    study = create_study(settings, storage, artifacts=str(folder / "artifacts"))
    students = [
        TRANSFORMER.configure(
            tokenizer=TOKENIZERS[index % len(TOKENIZERS)],
            vocab_size=500,
            num_hidden_layers=1 + index % 2,
            hidden_size=16 + 8 * (index % 5),
            hidden_act="gelu",
            hidden_dropout_prob=0.2,
            intermediate_size=32,
            num_attention_heads=2,
            attention_probs_dropout_prob=0.2,
            max_sequence_length=32 + index % 32,
            position_embedding_type=POSITION_EMBEDDING_TYPES[index % len(POSITION_EMBEDDING_TYPES)],
            learning_rate=1e-3,
            batch_size=16,
        )
        for index in range(jobs)
    ]
    Pool(study.storage, study.name).enqueue(
        [
            Job(
                key=f"front/0/{index}",
                purpose="front",
                hyperparameters=student,
                epochs=settings.distillation.epochs,
            )
            for index, student in enumerate(students)
        ]
    )


def main() -> None:
    """Read the command line, put both databases to it, print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=40)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kill-every-s", type=float, default=8.0)
    parser.add_argument("--databases", nargs="*", default=["SQLite", "PostgreSQL"])
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ordeal = Ordeal(workers=arguments.workers, kill_every_s=arguments.kill_every_s)
    print("| database | jobs | results | workers killed | server crashes | minutes | jobs by attempts |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | --- |")
    for kind in arguments.databases:
        server = PostgresServer(durable=True) if kind == "PostgreSQL" else None
        try:
            with tempfile.TemporaryDirectory() as scratch:
                folder = Path(scratch)
                url = server.new_database() if server is not None else f"sqlite:///{folder / 'studies.db'}"
                new_study(url, folder, jobs=arguments.jobs)
                outcome = endure(
                    url,
                    ordeal=ordeal,
                    server=server,
                    executor=DISTILLATION,
                    folder=folder,
                    timing=PoolTiming(heartbeat_interval_s=2.0, grace_period_s=15.0),
                )
        finally:
            if server is not None:
                server.delete()
        attempts = ", ".join(f"{count} in {attempt}" for attempt, count in outcome.attempts.items())
        print(
            f"| {kind} | {arguments.jobs} | {arguments.jobs} | {outcome.kills} | {int(server is not None)} | "
            f"{outcome.seconds / 60:.1f} | {attempts} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
