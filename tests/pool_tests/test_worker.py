"""One worker, in this process: what it does with jobs that end, fail, and are taken away."""

from __future__ import annotations

import errno
import io
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import optuna
import pytest
from optuna.artifacts import FileSystemArtifactStore
from optuna.trial import TrialState

from avatar_optuna.pool import ExecutorSettings, JobContext, JobOutcome, Pool, PoolTiming, Worker, parse_devices
from avatar_optuna.pool._worker import extended
from avatar_optuna.schema import Job, JobResult, distilled_name
from avatar_optuna.storage import JobQueue, artifact_store, download_directory, open_storage
from tests.pool_tests import executors
from tests.pool_tests.conftest import MakeJobs

pytestmark = pytest.mark.long

FAST = PoolTiming(heartbeat_interval_s=0.2, grace_period_s=1.0, poll_interval_s=0.05)


def _worker(pool: Pool, tmp_path: Path, executor: Any = executors.Epochs, **keywords: Any) -> Worker:
    (slot,) = parse_devices("cpu")
    settings = ExecutorSettings(storage=pool.storage, study_name="s", cache_dir=tmp_path / "cache", slot=slot)
    keywords = {"until_empty": True, "timing": FAST, "artifacts": artifact_store(tmp_path / "artifacts")} | keywords
    return Worker(storage=pool.storage, study_name="s", execute=executor(settings), slot=slot, **keywords)


def test_jobs_are_done_and_students_stored(pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path) -> None:
    pool.enqueue(jobs(3))
    assert _worker(pool, tmp_path).run() == 3
    for trial, job in zip(distilled.trials, jobs(3), strict=True):
        assert trial.state == TrialState.COMPLETE
        assert Job.from_trial(trial) == job
        result = JobResult.from_trial(trial)
        assert [entry["epoch"] for entry in result.history] == [1, 2]
        out = tmp_path / f"back-{trial.number}"
        download_directory(artifact_store(tmp_path / "artifacts"), result.files, out)
        assert (out / "config.json").read_text() == f'"{job.key}"'
        assert "checkpoint" not in trial.user_attrs
        assert len(optuna.artifacts.get_all_artifact_meta(trial, storage=pool.storage)) == 1
    assert len(list((tmp_path / "artifacts").iterdir())) == 3  # the checkpoints are gone


