"""Small studies and trials for the tests of the storage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from avatar_optuna.storage import Storage
from avatar_optuna.storage._trial_writer import insert_trials, lock_study

DISTRIBUTIONS: dict[str, BaseDistribution] = {
    "tokenizer": CategoricalDistribution(("BPE", "Word")),
    "width": IntDistribution(16, 768, step=8),
    "dropout": FloatDistribution(0.2, 0.5, step=0.1),
    "rate": FloatDistribution(1e-5, 1e-2, log=True),
}


def new_study(storage: BaseStorage, name: str = "s") -> optuna.Study:
    return optuna.create_study(study_name=name, storage=storage, directions=["maximize", "minimize", "minimize"])


def params(width: int = 24) -> dict[str, Any]:
    return {"tokenizer": "Word", "width": width, "dropout": 0.3, "rate": 1e-3}


def complete(width: int = 24, **keywords: Any) -> FrozenTrial:
    keywords = {"values": [0.5, float(width), 1e9], "user_attrs": {"round": 0}} | keywords
    return create_trial(params=params(width), distributions=DISTRIBUTIONS, **keywords)


def pruned(width: int = 768) -> FrozenTrial:
    return create_trial(
        state=TrialState.PRUNED,
        params=params(width),
        distributions=DISTRIBUTIONS,
        constraints={"size_mb <= 3": 1.5, "heads": 0.0},
        user_attrs={"infeasible": "size_mb <= 3 is broken"},
    )


def waiting(key: str, width: int = 24) -> FrozenTrial:
    return create_trial(
        state=TrialState.WAITING,
        params=params(width),
        distributions=DISTRIBUTIONS,
        system_attrs={"fixed_params": params(width)},
        user_attrs={"key": key},
    )


def write(storage: Storage, name: str, trials: Sequence[FrozenTrial]) -> list[int]:
    """Insert trials in one transaction; returns their numbers."""
    study_id = storage.get_study_id_from_name(name)
    with storage.engine.begin() as connection:
        lock_study(connection, study_id)
        ids = insert_trials(connection, study_id, trials)
    return [storage.get_trial(trial_id).number for trial_id in ids]
