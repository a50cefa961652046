"""The calibrated predictors that a study keeps, for figures that have no formula, each of one device."""

from __future__ import annotations

from avatar_optuna.predictor import CostPredictor
from avatar_optuna.records import ENERGY_MODEL, LATENCY_MODEL
from avatar_optuna.study._open import AvatarStudy

_KEYS = {"latency_ms": LATENCY_MODEL, "energy_j": ENERGY_MODEL}


def stored_predictors(study: AvatarStudy) -> dict[str, CostPredictor]:
    """By figure: `latency_ms`, `energy_j`.

    Raises:
        InputError: What stands there is no predictor.
    """
    stored = study.attributes
    return {name: CostPredictor.from_json(stored[key]) for name, key in _KEYS.items() if key in stored}


def store_predictor(study: AvatarStudy, predictor: CostPredictor) -> None:
    """Keep a predictor; it is what the study's feasibility and values are made with from then on."""
    study.set_attribute(_KEYS[predictor.quantity], predictor.to_json())
