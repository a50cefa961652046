"""A study with an empty queue on a fresh database, and jobs for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import optuna
import pytest

from avatar_optuna.objectives import directions
from avatar_optuna.pool import Pool
from avatar_optuna.schema import ARTIFACTS, SETTINGS, Job, distilled_metric_names, distilled_name
from avatar_optuna.settings import load_study_file
from avatar_optuna.storage import Storage, open_storage
from avatar_optuna.students import Configuration

MakeJobs = Callable[..., list[Job]]


@pytest.fixture
def storage(storage_url: str) -> Storage:
    return open_storage(storage_url)


@pytest.fixture
def pool(storage: Storage, tmp_path: Path) -> Pool:
    return _new_pool(storage, tmp_path)


@pytest.fixture
def sqlite_pool(sqlite_url: str, tmp_path: Path) -> Pool:
    return _new_pool(open_storage(sqlite_url), tmp_path)


def _new_pool(storage: Storage, tmp_path: Path) -> Pool:
    file = tmp_path / "study.toml"
    file.write_text('name = "s"\n[task]\nkind = "python-clones"\n[teacher]\npretrained = "some/model"\n')
    search = optuna.create_study(study_name="s", storage=storage, directions=["maximize", "minimize"])
    search.set_user_attr(SETTINGS, load_study_file(file).to_dict())
    search.set_user_attr(ARTIFACTS, str(tmp_path / "artifacts"))
    optuna.create_study(
        study_name=distilled_name("s"), storage=storage, directions=directions(distilled_metric_names(()))
    )
    return Pool(storage, "s")


@pytest.fixture
def distilled(pool: Pool) -> optuna.Study:
    return optuna.load_study(study_name=distilled_name("s"), storage=pool.storage)


@pytest.fixture
def jobs(student: Configuration) -> MakeJobs:
    def make(count: int, *, prefix: str = "front/0", epochs: int = 2) -> list[Job]:
        return [
            Job(key=f"{prefix}/{index}", purpose="front", hyperparameters=student, epochs=epochs)
            for index in range(count)
        ]

    return make
