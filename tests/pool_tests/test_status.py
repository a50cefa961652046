"""What is shown of a pool, at each stage of a small queue."""

from __future__ import annotations

import json
import os
import threading

import optuna
import pytest

from avatar_optuna.cli import main
from avatar_optuna.exceptions import InputError
from avatar_optuna.pool import Pool, pool_status
from avatar_optuna.pool._identity import this_process
from avatar_optuna.schema import distilled_name
from avatar_optuna.storage import JobQueue, WorkerRegistry
from tests.pool_tests.conftest import MakeJobs
from tests.pool_tests.executors import result


def test_it_follows_the_queue(pool: Pool, jobs: MakeJobs, distilled: optuna.Study) -> None:
    assert pool_status(pool.storage, "s").is_finished
    pool.enqueue(jobs(4, epochs=2))
    queue, registry = (kind(pool.storage, distilled_name("s")) for kind in (JobQueue, WorkerRegistry))
    about = {"host": "h", "device": "cpu", "since": "2026-01-01T00:00:00+00:00", "process": this_process()}
    registry.beat("w", about)
    registry.beat("gone", about | {"process": this_process() | {"started": 0}})
    status = pool_status(pool.storage, "s")
    assert (status.queued, status.done, status.jobs_per_minute, status.seconds_to_go) == (4, 0, None, None)
    assert [(worker.worker, worker.job) for worker in status.workers] == [("w", None)]

    done, failed, running = (queue.claim({**about, "worker": "w", "epoch": 1}) for _ in range(3))
    assert done is not None
    assert failed is not None
    assert running is not None
    finished = result([])
    queue.finish(done, finished.values(), user_attributes=finished.attributes(), system_attributes={})
    queue.fail(failed, "disk full", max_retries=0)
    status = pool_status(pool.storage, "s")
    assert (status.queued, status.done, status.is_finished) == (1, 1, False)
    (entry,) = status.running
    assert (entry.number, entry.worker, entry.device, entry.epoch, entry.epochs) == (2, "w", "cpu", 1, 2)
    assert [(f.number, f.key, f.reason, f.attempts) for f in status.failed] == [(1, "front/0/1", "disk full", 1)]
    assert status.workers[0].job == 2
    assert status.jobs_per_minute is not None
    assert status.jobs_per_minute > 0
    assert status.seconds_to_go is not None
    assert json.loads(json.dumps(status.to_dict()))["queued"] == 1
    registry.leave("w")
    assert pool_status(pool.storage, "s").workers == ()


def test_what_the_command_says(
    pool: Pool, jobs: MakeJobs, storage_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A job is "epoch 0 of 3" as soon as it is claimed; `--watch` ends once nothing is left to do."""
    words = ["status", "--study-name", "s", "--storage", storage_url]
    queue = JobQueue(pool.storage, distilled_name("s"))
    pool.enqueue(jobs(2, epochs=3))
    done = queue.claim()
    assert done is not None
    finished = result([])
    queue.finish(done, finished.values(), user_attributes=finished.attributes(), system_attributes={})
    claim = queue.claim({"worker": "w", "host": "h", "device": "cpu", "epoch": 0, "since": "noon"})
    assert claim is not None
    assert main(words) == 0
    first, job = capsys.readouterr().out.splitlines()
    assert first.startswith("s: 0 queued, 1 running, 1 done, ")
    assert job == "  job 1: epoch 0 of 3 on cpu of h, since noon"
    assert main([*words, "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["running"][0]["epochs"] == 3
    threading.Timer(1.0, lambda: queue.fail(claim, "disk full", max_retries=0)).start()
    assert main([*words, "--watch"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert "0 queued, 1 running, 1 done" in said[0]
    assert said[-1] == "  job 1 (front/0/1) failed: disk full"


def test_an_unknown_study_is_refused(pool: Pool) -> None:
    with pytest.raises(InputError, match="'none/distilled' is not in"):
        pool_status(pool.storage, "none")


def test_this_process_is_itself() -> None:
    assert this_process()["pid"] == os.getpid()
