"""Fixtures shared by all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import filelock
import hypothesis
import pytest
from sqlalchemy.engine import make_url

from avatar_optuna.storage import open_storage
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER
from tests.finished_study import FinishedStudy, write_study
from tests.postgres import PostgresServer

hypothesis.settings.register_profile("avatar", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("avatar")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files of whole studies: at the end, one process would be alone with the last of them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def student_values() -> dict[str, Any]:
    """Thirteen valid values: the published 3 MB student's shape."""
    return {
        "tokenizer": "BPE",
        "vocab_size": 1000,
        "num_hidden_layers": 12,
        "hidden_size": 96,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.2,
        "intermediate_size": 64,
        "num_attention_heads": 8,
        "attention_probs_dropout_prob": 0.2,
        "max_sequence_length": 400,
        "position_embedding_type": "absolute",
        "learning_rate": 1e-3,
        "batch_size": 32,
    }


@pytest.fixture
def student(student_values: dict[str, Any]) -> Configuration:
    return TRANSFORMER.configure(**student_values)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data and teachers beside a developer's checkout; tests that need it skip elsewhere."""
    folder = Path(__file__).parents[1].parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip("needs the developers' data: no ../shared beside this checkout")
    return folder


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server of this test run."""
    server = PostgresServer(durable=False)
    yield server
    server.delete()


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """The URL of an empty database."""
    return postgres_server.new_database()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a database that is still to be made."""
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_storage_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database: a test with this fixture runs on both kinds."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(scope="session")
def sqlite_schema(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with the schema and nothing in it: a copy is made sooner than another one."""
    path = tmp_path_factory.mktemp("schema") / "studies.db"
    open_storage(f"sqlite:///{path}").engine.dispose()
    return path


@pytest.fixture(scope="session")
def postgres_schema(postgres_server: PostgresServer) -> str:
    """The name of a database with the schema and nothing in it."""
    url = postgres_server.new_database()
    open_storage(url).engine.dispose()
    return str(make_url(url).database)


@pytest.fixture(params=["sqlite", "postgres"])
def storage_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database that holds no study: a test with this fixture runs on both kinds."""
    if request.param == "postgres":
        template = request.getfixturevalue("postgres_schema")
        return str(request.getfixturevalue("postgres_server").new_database(template=template))
    shutil.copyfile(request.getfixturevalue("sqlite_schema"), tmp_path / "studies.db")
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> FinishedStudy:
    """A real finished study of this test run, made once for all its processes and only read by tests."""
    shared_by_workers = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if shared_by_workers else base) / "finished-study"
    study = FinishedStudy(folder=folder)
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "finished").exists():
            folder.mkdir()
            write_study(folder)
            study.process("run", "study.toml", "--workers", "1")
            (folder / "finished").touch()
    return study
