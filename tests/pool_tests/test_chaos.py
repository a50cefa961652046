"""Short chaos tests: `benchmarks/chaos.py` has the long one, with real distillations."""

from __future__ import annotations

from pathlib import Path

import pytest

from avatar_optuna.pool import Pool, PoolTiming
from benchmarks.chaos import Ordeal, endure
from tests.pool_tests.conftest import MakeJobs


@pytest.mark.parametrize(
    ("num_jobs", "kill_every_s", "min_kills"), [(4, 3.0, 1), pytest.param(10, 1.0, 3, marks=pytest.mark.slow)]
)
def test_nothing_is_lost_and_nothing_twice(
    num_jobs: int,
    kill_every_s: float,
    min_kills: int,
    pool: Pool,
    jobs: MakeJobs,
    storage_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AVATAR_TEST_EPOCH_S", "0.3")
    server = request.getfixturevalue("postgres_server") if "postgresql" in storage_url else None
    pool.enqueue(jobs(num_jobs, epochs=4))
    outcome = endure(
        storage_url,
        ordeal=Ordeal(workers=3, kill_every_s=kill_every_s, down_s=1.0),
        server=server,
        executor="tests.pool_tests.executors:Epochs",
        folder=tmp_path,
        timing=PoolTiming(heartbeat_interval_s=0.5, grace_period_s=5.0, poll_interval_s=0.1),
        limit_s=120,
    )
    assert outcome.kills >= min_kills
