"""Labels that change though the functions do what they did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def label_flips(
    labels_of: Callable[[Sequence[str]], npt.NDArray[np.integer[Any]]],
    labels: npt.NDArray[np.integer[Any]],
    variants: Sequence[Sequence[str]],
) -> npt.NDArray[np.bool_]:
    """Of each input, whether its label differs under any of the variants, shape (inputs,).

    Args:
        labels_of: The labels (inputs,) of the inputs, with these texts in place of their functions.
        labels: Those of the functions themselves, shape (inputs,).
        variants: Texts of all functions, in their order.
    """
    is_flipped = np.zeros(len(labels), dtype=np.bool_)
    for texts in variants:
        is_flipped |= labels_of(texts) != labels
    return is_flipped
