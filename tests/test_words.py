"""Figures as people read them."""

from __future__ import annotations

import pytest

from avatar_optuna import words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.percent(0.6933), "69.3 %"),
        (words.amount("size_bytes", 86_160), "0.0862 MB"),
        (words.amount("size_bytes", 3_000_000), "3.00 MB"),
        (words.amount("flops", 906_100_000), "906 MFLOPs"),
        (words.amount("latency_ms", 0.481), "0.481 ms"),
        (words.times(1345.2), "1,345×"),
        (words.times(16.04), "16.0×"),
        (words.joules(0.01234), "0.0123 J"),
        (words.joules(4_500.0), "4.50 kJ"),
        (words.joules(7.2e6), "2.00 kWh"),
        (words.duration(8.04), "8.0 s"),
        (words.duration(720), "12 min"),
        (words.duration(12_240), "3.4 h"),
        (words.count(1, "student"), "1 student"),
        (words.count(1200, "student"), "1,200 students"),
        (words.listed(["a", "b", "c"]), "a, b and c"),
        (words.amount("latency_ms", 0.0), "0.00 ms"),
    ],
)
def test_figures_read_well(said: str, expected: str) -> None:
    assert said == expected
