"""What the worker pool costs, on jobs that do nothing: `python -m benchmarks.pool`.

SQLite and a PostgreSQL server of its own with its usual settings (commits wait for the disk), real worker processes.
Prints Markdown; the last run stands in `benchmarks/RESULTS.md`.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
import psutil

from avatar_optuna.objectives import directions
from avatar_optuna.pool import Pool, WorkerProcesses, parse_devices
from avatar_optuna.schema import ARTIFACTS, Job, distilled_metric_names, distilled_name
from avatar_optuna.space import SearchSpace
from avatar_optuna.storage import JobQueue, Storage, WorkerRegistry, open_storage
from avatar_optuna.students.transformer import TRANSFORMER
from benchmarks.chaos import new_study as new_real_study
from tests.postgres import PostgresServer

NO_OP = "tests.pool_tests.executors:NoOp"
STUDENT = TRANSFORMER.configure(
    tokenizer="BPE",
    vocab_size=1000,
    num_hidden_layers=12,
    hidden_size=96,
    hidden_act="gelu",
    hidden_dropout_prob=0.2,
    intermediate_size=64,
    num_attention_heads=8,
    attention_probs_dropout_prob=0.2,
    max_sequence_length=400,
    position_embedding_type="absolute",
    learning_rate=1e-3,
    batch_size=32,
)


def new_study(url: str, folder: Path) -> Storage:
    """An empty study `s` with its queue."""
    storage = open_storage(url)
    search = optuna.create_study(study_name="s", storage=storage, directions=["maximize", "minimize", "minimize"])
    search.set_user_attr(ARTIFACTS, str(folder / "artifacts"))
    optuna.create_study(
        study_name=distilled_name("s"), storage=storage, directions=directions(distilled_metric_names(()))
    )
    return storage


def enqueue(storage: Storage, count: int) -> float:
    """Queue jobs; returns the seconds it took."""
    jobs = [Job(key=f"front/0/{i}", purpose="front", hyperparameters=STUDENT, epochs=1) for i in range(count)]
    began = time.perf_counter()
    Pool(storage, "s").enqueue(jobs, space=SearchSpace.paper())
    return time.perf_counter() - began


@contextmanager
def idle_workers(url: str, storage: Storage, folder: Path, count: int) -> Iterator[WorkerProcesses]:
    """That many workers, all begun and waiting for jobs."""
    registry = WorkerRegistry(storage, distilled_name("s"))
    slots = parse_devices("cpu", workers=count)
    with WorkerProcesses(url, "s", slots=slots, cache_dir=folder, executor=NO_OP) as workers:
        while len(registry.workers()) < count:
            workers.keep_alive()
            time.sleep(0.2)
        yield workers


def throughput(url: str, folder: Path, workers: int, jobs: int) -> tuple[float, float, float]:
    """Jobs a second with that many workers, and median and 95th percentile of claim to finish in milliseconds."""
    storage = new_study(url, folder)
    queue = JobQueue(storage, distilled_name("s"))
    with idle_workers(url, storage, folder, workers):
        enqueue(storage, jobs)
        while queue.is_busy():
            time.sleep(0.05)
    durations = queue.durations(limit=jobs)
    spans_ms = sorted((d.done_utc - d.begun_utc).total_seconds() * 1e3 for d in durations)
    assert len(spans_ms) == jobs, "a job was lost"
    seconds = (max(d.done_utc for d in durations) - min(d.begun_utc for d in durations)).total_seconds()
    return jobs / seconds, statistics.median(spans_ms), spans_ms[int(0.95 * len(spans_ms))]


def real_jobs(url: str, folder: Path, workers: int, jobs: int) -> float:
    """Seconds from the first claim to the last result of short real distillations, one core a worker."""
    new_real_study(url, folder, jobs=jobs)
    storage = open_storage(url)
    queue = JobQueue(storage, distilled_name("s"))
    slots = parse_devices("cpu", workers=2)[:workers]  # one core each
    with WorkerProcesses(url, "s", slots=slots, cache_dir=folder / "cache"):
        while queue.is_busy():
            time.sleep(0.2)
    durations = queue.durations(limit=jobs)
    assert len(durations) == jobs, "a job was lost"
    return (max(d.done_utc for d in durations) - min(d.begun_utc for d in durations)).total_seconds()


def queue_length(url: str, folder: Path, count: int) -> tuple[float, float]:
    """Seconds to queue that many jobs, and the median milliseconds of one claim among them."""
    storage = new_study(url, folder)
    seconds = enqueue(storage, count)
    queue = JobQueue(storage, distilled_name("s"))
    claims = []
    for _ in range(50):
        began = time.perf_counter()
        assert queue.claim() is not None
        claims.append((time.perf_counter() - began) * 1e3)
    return seconds, statistics.median(claims)


def idle_load(url: str, folder: Path, workers: int, server: PostgresServer | None, seconds: float) -> list[float]:
    """What idle workers cost: cores kept busy by them, by the server, and the server's transactions a second."""
    storage = new_study(url, folder)
    with idle_workers(url, storage, folder, workers) as processes:
        time.sleep(3)
        theirs = [psutil.Process(pid) for pid in processes.pids]

        def read() -> tuple[float, float, float]:
            return _cpu_seconds(theirs), _server_cpu_seconds(server), _transactions(storage)

        before = read()
        time.sleep(seconds)
        return [(now - then) / seconds for now, then in zip(read(), before, strict=True)]


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def _server_cpu_seconds(server: PostgresServer | None) -> float:
    if server is None:
        return 0.0
    pid = int((server.folder / "postmaster.pid").read_text().splitlines()[0])
    postmaster = psutil.Process(pid)
    return _cpu_seconds([postmaster, *postmaster.children(recursive=True)])


