"""The section `[indicator]`."""

from __future__ import annotations

from dataclasses import dataclass

from avatar_optuna.settings._rules import whole_number
from avatar_optuna.settings._section import Section, setting


@dataclass(frozen=True, kw_only=True)
class IndicatorSettings(Section):
    """`[indicator]`: how many students are distilled, for how many epochs, to fit the effectiveness indicator."""

    samples: int = setting(whole_number(4, 10_000), 20)
    epochs: int = setting(whole_number(1, 1000), 3)
