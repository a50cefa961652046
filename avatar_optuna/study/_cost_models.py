"""The calibrated cost models that a study keeps, for figures that have no formula, each of one device."""

from __future__ import annotations

from avatar_optuna.cost_model import CostModel
from avatar_optuna.schema import COST_MODELS
from avatar_optuna.study._open import AvatarStudy


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
