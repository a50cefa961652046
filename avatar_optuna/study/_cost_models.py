"""The calibrated cost models that a study keeps, for figures that have no formula, each of one device."""

from __future__ import annotations

from avatar_optuna.cost_model import CostModel
from avatar_optuna.schema import ENERGY_MODEL, LATENCY_MODEL
from avatar_optuna.study._open import AvatarStudy

_KEYS = {"latency_ms": LATENCY_MODEL, "energy_j": ENERGY_MODEL}


def stored_cost_models(study: AvatarStudy) -> dict[str, CostModel]:
    """By figure: `latency_ms`, `energy_j`.

    Raises:
        InputError: What stands there is no cost model.
    """
    stored = study.attributes
    return {name: CostModel.from_json(stored[key]) for name, key in _KEYS.items() if key in stored}


def store_cost_model(study: AvatarStudy, cost_model: CostModel) -> None:
    """Keep a cost model; it is what the study's feasibility and values are made with from then on."""
    study.set_attribute(_KEYS[cost_model.quantity], cost_model.to_json())
