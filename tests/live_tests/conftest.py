"""The queue of the pool's tests: a study with jobs that take no learning."""

from tests.pool_tests.conftest import jobs, pool, storage

__all__ = ["jobs", "pool", "storage"]
