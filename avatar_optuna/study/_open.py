"""Create a study, or open one that is there; refuse settings that would make its trials mean something else."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import optuna

from avatar_optuna.codec import StoredT, read_stored
from avatar_optuna.cost_model import CostModel
from avatar_optuna.exceptions import InputError
from avatar_optuna.indicator import StudyIndicator, indicator_kind
from avatar_optuna.objectives import directions, searched
from avatar_optuna.places import artifacts_location
from avatar_optuna.schema import (
    ARTIFACTS,
    COST_MODELS,
    INDICATOR,
    PROVENANCE,
    SETTINGS,
    distilled_metric_names,
    distilled_name,
    metric_names,
    package_versions,
    refuse_foreign,
)
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import Storage, study_attributes
from avatar_optuna.study._sources import source_commit, stated_license
from avatar_optuna.tasks import with_labels

# Settings that a resumed study may change: budgets that add to what is there, and how failures are met.
_MAY_CHANGE = frozenset(
    {
        "search.budget_minutes",
        "search.n_trials",
        "search.rounds",
        "distillation.students",
        "distillation.max_retries",
        "measurement.country",
        "measurement.audit",
        "measurement.repeats",
    }
)
_VERSIONS = ("avatar-optuna", "optuna", "torch", "transformers", "tokenizers", "z3-solver", "scikit-learn", "numpy")


class AvatarStudy:
    """The two studies of one name in one database, and what is known about them.

    Args:
        storage: An open database.
        name: Name of the search study.

    Raises:
        InputError: The database holds no such study, or one that avatar_optuna did not create.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self.storage = storage
        self.name = name
        names = optuna.get_all_study_names(storage)
        attributes = study_attributes(storage, name) if name in names else {}
        refuse_foreign(name, names, attributes)
        self.search = optuna.load_study(study_name=name, storage=storage)
        self.distilled = optuna.load_study(study_name=distilled_name(name), storage=storage)
        self.settings = StudySettings.from_dict(attributes[SETTINGS])
        self.artifacts = str(attributes[ARTIFACTS])

    def read_attributes(self) -> dict[str, Any]:
        """User attributes of the search study, read from the database."""
        return self.search.user_attrs

    def stored(self, kind: type[StoredT], key: str) -> StoredT | None:
        """One attribute as an object, or None where it is not stored yet.

        Raises:
            StoredValueError: It is not what avatar_optuna stores.
        """
        return read_stored(kind, self.read_attributes(), key, study_name=self.name)

    def set_attribute(self, key: str, value: Any) -> None:
        """Store one attribute of the search study: plain JSON values only."""
        self.search.set_user_attr(key, value)


def stored_indicator(study: AvatarStudy, round_: int) -> StudyIndicator | None:
    """Of a round, from 0; None where it is not fitted yet.

    Raises:
        StoredValueError: What is stored is no indicator.
    """
    stored: StudyIndicator | None = study.stored(indicator_kind(study.settings.space), f"{INDICATOR}:{round_}")
    return stored


def stored_cost_models(study: AvatarStudy) -> dict[str, CostModel]:
    """By figure: `latency_ms`, `energy_j`.

    Raises:
        StoredValueError: What is stored is no cost model.
    """
    stored = ((name, study.stored(CostModel, key)) for name, key in COST_MODELS.items())
    return {name: cost_model for name, cost_model in stored if cost_model is not None}


def store_cost_model(study: AvatarStudy, cost_model: CostModel) -> None:
    """Keep a cost model; it is what the study's feasibility and values are made with from then on."""
    study.set_attribute(COST_MODELS[cost_model.quantity], cost_model.to_dict())


def create_study(settings: StudySettings, storage: Storage, *, artifacts: str | None = None) -> AvatarStudy:
    """The study of these settings: made where it is missing, opened where it is there.

    Safe to interrupt: the settings are written last, and a study without them is completed by the next call.

    Args:
        settings: Of the study.
        storage: The database.
        artifacts: Folder or URL for the students' files; None takes the study's own, or the default for a new one.

    Raises:
        InputError: A study of this name exists, and its settings or its artifacts differ where they must not.
    """
    settings = replace(settings, task=with_labels(settings.task))
    objectives = settings.search.objectives
    search = _created_or_loaded(storage, settings.name, searched(objectives))
    stored = search.user_attrs.get(SETTINGS)
    if stored is not None:
        _refuse_other_settings(settings, StudySettings.from_dict(stored))
        if artifacts is not None and artifacts_location(artifacts) != (known := search.user_attrs[ARTIFACTS]):
            raise InputError(f"--artifacts must be those of the study {settings.name!r}, {known}, got {artifacts}")
    elif search.get_trials(deepcopy=False):
        raise InputError(
            f"name must be new or a study made by avatar-optuna, got {settings.name!r}, made by another program"
        )
    distilled = _created_or_loaded(storage, distilled_name(settings.name), distilled_metric_names(objectives))
    if stored is None:
        search.set_metric_names(metric_names(objectives))
        distilled.set_metric_names(distilled_metric_names(objectives))
        search.set_user_attr(ARTIFACTS, artifacts_location(artifacts))
        search.set_user_attr(PROVENANCE, provenance(settings))
    if stored != settings.to_dict():
        search.set_user_attr(SETTINGS, settings.to_dict())
    return AvatarStudy(storage, settings.name)


def _created_or_loaded(storage: Storage, name: str, objectives: Sequence[str]) -> optuna.Study:
    """Load first: whoever may not make studies may still work on one that is there."""
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage)
    return optuna.create_study(study_name=name, storage=storage, directions=directions(objectives), load_if_exists=True)


def provenance(settings: StudySettings) -> dict[str, Any]:
    """Where and with what a study was begun: versions, commit, host, system, time in UTC, licences where stated."""
    return {
        "versions": {"python": platform.python_version(), **package_versions(_VERSIONS)},
        "commit": source_commit(),
        "host": platform.node(),
        "system": platform.platform(),
        "begun_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "licenses": {
            "data": stated_license(settings.task.data),
            "teacher": stated_license(next(iter(settings.teacher.options.values()), None)),
        },
    }


def require_same_settings(settings: StudySettings, attributes: Mapping[str, Any]) -> None:
    """Refuse (`InputError`) settings with which a stored study cannot be gone on with.

    Args:
        attributes: User attributes of the search study.
    """
    if SETTINGS in attributes:
        _refuse_other_settings(
            replace(settings, task=with_labels(settings.task)), StudySettings.from_dict(attributes[SETTINGS])
        )


def _refuse_other_settings(wanted: StudySettings, stored: StudySettings) -> None:
    differing = [
        f"{key} was {before!r} and is now {now!r}"
        for key, before, now in _differences(stored.to_dict(), wanted.to_dict())
        if key not in _MAY_CHANGE
    ]
    shrunk = stored.search.rounds > wanted.search.rounds or stored.search.n_trials > wanted.search.n_trials
    if shrunk:
        differing.append("search.n_trials and search.rounds may grow, not shrink")
    if differing:
        raise InputError(
            f"the study {stored.name!r} exists with other settings ({'; '.join(differing)}): give this one another name"
        )


def _differences(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any, Any]]:
    differences: list[tuple[str, Any, Any]] = []
    for key in before.keys() | now.keys():
        left, right = before.get(key), now.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            differences += _differences(left, right, f"{prefix}{key}.")
        elif left != right:
            differences.append((f"{prefix}{key}", left, right))
    return sorted(differences, key=lambda difference: difference[0])
