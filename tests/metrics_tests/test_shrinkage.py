"""Figures drawn to their mean, held to what is known of values that were drawn."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.metrics import shrunk


@pytest.mark.parametrize("spread", [0.0, 0.01, 0.03])
def test_the_best_of_twelve_is_not_too_large_in_the_mean(spread: float) -> None:
    rng, error, raw, corrected = np.random.default_rng(0), 0.01, [], []
    for _ in range(2000):
        true = 0.9 + spread * rng.normal(size=12)
        measured = true + error * rng.normal(size=12)
        best = int(np.argmax(measured))
        raw.append(measured[best] - true[best])
        corrected.append(shrunk(measured.tolist(), [error] * 12)[best] - true[best])
    assert np.mean(raw) > 0.004
    assert abs(np.mean(corrected)) < 0.3 * np.mean(raw)


def test_what_is_known_exactly_stays() -> None:
    figures = [0.7, 0.8, 0.9, 0.95]
    assert shrunk(figures, [1e-6] * 4) == pytest.approx(figures, abs=1e-6)
    assert shrunk(figures, [1.0] * 4) == pytest.approx([np.mean(figures)] * 4)
    certain = shrunk(figures, [0.05, 0.05, 0.05, 1e-6])
    assert certain[3] == pytest.approx(0.95, abs=1e-6)
