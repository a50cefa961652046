"""Putting jobs into the queue."""

from __future__ import annotations

import optuna
import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.pool import Pool
from avatar_optuna.schema import Job
from tests.pool_tests.conftest import MakeJobs


def test_a_job_is_queued_once(pool: Pool, distilled: optuna.Study, jobs: MakeJobs, storage_url: str) -> None:
    assert pool.enqueue(jobs(3)) == 3
    assert Pool(storage_url, "s").enqueue(jobs(5)) == 2
    assert [Job.from_trial(trial) for trial in distilled.trials] == jobs(5)
    assert {trial.state.name for trial in distilled.trials} == {"WAITING"}
    assert pool.enqueue([]) == 0


def test_an_unknown_study_is_refused(storage_url: str, pool: Pool, jobs: MakeJobs) -> None:
    with pytest.raises(InputError, match="'other' is not in"):
        Pool(storage_url, "other").enqueue(jobs(1))
