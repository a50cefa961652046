"""Every service's very command, as local processes against a real PostgreSQL server, until the study has its front."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy_tests.compose import LocalService, load_compose
from tests.deploy_tests.servers import ROOT, ConfiguredServer, free_port

STUDY = """name = "deployed"
[task]
kind = "vulnerability-prediction"
data = "."
[teacher]
epochs = 1
max_sequence_length = 32
[teacher.architecture]
vocab_size = 300
num_hidden_layers = 1
hidden_size = 16
intermediate_size = 32
num_attention_heads = 2
[space]
vocab_size = { low = 100, high = 300 }
num_hidden_layers = { low = 1, high = 2 }
hidden_size = { low = 8, high = 16 }
intermediate_size = { low = 16, high = 32 }
num_attention_heads = [1, 2]
max_sequence_length = [32]
[indicator]
samples = 4
epochs = 1
[search]
n_trials = 24
population_size = 8
[distillation]
epochs = 1
students = 2
[measurement]
repeats = 5
audit = false
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "deployed.toml").write_text(STUDY)
    for split, count in (("train", 40), ("valid", 16), ("test", 16)):
        rows = [
            {"idx": i, "func": f"int {split}{i}(int a) {{ {'free(a);' * (i % 2)} return a + {i}; }}", "target": i % 2}
            for i in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


class Deployment:
    """The services of `docker-compose.yml`, each begun with its own command and environment."""

    def __init__(self, folder: Path, data: Path) -> None:
        self._folder, self._data = folder, data
        self._running: list[subprocess.Popen[bytes]] = []
        database = load_compose(self._variables({}))["services"]["database"]
        placed = LocalService(service=database, volumes=folder, database="")
        self.server = ConfiguredServer(placed.command)
        applied = self.server.apply_roles()  # the image applies docker-entrypoint-initdb.d at its first start
        assert applied.returncode == 0, applied.stderr
        passwords = {**self.server.passwords, "POSTGRES_PASSWORD": self.server.superuser_password}
        self.services: dict[str, Any] = load_compose(self._variables(passwords))["services"]

    def _variables(self, passwords: Mapping[str, str]) -> dict[str, str]:
        names = ("POSTGRES_PASSWORD", "AVATAR_OWNER_PASSWORD", "AVATAR_WORKER_PASSWORD", "AVATAR_READER_PASSWORD")
        study = {"AVATAR_DATA": str(self._data), "STUDY_FILE": "/data/deployed.toml", "STUDY_NAME": "deployed"}
        return {**dict.fromkeys(names, "-"), **passwords, **study}

    def local(self, name: str) -> LocalService:
        database = f"127.0.0.1:{self.server.port}"
        return LocalService(service=self.services[name], volumes=self._folder, database=database)

    def environment(self, name: str) -> dict[str, str]:
        programs = [str(Path(sys.executable).parent), str(self.server.bin)]
        search = {"PATH": os.pathsep.join([*programs, os.environ["PATH"]]), "PYTHONPATH": str(ROOT)}
        return {**os.environ, **search, "PGPORT": str(self.server.port), **self.local(name).environment}

    def start(self, name: str, command: Sequence[str] | None = None, **more: str) -> subprocess.Popen[bytes]:
        words = [*(command or self.local(name).command)]
        if words[0] == "avatar-optuna":  # the checkout's, whether it is installed or not
            words = [sys.executable, "-m", "avatar_optuna", *words[1:]]
        log = (self._folder / f"{name}-{len(self._running)}.log").open("wb")
        process = subprocess.Popen(
            words, env={**self.environment(name), **more}, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
        )
        self._running.append(process)
        return process

    def finish(self, name: str, **more: Any) -> None:
        process = self.start(name, **more)
        assert process.wait(timeout=200) == 0, self.logs()

    def logs(self) -> str:
        return "\n".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self._folder.glob("*.log")))

    def front(self) -> dict[str, Any]:
        words = [sys.executable, "-m", "avatar_optuna", "front", "--study-name", "deployed", "-f", "json"]
        result = subprocess.run(
            words, env=self.environment("dashboard"), cwd=self._folder, capture_output=True, check=True
        )
        return dict(json.loads(result.stdout))

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                process.terminate()
        codes = [process.wait(timeout=60) for process in self._running]
        assert not any(code == -signal.SIGKILL for code in codes)

    def delete(self) -> None:
        for process in self._running:
            process.kill()
        self.server.delete()