def _transactions(storage: Storage) -> float:
    if storage.engine.name == "sqlite":
        return 0.0
    with storage.engine.connect() as connection:
        statement = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database"
        return float(connection.exec_driver_sql(statement).scalar_one())


def report(arguments: argparse.Namespace, folder: Path, server: PostgresServer) -> None:
    """Measure and print all tables."""
    numbers = iter(range(10**6))

    def fresh(kind: str) -> str:
        return server.new_database() if kind == "PostgreSQL" else f"sqlite:///{folder / str(next(numbers))}.db"

    kinds = ("SQLite", "PostgreSQL")
    print(f"{psutil.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}\n")
    print(f"No-op jobs, {arguments.jobs} a run:\n")
    print("| database | workers | jobs a second | claim to finish, median ms | 95th percentile ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in kinds:
        for workers in arguments.workers:
            rate, median, high = throughput(fresh(kind), folder, workers, arguments.jobs)
            print(f"| {kind} | {workers} | {rate:.0f} | {median:.1f} | {high:.1f} |", flush=True)
    print("\n| database | jobs queued | seconds to queue them | median ms of a claim |")
    print("| --- | ---: | ---: | ---: |")
    for kind in kinds:
        for length in arguments.lengths:
            seconds, claim = queue_length(fresh(kind), folder, length)
            print(f"| {kind} | {length:,} | {seconds:.2f} | {claim:.1f} |", flush=True)
    print("\n16 idle workers, cores kept busy:\n")
    print("| database | by the workers | by the server | transactions a second |")
    print("| --- | ---: | ---: | ---: |")
    for kind in kinds:
        postgres = server if kind == "PostgreSQL" else None
        load = idle_load(fresh(kind), folder, 16, postgres, arguments.idle_s)
        print(f"| {kind} | " + " | ".join(f"{value:.3f}" for value in load) + " |", flush=True)
    print(f"\n{arguments.real_jobs} short real distillations, one core a worker, caches warm:\n")
    print("| database | 1 worker, s | 2 workers, s | speed-up |")
    print("| --- | ---: | ---: | ---: |")
    for kind in kinds:
        real_jobs(fresh(kind), folder, 2, 4)  # the teacher and the tokenizers are made once, and kept
        one, two = (real_jobs(fresh(kind), folder, workers, arguments.real_jobs) for workers in (1, 2))
        print(f"| {kind} | {one:.1f} | {two:.1f} | {one / two:.2f} |", flush=True)


def main() -> None:
    """Read the command line and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=400, help="no-op jobs of each throughput run")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2, 4, 8, 16])
    parser.add_argument("--lengths", type=int, nargs="*", default=[100, 1_000, 10_000])
    parser.add_argument("--real-jobs", type=int, default=40)
    parser.add_argument("--idle-s", type=float, default=20.0, help="seconds over which idle workers are watched")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    server = PostgresServer(durable=True)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            report(arguments, Path(scratch), server)
    finally:
        server.delete()


if __name__ == "__main__":
    main()
