"""Carbon from energy: the mean of a country's grid, from the table that codecarbon ships. Needs no network."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from avatar_optuna.exceptions import InputError

JOULES_PER_KWH = 3_600_000.0


def carbon_g(energy_j: float, country: str) -> float:
    """Grams of CO2-equivalent of an amount of energy on a country's mean grid.

    Args:
        energy_j: Joules.
        country: ISO 3166 code of three letters.

    Raises:
        InputError: The table does not know the country.
    """
    return energy_j / JOULES_PER_KWH * grid_intensity_g_per_kwh(country)


def grid_intensity_g_per_kwh(country: str) -> float:
    """Grams of CO2-equivalent a kilowatt-hour, the mean of a country's grid (codecarbon's table).

    Raises:
        InputError: The table does not know the country.
    """
    table = _table()
    if country not in table:
        raise InputError(
            f"measurement.country must be an ISO 3166 code that codecarbon's table knows, such as FRA, got {country!r}"
        )
    return table[country]


@cache
def _table() -> dict[str, float]:
    """Country code to grams a kilowatt-hour."""
    path = files("codecarbon") / "data" / "private_infra" / "global_energy_mix.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {
        code: float(entry["carbon_intensity"])
        for code, entry in document.items()
        if isinstance(entry, dict) and isinstance(entry.get("carbon_intensity"), int | float)
    }
