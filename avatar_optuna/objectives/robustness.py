"""Robustness: how often a distilled student keeps its answer when functions are edited that do what they did."""

from __future__ import annotations

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives._kinds import Direction, MeasuredStudent, Source

EDITS = 5


class Robustness:
    """The fraction of validation inputs whose label is the same under each of five edits of their functions.

    Local names change in three of them (names of other functions, letters, numbered names), statements in one, both in
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
        from avatar_optuna.edits import EDITED_LANGUAGES  # every command imports this file, few need a parser

        if language not in EDITED_LANGUAGES:
            raise InputError(
                f"the objective robustness needs functions of {', '.join(EDITED_LANGUAGES)}, got {language!r}"
            )

    def measure(self, student: MeasuredStudent) -> float:
        """The fraction of inputs, from 0 to 1, whose label no edit changes."""
        from avatar_optuna.edits import edited

        labels = student.logits.argmax(axis=1)  # (inputs,)
        is_kept = np.ones(len(labels), dtype=np.bool_)
        for functions in edited(student.functions, student.language, count=EDITS):
            is_kept &= student.predict(functions, student.inputs).argmax(axis=1) == labels
        return float(is_kept.mean())


OBJECTIVE = Robustness()
