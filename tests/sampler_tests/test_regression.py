"""The running regression against a response that it can represent."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.configurations import ConfigurationTable, Lattice
from avatar_optuna.sampler._regression import RunningRegression
from avatar_optuna.space import SearchSpace
from avatar_optuna.students.transformer import TRANSFORMER

INTERACTING = frozenset({"hidden_size", "num_hidden_layers"})


def _response(columns: ConfigurationTable) -> np.ndarray:
    size = np.log(columns.hidden_size) * np.log(columns.num_hidden_layers + 1.0)
    return 0.3 * size + (columns.tokenizer == "Word") - 0.5 * (columns.batch_size == 32)


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    return Lattice(SearchSpace.paper())


def test_it_learns_what_it_is_told_in_any_portions(lattice: Lattice) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, lattice.sizes, size=(400, len(lattice.names)))
    values = _response(lattice.decode(codes))
    whole, parts = RunningRegression(lattice, INTERACTING), RunningRegression(lattice, INTERACTING)
    whole.tell(codes, values)
    for start in range(0, 400, 100):
        parts.tell(codes[start : start + 100], values[start : start + 100])
    fresh = rng.integers(0, lattice.sizes, size=(200, len(lattice.names)))
    truth = _response(lattice.decode(fresh))
    weights = whole.drawn(np.random.default_rng(1))
    assert np.std(whole.features(fresh) @ weights - truth) < 0.1 * np.std(truth)
    np.testing.assert_allclose(
        parts.features(fresh) @ parts.drawn(np.random.default_rng(1)), whole.features(fresh) @ weights, atol=0.05
    )
    assert (
        lattice.axes[TRANSFORMER.names.index("tokenizer")][whole.least(TRANSFORMER.names.index("tokenizer"), weights)]
        != "Word"
    )
    assert (
        lattice.axes[TRANSFORMER.names.index("batch_size")][whole.least(TRANSFORMER.names.index("batch_size"), weights)]
        == 32
    )


def test_what_was_never_told_is_drawn_from_widely(lattice: Lattice) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, lattice.sizes, size=(60, len(lattice.names)))
    codes[:, TRANSFORMER.names.index("tokenizer")] = 0  # the other tokenizers are unknown
    regression = RunningRegression(lattice, INTERACTING)
    regression.tell(codes, _response(lattice.decode(codes)))
    draws = [regression.least(TRANSFORMER.names.index("tokenizer"), regression.drawn(rng)) for _ in range(60)]
    assert set(draws) == {0, 1, 2, 3}


def test_fractions_that_saturate_are_learnt_as_fractions(lattice: Lattice) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, lattice.sizes, size=(300, len(lattice.names)))
    fractions = 1 / (1 + np.exp(-1 - _response(lattice.decode(codes))))
    told, fresh = codes[:200], codes[200:]
    regression = RunningRegression(lattice, INTERACTING)
    regression.tell(told, -fractions[:200])
    expected = regression.expected(regression.features(fresh), regression.drawn(rng))
    assert ((expected > -1) & (expected < 0)).all()
    assert np.std(expected + fractions[200:]) < 0.05 * np.std(fractions)
    regression.tell(told[:1], np.asarray([-1.0]))  # one that no logit can express
    regression.tell(told, -fractions[:200])
    assert np.isfinite(regression.expected(regression.features(fresh), regression.drawn(rng))).all()
