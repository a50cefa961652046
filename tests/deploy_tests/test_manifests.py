"""The Kubernetes manifest and the Slurm script: well formed, and saying what they lack."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy_tests.servers import ROOT

SLURM = ROOT / "deploy/slurm.sh"


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "deploy/kubernetes.yaml").read_text(encoding="utf-8")))


def test_the_manifest_is_valid(job: dict[str, Any]) -> None:
    """The oracle is Kubernetes' own schema, in a package too large to ask for: checked where it is installed."""
    validator = pytest.importorskip("kubernetes_validate")
    validator.validate(job, "1.33", strict=True)


def test_the_job_ends_with_its_searcher(job: dict[str, Any]) -> None:
    spec = job["spec"]
    assert (job["apiVersion"], job["kind"], spec["completionMode"]) == ("batch/v1", "Job", "Indexed")
    assert spec["parallelism"] == spec["completions"] > 1
    assert spec["successPolicy"]["rules"] == [{"succeededIndexes": "0"}]


def test_the_pod_has_no_password_no_root_and_its_volumes(job: dict[str, Any]) -> None:
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    secrets = {e["name"]: e["valueFrom"]["secretKeyRef"]["key"] for e in container["env"] if "valueFrom" in e}
    assert secrets == {"OPTUNA_STORAGE": "url", "PGPASSWORD": "password"}
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == int(re.findall(r"--uid (\d+)", (ROOT / "Dockerfile").read_text())[0])
    assert pod["terminationGracePeriodSeconds"] >= 60


def _slurm(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AVATAR_", "OPTUNA_", "SLURM_"))}
    command = ["bash", str(SLURM), *arguments]
    return subprocess.run(command, env={**kept, **environment}, capture_output=True, text=True, check=False)


def test_the_array_says_what_it_lacks(tmp_path: Path) -> None:
    subprocess.run(["bash", "-n", str(SLURM)], check=True)
    assert "usage: sbatch" in _slurm("study.toml").stderr
    given = {
        "SLURM_ARRAY_TASK_ID": "1",
        "OPTUNA_STORAGE": "postgresql://x@y/z",
        "AVATAR_ARTIFACTS": str(tmp_path),
        "AVATAR_CACHE": str(tmp_path),
    }
    for name in given:
        result = _slurm("study.toml", "name", **{k: v for k, v in given.items() if k != name})
        assert result.returncode == 1
        assert f"{name}: " in result.stderr


def test_the_array_leaves_time_to_hand_a_job_back() -> None:
    options = dict(re.findall(r"^#SBATCH --([\w-]+)(?:=(.*))?$", SLURM.read_text(), re.MULTILINE))
    assert options["signal"] == "B:TERM@60"
    assert "requeue" in options
