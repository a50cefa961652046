"""The section `[task]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_optuna.settings._rules import optional, some_text, whole_number
from avatar_optuna.settings._section import OpenSection, setting

_RATIO = re.compile(r"(\d{1,2})/(\d{1,2})(?:/(\d{1,2}))?")
_DISJOINT = "disjoint"


def _split(value: Any) -> str | None:
    """`given`, `disjoint`, or two or three percentages, behind which `disjoint` may stand."""
    if value in ("given", _DISJOINT):
        return None
    found = _RATIO.fullmatch(value.removesuffix(f" {_DISJOINT}")) if isinstance(value, str) else None
    shares = [int(share) for share in found.groups() if share is not None] if found is not None else []
    if shares and min(shares) > 0 and sum(shares) == 100:
        return None
    return 'must be given, disjoint, or percentages that add up to 100, such as "80/10/10" or "80/10/10 disjoint"'


@dataclass(frozen=True, kw_only=True, init=False)
class TaskSettings(OpenSection):
    """`[task]`: what the model is for.

    `data` is where the data is, for a kind that reads some. A kind may take further keys (see `TaskKind`). `split` is
    "given", or "disjoint": inputs of validation and test that hold copies of an earlier split's functions are left out;
    or percentages by which the rows of one file are split, with or without "disjoint" behind them.
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
    def is_disjoint(self) -> bool:
        """Whether copies of an earlier split's functions are left out."""
        return self.split.endswith(_DISJOINT)

    @property
    def split_shares(self) -> tuple[int, ...]:
        """Percentages of the splits that are made of one file: three, or those of training and validation; or ()."""
        found = _RATIO.match(self.split)
        return tuple(int(share) for share in found.groups() if share is not None) if found is not None else ()
