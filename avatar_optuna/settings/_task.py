"""The section `[task]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_optuna.settings._rules import optional, some_text, whole_number
from avatar_optuna.settings._section import OpenSection, setting

_RATIO = re.compile(r"(\d{1,2})/(\d{1,2})(?:/(\d{1,2}))?")
_WITHOUT_COPIES = {"disjoint": ("valid", "test"), "unseen": ("valid",)}
"""Splits that lose the inputs with copies of functions of an earlier split."""


def _split(value: Any) -> str | None:
    """`given`, `disjoint` or `unseen`, or two or three percentages, behind which one of the last two may stand."""
    if value == "given" or value in _WITHOUT_COPIES:
        return None
    first, _, last = value.partition(" ") if isinstance(value, str) else ("", "", "")
    found = _RATIO.fullmatch(first) if not last or last in _WITHOUT_COPIES else None
    shares = [int(share) for share in found.groups() if share is not None] if found is not None else []
    if shares and min(shares) > 0 and sum(shares) == 100:
        return None
    return (
        'must be given, disjoint, unseen, or percentages that add up to 100, such as "80/10/10" or "80/10/10 disjoint"'
    )


@dataclass(frozen=True, kw_only=True, init=False)
class TaskSettings(OpenSection):
    """`[task]`: what the model is for.

    `data` is where the data is, for a kind that reads some. A kind may take further keys (see `TaskKind`). `split` is
    "given"; or "disjoint": inputs of validation and test that hold copies of an earlier split's functions are left out;
    or "unseen": those of validation alone, which selects; or percentages by which the rows of one file are split, with
    or without one of these two words behind them.
    """

    kind: str = setting(some_text)
    data: str | None = setting(optional(some_text), None)
    seed: int = setting(whole_number(0), 0)
    max_train: int | None = setting(optional(whole_number(1)), None)
    max_valid: int | None = setting(optional(whole_number(1)), None)
    max_test: int | None = setting(optional(whole_number(1)), None)
    split: str = setting(_split, "given")
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def without_copies(self) -> tuple[str, ...]:
        """Splits whose inputs with copies of an earlier split's functions are left out."""
        return _WITHOUT_COPIES.get(self.split.rpartition(" ")[2], ())

    @property
    def split_shares(self) -> tuple[int, ...]:
        """Percentages of the splits that are made of one file: three, or those of training and validation; or ()."""
        found = _RATIO.match(self.split)
        return tuple(int(share) for share in found.groups() if share is not None) if found is not None else ()
