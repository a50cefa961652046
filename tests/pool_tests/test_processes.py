"""Real worker processes: stopped, killed, orphaned. Which process did what stands in the results."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from avatar_optuna.exceptions import InputError, StudyError
from avatar_optuna.pool import Pool, PoolTiming, Slot, WorkerProcesses, parse_devices, pool_status, run_workers
from avatar_optuna.pool._identity import is_certainly_gone, this_process
from avatar_optuna.pool._processes import _shared
from avatar_optuna.schema import JobResult
from tests.pool_tests.conftest import MakeJobs

pytestmark = pytest.mark.long

FAST = PoolTiming(heartbeat_interval_s=0.5, grace_period_s=3.0, poll_interval_s=0.1)
EXECUTORS = "tests.pool_tests.executors"


def _wait(condition: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.05)


def _processes(url: str, tmp_path: Path, executor: str = "Epochs", count: int = 1) -> WorkerProcesses:
    slots = parse_devices("cpu", workers=count)
    executor = f"{EXECUTORS}:{executor}"
    return WorkerProcesses(url, "s", slots=slots, cache_dir=tmp_path / "cache", executor=executor, timing=FAST)


def test_workers_run_until_the_queue_is_empty(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, storage_url: str, tmp_path: Path
) -> None:
    """Each first attempt kills its process in the second epoch: another process goes on, from the checkpoint."""
    pool.enqueue(jobs(2, epochs=3))
    run_workers(
        WorkerProcesses(
            storage_url,
            "s",
            slots=parse_devices("cpu", workers=2),
            cache_dir=tmp_path,
            until_empty=True,
            executor=f"{EXECUTORS}:Deadly",
            timing=PoolTiming(grace_period_s=600),  # a process that is gone is not waited for
        )
    )
    for trial in distilled.trials:
        assert trial.state == TrialState.COMPLETE
        history = JobResult.from_trial(trial).history
        assert [(entry["epoch"], entry["attempt"]) for entry in history] == [(1, 1), (2, 2), (3, 2)]
        assert history[0]["pid"] != history[1]["pid"]


def _gpu_slots(count: int) -> tuple[Slot, ...]:
    """Slots that share a GPU by their name; what they compute with is the processor."""
    return (Slot(name="cuda:0", device="cpu", threads=1),) * count


def test_four_slots_of_a_gpu_share_a_process() -> None:
    slots = (*_gpu_slots(10), *parse_devices("cpu", workers=2), Slot(name="cuda:1", device="cpu", threads=1))
    shared = [(slot.name, workers) for slot, workers in _shared(slots)]
    assert shared == [("cpu", 1), ("cpu", 1), ("cuda:0", 4), ("cuda:0", 4), ("cuda:0", 2), ("cuda:1", 1)]


def test_slots_of_a_gpu_have_processes_under_the_multi_process_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    assert [workers for _, workers in _shared(_gpu_slots(6))] == [4, 2]
    (tmp_path / "nvidia-cuda-mps-control.pid").touch()
    assert [workers for _, workers in _shared(_gpu_slots(6))] == [1] * 6
    assert [workers for _, workers in _shared(_gpu_slots(64))] == [2] * 32  # the service refuses a 49th context
    assert [workers for _, workers in _shared(_gpu_slots(41))] == [2] * 20 + [1]


def test_students_that_share_a_gpu_are_said_once_and_what_would_serve_them(
    sqlite_pool: Pool,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", str(tmp_path))
    executor = f"{EXECUTORS}:Epochs"
    slots = (*_gpu_slots(6), *parse_devices("cpu", workers=1))
    settings = {"slots": slots, "cache_dir": tmp_path / "cache", "until_empty": True, "executor": executor}
    with WorkerProcesses(sqlite_url, "s", **settings):
        pass
    (tmp_path / "nvidia-cuda-mps-control.pid").touch()
    with WorkerProcesses(sqlite_url, "s", **settings):
        pass
    apart, served = (record.getMessage() for record in caplog.records if "students at a time" in record.getMessage())
    assert apart.startswith("cuda:0: 6 students at a time, up to 4 in a process; ")
    assert "`nvidia-cuda-mps-control -d`" in apart
    assert served == "cuda:0: 6 students at a time, under CUDA's multi-process service"


def test_no_slots_are_no_processes(sqlite_url: str, tmp_path: Path) -> None:
    with WorkerProcesses(sqlite_url, "s", slots=(), cache_dir=tmp_path) as processes:
        assert processes.pids == ()


def test_slots_of_one_gpu_are_workers_of_one_process(
    sqlite_pool: Pool, jobs: MakeJobs, sqlite_url: str, tmp_path: Path
) -> None:
    """The first attempts kill the process: each job goes on from a checkpoint of its own in the next one."""
    sqlite_pool.enqueue(jobs(4, epochs=3))
    run_workers(
        WorkerProcesses(
            sqlite_url,
            "s",
            slots=_gpu_slots(3),
            cache_dir=tmp_path,
            until_empty=True,
            executor=f"{EXECUTORS}:Deadly",
            timing=PoolTiming(grace_period_s=600),
        )
    )
    pids = set()
    for trial in optuna.load_study(study_name="s/distilled", storage=sqlite_pool.storage).trials:
        assert trial.state == TrialState.COMPLETE
        history = JobResult.from_trial(trial).history
        assert [entry["epoch"] for entry in history] == [1, 2, 3]
        pids |= {entry["pid"] for entry in history if entry["epoch"] == 3}
    assert len(pids) < 3


def test_workers_of_one_process_hand_back_their_jobs(
    sqlite_pool: Pool, jobs: MakeJobs, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_pool.enqueue(jobs(3, epochs=10_000))
    executor = f"{EXECUTORS}:Epochs"
    with WorkerProcesses(
        sqlite_url, "s", slots=_gpu_slots(3), cache_dir=tmp_path / "cache", executor=executor, timing=FAST
    ) as processes:
        _wait(lambda: len(pool_status(sqlite_pool.storage, "s").running) == 3, seconds=120)
        (pid,) = processes.pids
        os.kill(pid, signal.SIGTERM)
        _wait(lambda: not processes.pids)
        status = pool_status(sqlite_pool.storage, "s")
        assert (status.queued, status.running, status.workers) == (3, (), ())


def test_a_worker_that_is_asked_says_where_it_is_and_works_on(
    sqlite_pool: Pool,
    jobs: MakeJobs,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AVATAR_TEST_BEGUN", str(tmp_path / "begun"))
    sqlite_pool.enqueue(jobs(1))
    with _processes(sqlite_url, tmp_path, "Endless") as processes:
        _wait((tmp_path / "begun").exists)
        (pid,) = processes.pids
        os.kill(pid, signal.SIGUSR2)
        said: list[str] = []
        _wait(lambda: said.append(capfd.readouterr().err) or "executors.py" in "".join(said))
        assert "_beat_until" in "".join(said)
        assert processes.pids == (pid,)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_hands_the_job_back_at_once(
    sqlite_pool: Pool,
    jobs: MakeJobs,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    monkeypatch.setenv("AVATAR_TEST_BEGUN", str(tmp_path / "begun"))
    sqlite_pool.enqueue(jobs(1))
    with _processes(sqlite_url, tmp_path, "Endless") as processes:
        _wait((tmp_path / "begun").exists)
        assert len(pool_status(sqlite_pool.storage, "s").running) == 1
        (pid,) = processes.pids
        began = time.monotonic()
        os.kill(pid, number)
        _wait(lambda: not processes.pids)
        assert time.monotonic() - began < 10
        status = pool_status(sqlite_pool.storage, "s")
        assert (status.queued, status.running, status.workers) == (1, (), ())
        assert processes.keep_alive() == 0  # it ended as it was told to


def test_workers_that_were_told_to_end_are_begun_anew(
    sqlite_pool: Pool, jobs: MakeJobs, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATAR_TEST_EPOCH_S", "1.0")
    sqlite_pool.enqueue(jobs(1))
    with _processes(sqlite_url, tmp_path) as processes:
        _wait(lambda: pool_status(sqlite_pool.storage, "s").running)
        os.kill(processes.pids[0], signal.SIGTERM)
        _wait(lambda: processes.keep_alive() == 0)
        assert pool_status(sqlite_pool.storage, "s").queued == 1
        processes.begin()
        _wait(lambda: pool_status(sqlite_pool.storage, "s").is_finished)


def test_no_orphan_outlives_a_killed_parent(
    sqlite_pool: Pool, jobs: MakeJobs, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVATAR_TEST_BEGUN", str(tmp_path / "begun"))
    sqlite_pool.enqueue(jobs(1))
    code = (
        "import sys; from avatar_optuna.pool import WorkerProcesses, parse_devices, run_workers;"
        "slots = parse_devices('cpu');"
        "run_workers(WorkerProcesses(sys.argv[1], 's', slots=slots, cache_dir='.', executor=sys.argv[2]))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, sqlite_url, f"{EXECUTORS}:Endless"])
    _wait((tmp_path / "begun").exists)
    worker = {**this_process(), "pid": int((tmp_path / "begun").read_text())}
    worker["started"] = int(Path(f"/proc/{worker['pid']}/stat").read_text().rpartition(")")[2].split()[19])
    assert not is_certainly_gone(worker)
    parent.kill()
    parent.wait()
    _wait(lambda: is_certainly_gone(worker))
    assert pool_status(sqlite_pool.storage, "s").queued == 1


def test_a_worker_that_cannot_begin_says_why_once(sqlite_pool: Pool, sqlite_url: str, tmp_path: Path) -> None:
    with (
        WorkerProcesses(sqlite_url, "other", slots=parse_devices("cpu"), cache_dir=tmp_path) as processes,
        pytest.raises(InputError, match="refused"),
    ):
        _wait(lambda: not processes.keep_alive(), seconds=250)  # a busy machine is no failure


def test_a_worker_that_always_dies_is_given_up(sqlite_pool: Pool, sqlite_url: str, tmp_path: Path) -> None:
    with (
        WorkerProcesses(
            sqlite_url, "s", slots=parse_devices("cpu"), cache_dir=tmp_path, executor="tests.nowhere:Nothing"
        ) as processes,
        pytest.raises(StudyError, match="5 times before it claimed a job"),
    ):
        _wait(lambda: not processes.keep_alive(), seconds=250)  # a busy machine is no failure


def test_a_worker_that_dies_at_its_start_is_given_up_however_slow_its_start_is(
    sqlite_pool: Pool, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is that it never claimed a job, not how long it lived."""
    clock = itertools.count(step=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))

    def keep_alive_to_the_end(processes: WorkerProcesses) -> None:
        while processes.keep_alive():
            time.sleep(0.05)

    with (
        _processes(sqlite_url, tmp_path, "DeadAtStart") as processes,
        pytest.raises(StudyError, match="before it claimed a job"),
    ):
        keep_alive_to_the_end(processes)


@pytest.mark.slow
def test_deaths_after_a_claim_are_not_held_against_a_worker(
    sqlite_pool: Pool, jobs: MakeJobs, sqlite_url: str, tmp_path: Path
) -> None:
    """Each epoch ends a process of its own accord, more often than a worker may die at its start."""
    sqlite_pool.enqueue(jobs(1, epochs=7))
    distilled = optuna.load_study(study_name="s/distilled", storage=sqlite_pool.storage)  # type: ignore[arg-type]

    def is_done_with_workers_alive() -> bool:
        assert processes.keep_alive() == 1
        return distilled.get_trials(deepcopy=False)[0].state is TrialState.COMPLETE

    with _processes(sqlite_url, tmp_path, "DeadlyEveryEpoch") as processes:
        _wait(is_done_with_workers_alive, seconds=250)
    history = JobResult.from_trial(distilled.trials[0]).history
    assert len({entry["pid"] for entry in history}) == 7
