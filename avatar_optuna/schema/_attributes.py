"""Names of attributes, studies and metrics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives import BUILT_IN, EFFECTIVENESS, calibrated, measured, searched

# User attributes of the search study.
SETTINGS = "avatar:settings"  # StudySettings.to_dict()
ARTIFACTS = "avatar:artifacts"  # path or URL of the artifact store
TEACHER = "avatar:teacher"  # TeacherRecord
BASELINE = "avatar:baseline"  # {"valid": metrics, "test": metrics} of TF-IDF + logistic regression
FEASIBLE = "avatar:feasible"  # {"share": ..., "interval": [low, high], "binding": {...}, "ranges": {...}}
INDICATOR = "avatar:indicator"  # + ":0", ":1"...: the indicator of a round, as its JSON object
ATTAINED = "avatar:attained"  # + ":0"...: {"share": ..., "method": ...} of the attainable hypervolume
COST_MODELS = {  # by objective, such as "avatar:latency_model" of `latency_ms`: its calibrated CostModel
    name: f"avatar:{name.rpartition('_')[0]}_model" for name in BUILT_IN if name in calibrated(BUILT_IN)
}
AUDIT = "avatar:audit"  # Audit
REFERENCE = "avatar:reference"  # the CodeBERT architecture: {"parameters", "size_bytes", "flops", "latency": [...]}
EDITS = "avatar:edits"  # training functions, and how many of them cannot be edited
COMPARISON = "avatar:comparison"  # students, teacher and CodeBERT timed side by side (Comparison)
POWER = "avatar:power"  # EstimatedPower, where the device has no counter
COST = "avatar:cost"  # StudyCost
PROVENANCE = "avatar:provenance"  # {"versions", "commit", "host", "system", "begun_utc", "licenses"}
DATA_AUDIT = "avatar:data_audit"  # DataAudit, without baselines
DATA = "avatar:data"  # {"fingerprint": SHA-256, "inputs": {"train": ..., "valid": ..., "test": ...}}

# User attributes of a trial of the search study.
ROUND = "round"  # which round of the search drew it, from 0
GENERATION = "generation"  # which generation of the round, from 0
PREDICTED_STD = "predicted_std"  # standard deviation of the predicted effectiveness
INFEASIBLE = "infeasible"  # why a draw was PRUNED, as a sentence

# User attributes of a job.
FAMILY = "family"  # of a job's student, where it is another than the default
KEY = "key"
PROGRESS = "progress"  # while RUNNING: {"epoch", "worker", "host", "device", "since"}
CURVE = "curve"  # until it is finished: [epoch, the study's metric on validation] of the epochs that were trained
FAILED = "failed"  # why the job failed, as a sentence
ATTEMPTS = "attempts"  # how many times it was begun
ERRORS = "errors"  # why each failed attempt failed, one sentence each
EARLIER = "earlier_attempts"  # [begun, ended] of each attempt before the last, ISO 8601 in UTC
LOSSES = "losses"  # how many workers it lost since it last finished an epoch
CONTINUES = "continues"  # the checkpoint of another job that it goes on from
CHECKPOINT = "checkpoint"  # the last epoch's checkpoint in the artifact store

Purpose = Literal["indicator", "front"]

_DISTILLED = ("effectiveness", "size_bytes", "latency_ms")


def num_rounds(attributes: Mapping[str, Any], wanted: int) -> int:
    """Rounds of a study: those that its settings want, and those that it began because time was left."""
    begun = (int(name.rpartition(":")[2]) + 1 for name in attributes if name.startswith(f"{INDICATOR}:"))
    return max([wanted, *begun])


def distilled_name(study_name: str) -> str:
    """Name of the study that holds the distillation jobs of a search study."""
    return f"{study_name}/distilled"


def metric_names(objectives: tuple[str, ...]) -> list[str]:
    """Metric names of the search study: what is predicted says so."""
    return ["predicted_effectiveness" if name == EFFECTIVENESS else name for name in searched(objectives)]


def distilled_metric_names(objectives: tuple[str, ...]) -> list[str]:
    """Metric names of the study of jobs: three that every study measures, then its measured objectives."""
    return [*_DISTILLED, *measured(objectives)]


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of those packages that are installed."""
    versions = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def refuse_foreign(study_name: str, names: Collection[str], attributes: Mapping[str, Any]) -> None:
    """Refuse a study that avatar_optuna did not make.

    Args:
        study_name: The study, without "/distilled".
        names: Of all studies in the database.
        attributes: User attributes of the study.

    Raises:
        InputError: There is none of this name, or another program made it.
    """
    if study_name not in names:
        known = ", ".join(sorted(name for name in names if not name.endswith("/distilled"))) or "none"
        raise InputError(f"--study-name must be a study of the database, got {study_name!r}; it holds: {known}")
    if SETTINGS not in attributes or distilled_name(study_name) not in names:
        raise InputError(
            f"--study-name must be a study made by avatar-optuna, got {study_name!r}, made by another program"
        )
