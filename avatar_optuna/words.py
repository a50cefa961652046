"""Figures as people read them, each with its unit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from avatar_optuna.carbon import carbon_g
from avatar_optuna.objectives import OBJECTIVES


def percent(fraction: float) -> str:
    """`69.3 %` of 0.693."""
    return f"{100 * fraction:.1f} %"


def points(fraction: float) -> str:
    """`2.7 points` of 0.027: a difference of percentages."""
    return f"{100 * fraction:.1f} points"


def interval(bounds: Sequence[float]) -> str:
    """`63.9 to 74.2` of (0.639, 0.742)."""
    return f"{100 * bounds[0]:.1f} to {100 * bounds[1]:.1f}"


def signed_interval(bounds: Sequence[float]) -> str:
    """`-1.0 to +7.1` of (-0.01, 0.071): percentage points."""
    return f"{100 * bounds[0]:+.1f} to {100 * bounds[1]:+.1f}"


def figure(name: str, value: float | None) -> str:
    """The value of an objective in three digits, without its unit: `0.0862` of 86,200 bytes; nothing of None."""
    return _digits(value * OBJECTIVES.get(name).scale) if value is not None else ""


def amount(name: str, value: float) -> str:
    """The same with its unit: `0.0862 MB`."""
    return f"{figure(name, value)} {OBJECTIVES.get(name).unit}"


def span(values: Sequence[Any]) -> str:
    """`1,000 to 2,000` of two ends, `8` of equal ones, a list of anything but numbers."""
    if not all(isinstance(value, int | float) for value in values):
        return ", ".join(map(str, values))
    low, high = (f"{value:,}" if isinstance(value, int) else f"{value:g}" for value in values)
    return f"{low} to {high}" if low != high else low


def joules(energy_j: float) -> str:
    """`0.012 J`, or `3.1 kJ`, or `2.4 kWh`."""
    if energy_j >= 3.6e6:
        return f"{_digits(energy_j / 3.6e6)} kWh"
    return f"{_digits(energy_j / 1e3)} kJ" if energy_j >= 1e3 else f"{energy_j:.3g} J"


def carbon(energy_j: float, country: str) -> str:
    """`1.9 g of CO2-equivalent`, on the mean grid of a country."""
    return f"{carbon_g(energy_j, country):,.3g} g of CO2-equivalent"


def duration(seconds: float) -> str:
    """`8 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def times(ratio: float) -> str:
    """`185x`, `8.2x`."""
    return f"{_digits(ratio)}×"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 student`, `4 students`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}" if words else ""


def _digits(value: float) -> str:
    """Three significant figures at least, never in scientific notation."""
    decimals = 2 if value <= 0 else max(2 - math.floor(math.log10(value)), 0)
    return f"{value:,.{decimals}f}"
