"""How often a classifier changes its label though functions do what they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import Classifier
from avatar_optuna.edits import label_flips
from avatar_optuna.metrics import share_interval
from avatar_optuna.schema import Flips
from avatar_optuna.tasks import Split

_BATCH = 64


def count_flips(
    classifier: Classifier, split: Split, variants: Sequence[Sequence[str]], decision: Decision | None = None
) -> Flips:
    """Count the inputs of a split whose label differs under any of the variants.

    Args:
        variants: Edited texts of all functions of the split, in their order (see `avatar_optuna.edits.edited`).
        decision: How its logits become labels; None: the likeliest counts.
    """
    decision = decision or Decision()

    def labels_of(texts: Sequence[str]) -> npt.NDArray[np.integer[Any]]:
        return decision.labels(classifier.predict_logits(texts, split.inputs, batch_size=_BATCH))

    is_flipped = label_flips(labels_of, labels_of(split.functions), variants)
    return Flips(
        edits=len(variants),
        flipped=int(is_flipped.sum()),
        inputs=len(split),
        interval=share_interval(is_flipped, split.inputs),
    )
