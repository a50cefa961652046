"""Splits of which no function stands in another one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks._normalized import digests_of
from avatar_optuna.tasks._task import SPLITS, Split


def disjoint(splits: Mapping[str, Split], language: str) -> dict[str, Split]:
    """The splits without the inputs of validation and test that hold a copy of an earlier split's function.

    A copy may differ in comments and blanks. Training keeps all that it has.

    Raises:
        InputError: Nothing is left of a split.
    """
    known: set[bytes] = set()
    kept: dict[str, Split] = {}
    for name in SPLITS:
        split = splits[name]
        codes = [digests_of(function, language)["code"] for function in split.functions]
        is_new = np.array([code not in known for code in codes])
        rows = np.flatnonzero(is_new[split.inputs].all(axis=1))
        if not len(rows):
            raise InputError(f'task.split: "disjoint" must leave some inputs of {name}, all hold copies')
        kept[name] = split if len(rows) == len(split) else split.take(rows)
        known.update(codes)
    return kept
