"""Who holds a job. Two claimers come at chosen points; nothing here depends on luck."""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import TrialState

from avatar_optuna.exceptions import JobLostError
from avatar_optuna.storage import Claim, JobQueue, add_missing, open_storage, work_times
from avatar_optuna.storage._database import engine_of
from tests.storage_tests.studies import new_study, waiting


@pytest.fixture
def study(storage_url: str) -> optuna.Study:
    return new_study(open_storage(storage_url))


@pytest.fixture
def queue(storage_url: str, study: optuna.Study) -> JobQueue:
    add_missing(open_storage(storage_url), "s", [waiting(f"job/{index}") for index in range(3)], key="key")
    return JobQueue(open_storage(storage_url), "s")


def _claim(queue: JobQueue) -> Claim:
    claim = queue.claim({"worker": "w"})
    assert claim is not None
    return claim


def test_an_empty_queue_creates_no_trial(storage_url: str, study: optuna.Study) -> None:
    assert JobQueue(open_storage(storage_url), "s").claim() is None
    assert study.trials == []


def test_jobs_are_claimed_in_order_and_once(queue: JobQueue, study: optuna.Study) -> None:
    assert [_claim(queue).trial.number for _ in range(3)] == [0, 1, 2]
    assert queue.claim() is None
    assert {t.state for t in study.trials} == {TrialState.RUNNING}
    assert queue.counts()[TrialState.RUNNING] == 3