class _Cluster:
    """Pods of `deploy/kubernetes.yaml` and tasks of `deploy/slurm.sh`, with the database of a deployment."""

    def __init__(self, deployment: Deployment, *, study: Path, programs: Path) -> None:
        self._deployment, self._study = deployment, str(study)
        programs.mkdir()
        program = programs / "avatar-optuna"  # the checkout's, whether it is installed or not
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m avatar_optuna "$@"\n')
        program.chmod(0o755)
        self._path = f"{programs}{os.pathsep}{os.environ['PATH']}"

    def pod(self, index: int) -> subprocess.Popen[bytes]:
        job = yaml.safe_load((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8"))
        command = job["spec"]["template"]["spec"]["containers"][0]["command"]
        study = {"STUDY_FILE": self._study, "STUDY_NAME": "deployed"}
        return self._start(command, JOB_COMPLETION_INDEX=str(index), **study)

    def task(self, index: int) -> subprocess.Popen[bytes]:
        command = ["bash", str(ROOT / "deploy/slurm.sh"), self._study, "deployed"]
        array = {"SLURM_ARRAY_JOB_ID": "1", "SLURM_ARRAY_TASK_MAX": "1"}
        return self._start(command, SLURM_ARRAY_TASK_ID=str(index), **array)

    def _start(self, command: Sequence[str], **more: str) -> subprocess.Popen[bytes]:
        return self._deployment.start("worker", command=command, PATH=self._path, **more)


@pytest.fixture
def deployment(tmp_path: Path, data: Path) -> Iterator[Deployment]:
    if importlib.util.find_spec("avatar_optuna.cli") is None:
        pytest.skip("needs the command line")
    folder = tmp_path / "volumes"
    folder.mkdir()
    deployment = Deployment(folder, data)
    yield deployment
    deployment.delete()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_services_pods_and_tasks_take_a_study_to_its_front(deployment: Deployment, data: Path, tmp_path: Path) -> None:
    """One study for all: Compose's services begin it, a pod and an array's task help, and each kind ends it."""
    cluster = _Cluster(deployment, study=data / "deployed.toml", programs=tmp_path / "programs")
    healthy = deployment.services["database"]["healthcheck"]["test"]
    assert healthy[0] == "CMD"
    deployment.finish("database", command=healthy[1:])
    deployment.finish("study")
    searcher = deployment.start("searcher")
    workers = [deployment.start("worker"), deployment.start("worker-gpu"), cluster.pod(1), cluster.task(1)]
    assert searcher.wait(timeout=240) == 0, deployment.logs()
    assert [worker.poll() for worker in workers] == [None] * 4, deployment.logs()
    students = deployment.front()["students"]
    assert len(students) >= 2, deployment.logs()
    for first in (cluster.pod(0), cluster.task(0)):  # what a cluster starts again finds that all is done
        assert first.wait(timeout=120) == 0, deployment.logs()
    assert deployment.logs().count("all is done") == 2
    assert deployment.front()["students"] == students
    deployment.finish("backup", command=[str(ROOT / "storage/backup"), str(tmp_path / "backups")])
    (made,) = (tmp_path / "backups").iterdir()
    assert {path.name for path in made.iterdir()} == {"studies.dump", "artifacts.tar"}
    _dashboard(deployment)
    deployment.stop()
    secrets = deployment.server.passwords.values()
    assert not any(password in text for password in secrets for text in (deployment.logs(), deployment.server.log))


def _dashboard(deployment: Deployment) -> None:
    if importlib.util.find_spec("avatar_optuna.dashboard") is None:
        return
    port = str(free_port())
    command = [
        word.replace("8080", port).replace("0.0.0.0", "127.0.0.1") for word in deployment.local("dashboard").command
    ]
    process = deployment.start("dashboard", command=command)
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=5) as answer:
                names = {study["study_name"] for study in json.load(answer)["study_summaries"]}
                assert names == {"deployed", "deployed/distilled"}
                return
        except OSError:
            assert process.poll() is None, deployment.logs()
            time.sleep(0.2)
    raise AssertionError(deployment.logs())
