"""Figures as people read them."""

from __future__ import annotations

import pytest

from avatar_optuna.report import _words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (_words.percent(0.6933), "69.3 %"),
        (_words.amount("size_bytes", 86_160), "0.0862 MB"),
        (_words.amount("size_bytes", 3_000_000), "3.00 MB"),
        (_words.amount("flops", 906_100_000), "906 MFLOPs"),
        (_words.amount("latency_ms", 0.481), "0.481 ms"),
        (_words.times(1345.2), "1,345×"),
        (_words.times(16.04), "16.0×"),
        (_words.joules(0.01234), "0.0123 J"),
        (_words.joules(4_500.0), "4.50 kJ"),
        (_words.joules(7.2e6), "2.00 kWh"),
        (_words.duration(8.04), "8.0 s"),
        (_words.duration(720), "12 min"),
        (_words.duration(12_240), "3.4 h"),
        (_words.count(1, "student"), "1 student"),
        (_words.count(1200, "student"), "1,200 students"),
        (_words.listed(["a", "b", "c"]), "a, b and c"),
        (_words.amount("latency_ms", 0.0), "0.00 ms"),
    ],
)
def test_figures_read_well(said: str, expected: str) -> None:
    assert said == expected