def test_two_claimers_at_the_same_point_get_two_jobs(queue: JobQueue, storage_url: str) -> None:
    """Both have chosen the oldest job before either writes: the second must wait, or skip it."""
    chosen = threading.Barrier(2, timeout=1)
    other = JobQueue(open_storage(storage_url), "s")

    def meet(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.lstrip().startswith("UPDATE trials"):
            with suppress(threading.BrokenBarrierError):  # SQLite: the second is still at its BEGIN, as it should
                chosen.wait()

    for each in (queue, other):
        sqlalchemy.event.listen(each._engine, "before_cursor_execute", meet)
    with ThreadPoolExecutor(2) as threads:
        claims = [future.result() for future in [threads.submit(_claim, each) for each in (queue, other)]]
    assert sorted(claim.trial.number for claim in claims) == [0, 1]


def test_many_claimers_share_the_jobs(storage_url: str, study: optuna.Study) -> None:
    add_missing(open_storage(storage_url), "s", [waiting(f"job/{index}") for index in range(40)], key="key")

    def work(_: int) -> list[int]:
        queue, numbers = JobQueue(open_storage(storage_url), "s"), []
        while (claim := queue.claim()) is not None:
            numbers.append(claim.trial.number)
        return numbers

    with ThreadPoolExecutor(4) as threads:
        numbers = [number for part in threads.map(work, range(4)) for number in part]
    assert sorted(numbers) == list(range(40))


def test_plain_optuna_and_we_never_share_a_job(queue: JobQueue, study: optuna.Study, storage_url: str) -> None:
    assert optuna.load_study(study_name="s", storage=storage_url).ask().number == 0
    assert _claim(queue).trial.number == 1


def test_a_finished_job_is_an_ordinary_trial(queue: JobQueue, study: optuna.Study, storage_url: str) -> None:
    claim = _claim(queue)
    queue.set_attributes(claim, {"progress": {"epoch": 1}})
    results = {"valid": {"f1": 0.5}}
    for _ in range(2):  # an acknowledgement may be lost: finishing again changes nothing
        queue.finish(claim, [0.5, 2.0, 3.0], user_attributes=results, system_attributes={"artifacts:x": "{}"})
    trial = optuna.load_study(study_name="s", storage=optuna.storages.RDBStorage(storage_url)).trials[0]
    assert trial.state == TrialState.COMPLETE
    assert trial.values == [0.5, 2.0, 3.0]
    assert trial.params["width"] == 24
    assert trial.user_attrs == {"key": "job/0", "attempts": 1, "valid": {"f1": 0.5}}
    assert trial.system_attrs["artifacts:x"] == "{}"
    assert trial.duration is not None
    assert abs(trial.duration.total_seconds()) < 60
    assert study.trials[1].state == TrialState.WAITING


def test_a_job_handed_back_is_claimed_again(queue: JobQueue, study: optuna.Study) -> None:
    claim = _claim(queue)
    queue.hand_back(claim)
    trial = study.trials[0]
    assert (trial.state, trial.datetime_start) == (TrialState.WAITING, None)
    assert "progress" not in trial.user_attrs
    again = _claim(queue)
    assert (again.trial.number, again.attempt) == (0, 2)


def test_errors_are_retried_and_then_stay_visible(queue: JobQueue, study: optuna.Study) -> None:
    assert not queue.fail(_claim(queue), "disk full", max_retries=1)
    assert study.trials[0].state == TrialState.WAITING
    assert queue.fail(_claim(queue), "still full", max_retries=1)
    trial = study.trials[0]
    assert trial.state == TrialState.FAIL
    assert trial.user_attrs["failed"] == "still full"
    assert trial.user_attrs["errors"] == ["disk full", "still full"]
    assert _claim(queue).trial.number == 1


def test_a_late_worker_changes_nothing(queue: JobQueue, study: optuna.Study) -> None:
    late = _claim(queue)
    (running,) = queue.running()
    assert queue.take_back(running, max_losses=5)
    current = _claim(queue)
    assert current.trial.number == late.trial.number
    before = study.trials
    for attempt in (
        lambda: queue.beat(late),
        lambda: queue.set_attributes(late, {"progress": {}}),
        lambda: queue.hand_back(late),
        lambda: queue.fail(late, "late", max_retries=0),
        lambda: queue.finish(late, [0, 0, 0], user_attributes={}, system_attributes={}),
    ):
        with pytest.raises(JobLostError):
            attempt()
    assert study.trials == before
    queue.beat(current)
    queue.finish(current, [1, 1, 1], user_attributes={}, system_attributes={})
    with pytest.raises(JobLostError):
        queue.finish(late, [0, 0, 0], user_attributes={}, system_attributes={})
    assert study.trials[0].values == [1, 1, 1]


def test_a_job_that_has_beaten_meanwhile_is_left_alone(queue: JobQueue) -> None:
    claim = _claim(queue)
    time.sleep(0.05)
    (before,) = queue.running()
    assert before.heartbeat_age_s >= 0.05
    assert before.progress == {"worker": "w"}
    queue.beat(claim)
    assert not queue.take_back(before, max_losses=5)
    queue.beat(claim)


def test_a_job_that_takes_down_its_workers_fails(queue: JobQueue, study: optuna.Study) -> None:
    for _ in range(3):
        _claim(queue)
        (running,) = queue.running()
        assert queue.take_back(running, max_losses=2)
    assert study.trials[0].state == TrialState.FAIL
    assert "lost 3 times" in study.trials[0].user_attrs["failed"]


def test_heartbeats_are_optunas(queue: JobQueue, study: optuna.Study, storage_url: str) -> None:
    """Plain Optuna, told a grace period, sees which of our jobs is stale."""
    claim = _claim(queue)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        plain = optuna.storages.RDBStorage(storage_url, heartbeat_interval=1, grace_period=2)
    assert plain._get_stale_trial_ids(study._study_id) == []
    with engine_of(open_storage(storage_url)).begin() as connection:
        old = "datetime(heartbeat, '-9 seconds')" if "sqlite" in storage_url else "heartbeat - interval '9 seconds'"
        connection.exec_driver_sql(f"UPDATE trial_heartbeats SET heartbeat = {old}")
    assert plain._get_stale_trial_ids(study._study_id) == [claim.trial_id]
    assert queue.running()[0].heartbeat_age_s >= 8
    plain.record_heartbeat(claim.trial_id)
    assert queue.running()[0].heartbeat_age_s < 5


def test_the_time_of_every_attempt_is_known(queue: JobQueue, storage_url: str) -> None:
    """Handed back, failed, taken back and done: four attempts; that of the worker that died ends when it was heard."""
    times = functools.partial(work_times, open_storage(storage_url), "s")
    queue.hand_back(_claim(queue))
    queue.fail(_claim(queue), "disk full", max_retries=1)
    lost = _claim(queue)
    (job,) = queue.running()
    (begun, heard) = times()[-1]
    assert begun == job.begun_utc
    assert heard >= begun
    assert queue.take_back(dataclasses.replace(job, heartbeat_age_s=0.0), max_losses=3)
    assert len(times()) == 3
    queue.finish(_claim(queue), [0.5, 1.0, 1.0], user_attributes={}, system_attributes={})
    assert len(times()) == 4
    assert all(begun <= ended for begun, ended in times())
    assert lost.attempt == 3
