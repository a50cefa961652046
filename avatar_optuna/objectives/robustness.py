"""Robustness: how often a distilled student keeps its answer when functions are edited that do what they did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.edits import EDITED_LANGUAGES, edited, label_flips
from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives._kinds import Direction, MeasuredStudent, Source


class Robustness:
    """The fraction of validation inputs whose label is the same under each of some edits of their functions.

    Of five, local names change in three (names of other functions, letters, numbered names), statements in one, both in
    one (see `avatar_optuna.edits`). What is right or wrong plays no part.
    """

    name = "robustness"
    title = "robustness"
    unit = "robust %"
    scale = 100.0
    digits = 1
    direction: Direction = "maximize"
    is_logarithmic = False
    source: Source = "measured"

    def check(self, language: str) -> None:
        """Refuse a task whose functions cannot be edited."""
        if language not in EDITED_LANGUAGES:
            raise InputError(
                f"the objective robustness needs functions of {', '.join(EDITED_LANGUAGES)}, got {language!r}"
            )

    def measure(self, student: MeasuredStudent) -> float:
        """The fraction of inputs, from 0 to 1, whose label no edit changes."""

        def labels_of(texts: Sequence[str]) -> npt.NDArray[np.integer[Any]]:
            return student.labels_of(student.predict(texts, student.inputs))  # (inputs,)

        variants = edited(student.functions, student.language, count=student.edits, cache_dir=student.cache_dir)
        return float(1.0 - label_flips(labels_of, student.labels_of(student.logits), variants).mean())


OBJECTIVE = Robustness()