def test_the_curve_of_a_running_job_is_kept_until_it_is_done(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    """It outlives an attempt: the next goes on where that one was."""
    pool.enqueue(jobs(1, epochs=3))
    seen: list[Any] = []

    class Reporting(executors.Epochs):
        def __call__(self, job: Job, context: JobContext) -> JobOutcome:
            for epoch in range(1 if context.attempt == 1 else 2, 4):
                context.report(epoch, 0.5 + epoch / 100)
                seen.append(distilled.trials[0].user_attrs["curve"])
                if context.attempt == epoch == 1:
                    raise ValueError("the first attempt fails")
            return JobOutcome(result=executors.result([]))

    assert _worker(pool, tmp_path, Reporting).run() == 1
    assert seen == [[[1, 0.51]], [[1, 0.51], [2, 0.52]], [[1, 0.51], [2, 0.52], [3, 0.53]]]
    assert "curve" not in distilled.trials[0].user_attrs


def test_a_long_curve_is_thinned_and_what_is_trained_anew_is_replaced() -> None:
    curve: list[list[float]] = []
    for epoch in range(1, 1001):
        curve = extended(curve, epoch, epoch / 1000)
    assert len(curve) <= 201
    assert curve[-1] == [1000, 1.0]
    assert all(figure == pytest.approx(epoch / 1000) for epoch, figure in curve)
    assert extended([[1, 0.5], [2, 0.6], [3, 0.7]], 2, 0.65) == [[1, 0.5], [2, 0.65]]


def test_a_job_goes_on_from_what_another_one_left(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    """Its own checkpoint comes first; without either it begins anew."""
    (job,) = jobs(1)
    pool.enqueue([replace(job, key="rung", purpose="indicator", epochs=2, schedule_epochs=4)])
    assert _worker(pool, tmp_path, executors.Rungs).run() == 1
    first = JobResult.from_trial(distilled.trials[0])
    left = {"state.json": first.files["state.json"]}
    pool.enqueue(
        [
            replace(job, key="retry/on", epochs=4, continues=left),
            replace(job, key="lost", epochs=4, continues={"state.json": {**left["state.json"], "sha256": "0" * 64}}),
        ]
    )
    assert _worker(pool, tmp_path, executors.Failing).run() == 2
    _, promoted, lost = distilled.trials
    assert Job.from_trial(promoted).continues == left
    histories = [JobResult.from_trial(trial).history for trial in (promoted, lost)]
    assert [[entry["epoch"] for entry in history] for history in histories] == [[1, 2, 3, 4]] * 2
    assert histories[0][:2] == first.history
    assert [entry["attempt"] for entry in histories[0]] == [1, 1, 2, 2]
    assert {entry["attempt"] for entry in histories[1]} == {1}
    out = tmp_path / "again"
    download_directory(artifact_store(tmp_path / "artifacts"), first.files, out)  # it is still there for others


def test_a_failed_attempt_is_retried_and_then_stays_visible(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    pool.enqueue([*jobs(1, prefix="fail"), *jobs(1, prefix="retry"), *jobs(1)])
    assert _worker(pool, tmp_path, executors.Failing, max_retries=2).run() == 2
    failed, retried, plain = distilled.trials
    assert failed.state == TrialState.FAIL
    assert failed.user_attrs["failed"] == "OSError: [Errno 28] No space left on device"
    assert (failed.user_attrs["attempts"], len(failed.user_attrs["errors"])) == (3, 3)
    assert (retried.state, retried.user_attrs["attempts"]) == (TrialState.COMPLETE, 2)
    assert (plain.state, plain.user_attrs["attempts"]) == (TrialState.COMPLETE, 1)


def test_an_unreachable_artifact_store_fails_the_job_not_the_study(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    pool.enqueue(jobs(1))
    worker = _worker(pool, tmp_path, artifacts=FileSystemArtifactStore(tmp_path / "nowhere"), max_retries=1)
    assert worker.run() == 0
    assert distilled.trials[0].state == TrialState.FAIL
    assert "FileNotFoundError" in distilled.trials[0].user_attrs["failed"]
    pool.enqueue(jobs(2))
    assert _worker(pool, tmp_path).run() == 1


def test_a_full_artifact_store_is_waited_for(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    """It takes nothing for the first three writes, in the middle of each of which the disk is full."""

    class FullForAWhile(FileSystemArtifactStore):
        refused = 0

        def write(self, artifact_id: str, content_body: BinaryIO) -> None:
            if self.refused < 3:
                self.refused += 1
                super().write(artifact_id, io.BytesIO(content_body.read(2)))
                raise OSError(errno.ENOSPC, "No space left on device")
            super().write(artifact_id, content_body)

    folder = tmp_path / "artifacts"
    folder.mkdir()
    pool.enqueue(jobs(1))
    timing = replace(FAST, store_patience_s=60.0)
    assert _worker(pool, tmp_path, artifacts=FullForAWhile(folder), timing=timing, max_retries=0).run() == 1
    (trial,) = distilled.trials
    assert (trial.state, trial.user_attrs["attempts"]) == (TrialState.COMPLETE, 1)
    assert {path.name for path in folder.iterdir()} == {
        record["artifact_id"] for record in trial.user_attrs["files"].values()
    }


def test_a_store_that_stays_full_fails_the_job(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    class Full(FileSystemArtifactStore):
        def write(self, artifact_id: str, content_body: BinaryIO) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    pool.enqueue(jobs(1))
    timing = replace(FAST, store_patience_s=0.2)
    assert _worker(pool, tmp_path, artifacts=Full(tmp_path), timing=timing, max_retries=0).run() == 0
    assert distilled.trials[0].user_attrs["failed"] == "OSError: [Errno 28] No space left on device"


def test_what_is_no_job_and_what_is_no_number_fail(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    class NotANumber(executors.Epochs):
        def __call__(self, job: Job, context: JobContext) -> JobOutcome:
            return JobOutcome(result=executors.result([], effectiveness=float("nan")))

    distilled.enqueue_trial({"x": 1})
    pool.enqueue(jobs(1))
    assert _worker(pool, tmp_path, NotANumber, max_retries=0).run() == 0
    assert "no distillation job" in distilled.trials[0].user_attrs["failed"]
    assert "must be numbers" in distilled.trials[1].user_attrs["failed"]


def test_a_silent_workers_job_goes_on_from_its_checkpoint(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    """A worker of another machine does one epoch and is never heard again; late, it changes nothing."""
    pool.enqueue(jobs(1, epochs=3))
    cut_off, gate = threading.Event(), threading.Event()

    class CutOff(executors.Epochs):
        def epoch(self, job: Job, context: JobContext) -> None:
            if (context.folder / "state" / "state.json").exists():
                cut_off.set()
                gate.wait(20)

    silent = _worker(pool, tmp_path, CutOff, timing=PoolTiming(heartbeat_interval_s=600), until_empty=False)
    thread = threading.Thread(target=silent.run)
    thread.start()
    assert cut_off.wait(20)
    began = time.monotonic()
    assert _worker(pool, tmp_path).run() == 1
    assert time.monotonic() - began > 0.5  # not before the grace period
    history = JobResult.from_trial(distilled.trials[0]).history
    assert [(entry["epoch"], entry["attempt"]) for entry in history] == [(1, 1), (2, 2), (3, 2)]
    before = distilled.trials
    silent.stop()
    gate.set()
    thread.join()
    assert distilled.trials == before
    assert len(list((tmp_path / "artifacts").iterdir())) == 1


def test_a_living_worker_keeps_its_job_past_the_grace_period(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    class Slow(executors.Epochs):
        def epoch(self, job: Job, context: JobContext) -> None:
            time.sleep(1.5)

    pool.enqueue(jobs(1, epochs=1))
    workers = [_worker(pool, tmp_path, Slow) for _ in range(2)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert distilled.trials[0].user_attrs["attempts"] == 1


def test_a_job_that_is_taken_away_ends_at_once(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    queue = JobQueue(pool.storage, distilled_name("s"))

    class TakenAway(executors.Epochs):
        def epoch(self, job: Job, context: JobContext) -> None:
            if context.attempt == 1:
                while not queue.take_back(queue.running()[0], max_losses=5):
                    pass  # it has beaten in between
                time.sleep(60)

    pool.enqueue(jobs(1, epochs=1))
    began = time.monotonic()
    assert _worker(pool, tmp_path, TakenAway).run() == 1
    assert time.monotonic() - began < 30
    assert distilled.trials[0].user_attrs["attempts"] == 2


def test_a_late_notice_of_a_lost_job_does_not_end_the_next_one(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path
) -> None:
    claims: list[Any] = []

    class LateNotice(executors.Epochs):
        def epoch(self, job: Job, context: JobContext) -> None:
            claims.append(worker._claim)
            if len(claims) > 1:
                worker._interrupt_lost_job(claims[0])

    pool.enqueue(jobs(2, epochs=1))
    worker = _worker(pool, tmp_path, LateNotice)
    assert worker.run() == 2
    assert {trial.user_attrs["attempts"] for trial in distilled.trials} == {1}


def test_workers_share_jobs_and_leave_no_trace(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path, storage_url: str
) -> None:
    pool.enqueue(jobs(12, epochs=1))
    done: list[int] = []
    pools = [Pool(storage_url, "s") for _ in range(3)]
    threads = [threading.Thread(target=lambda p=p: done.append(_worker(p, tmp_path).run())) for p in pools]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(done) == 12
    assert {trial.user_attrs["attempts"] for trial in distilled.trials} == {1}
    assert not any(key.startswith("avatar:worker") for key in pool.storage.get_study_system_attrs(distilled._study_id))


def test_the_database_may_restart(
    pool: Pool, distilled: optuna.Study, jobs: MakeJobs, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Stopped under a working worker, away for longer than a heartbeat, and back: nobody notices but the log."""
    if pool.storage.engine.name == "sqlite":
        pytest.skip("SQLite has no server")
    server = request.getfixturevalue("postgres_server")
    pool.enqueue(jobs(30, epochs=2))
    worker = threading.Thread(target=_worker(pool, tmp_path).run)
    worker.start()
    time.sleep(0.5)
    server.stop()
    time.sleep(0.7)
    server.start()
    worker.join(timeout=60)
    assert not worker.is_alive()
    assert {trial.state for trial in distilled.trials} == {TrialState.COMPLETE}
    assert max(trial.user_attrs["attempts"] for trial in distilled.trials) <= 2


def test_a_bulk_of_jobs_is_queued_quickly(pool: Pool, jobs: MakeJobs, storage_url: str) -> None:
    """Not a timing: ten thousand jobs are one transaction, and claiming one needs no look at the others."""
    assert pool.enqueue(jobs(2_000)) == 2_000
    assert pool.enqueue(jobs(2_001)) == 1
    claim = JobQueue(open_storage(storage_url), distilled_name("s")).claim()
    assert claim is not None
    assert claim.trial.number == 0
