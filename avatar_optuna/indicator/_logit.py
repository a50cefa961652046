"""Effectiveness on the scale that regressions work on."""

from __future__ import annotations

import numpy as np

from avatar_optuna.indicator._features import Array

_CLIP = 0.005
"""Effectiveness is kept this far from 0 and 1, where the logit has no end."""


def logit(effectiveness: Array) -> Array:
    """Of fractions, kept from 0.005 to 0.995."""
    clipped = np.clip(effectiveness, _CLIP, 1 - _CLIP)
    return np.asarray(np.log(clipped / (1 - clipped)))


def logit_variance(effectiveness: Array, errors: Array) -> Array:
    """Variance of the logit of fractions that have these standard errors (delta method)."""
    clipped = np.clip(effectiveness, _CLIP, 1 - _CLIP)
    return np.asarray((errors / (clipped * (1 - clipped))) ** 2)


def sigmoid(logits: Array) -> Array:
    """The inverse of the logit."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))
