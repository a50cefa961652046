"""Carbon from energy: the mean of a country's grid, from the table that codecarbon ships. Needs no network."""

from __future__ import annotations

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from avatar_optuna.exceptions import InputError

JOULES_PER_KWH = 3_600_000.0


def carbon_g(energy_j: float, country: str) -> float:
    """Grams of CO2-equivalent of an amount of energy on a country's mean grid (see `grid_intensity_g_per_kwh`)."""
    return energy_j / JOULES_PER_KWH * grid_intensity_g_per_kwh(country)


def grid_intensity_g_per_kwh(country: str) -> float:
    """Grams of CO2-equivalent a kilowatt-hour, the mean of the grid of a country, named by its ISO 3166 code.

    Raises:
        InputError: codecarbon's table does not know the country.
    """
    if not is_known_country(country):
        raise InputError(
            f"measurement.country must be an ISO 3166 code that codecarbon's table knows, such as FRA, got {country!r}"
        )
    return _table()[country]


def is_known_country(country: str) -> bool:
    """Whether the table has a figure for the country's grid; an `InputError` where there is no table."""
    return country in _table()


@cache
def _table() -> dict[str, float]:
    """Country code to grams a kilowatt-hour."""
    spec = find_spec("codecarbon")  # found, not imported: it loads pandas and more
    if spec is None or spec.origin is None:
        raise InputError("measurement.country needs the package codecarbon for its table of grids, and it is missing")
    path = Path(spec.origin).parent / "data" / "private_infra" / "global_energy_mix.json"
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {
        code: float(entry["carbon_intensity"])
        for code, entry in document.items()
        if isinstance(entry, dict) and isinstance(entry.get("carbon_intensity"), int | float)
    }
