"""How alike a student and its teacher answer, whatever is right."""

from __future__ import annotations

from typing import Any

import numpy as np

from avatar_optuna.metrics._figures import Answers
from avatar_optuna.metrics._resampling import interval, resampled_means, share_interval


def fidelity(student: Answers, teacher: Answers) -> dict[str, Any]:
    """Figures of the answers of two classifiers to the inputs of one split, each by its own decision.

    Returns:
        `agreement`: the share of inputs that both give the same label. `total_variation`: the mean distance of their
        probabilities, half the sum of the absolute differences over the labels, from 0 to 1 (of two labels, the
        difference of the probability of either). Each has a 95 % interval `NAME_interval` as [low, high]: Wilson's for
        the agreement, which where inputs share functions reaches as far as that of resampled functions, which the
        distance has.
    """
    is_same = student.predictions == teacher.predictions
    distances = (
        np.abs(student.decision.probabilities(student.logits) - teacher.decision.probabilities(teacher.logits)).sum(
            axis=1
        )
        / 2
    )
    inputs = student.split.inputs
    agreement, distance = float(is_same.mean()), float(distances.mean())
    drawn = resampled_means(inputs, distances[:, None])[:, 0]
    return {
        "agreement": agreement,
        "agreement_interval": list(share_interval(is_same, inputs)),
        "total_variation": distance,
        "total_variation_interval": list(interval(drawn, distance)),
    }
