"""Carbon is energy times a country's grid; the oracle is codecarbon's own reader of its table."""

from __future__ import annotations

import subprocess
import sys

import pytest
from codecarbon.input import DataSource

from avatar_optuna.carbon import carbon_g, grid_intensity_g_per_kwh, is_known_country
from avatar_optuna.exceptions import InputError


@pytest.mark.parametrize("country", ["FRA", "POL", "DEU"])
def test_carbon_is_energy_times_the_country_s_grid(country: str) -> None:
    table = DataSource().get_global_energy_mix_data()
    assert grid_intensity_g_per_kwh(country) == table[country]["carbon_intensity"]
    assert carbon_g(3_600_000.0, country) == pytest.approx(table[country]["carbon_intensity"])


def test_an_unknown_country_is_refused() -> None:
    assert not is_known_country("XYZ")
    with pytest.raises(InputError, match=r"measurement\.country must be .* got 'XYZ'"):
        carbon_g(1.0, "XYZ")


def test_the_table_is_read_without_codecarbon_s_weight() -> None:
    code = "import sys, avatar_optuna.carbon as c; c.carbon_g(1.0, 'FRA'); print('codecarbon' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "False"
