"""Splits without the functions that stand in an earlier one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks._normalized import digests_of
from avatar_optuna.tasks._task import SPLITS, Split


def without_copies(splits: Mapping[str, Split], language: str, *, of: Collection[str]) -> dict[str, Split]:
    """The splits, some of them without the inputs that hold a copy of an earlier split's function.

    A copy may differ in comments and blanks.

    Args:
        of: Names of the splits that lose such inputs.

    Raises:
        InputError: Nothing is left of a split.
    """
    known: set[bytes] = set()
    kept: dict[str, Split] = {}
    for name in SPLITS:
        split = splits[name]
        codes = [digests_of(function, language)["code"] for function in split.functions]
        is_new = np.array([code not in known for code in codes])
        rows = np.flatnonzero(is_new[split.inputs].all(axis=1)) if name in of else np.arange(len(split))
        if not len(rows):
            raise InputError(f"task.split must leave some inputs of {name}, all of them hold copies")
        kept[name] = split if len(rows) == len(split) else split.take(rows)
        known.update(codes)
    return kept
