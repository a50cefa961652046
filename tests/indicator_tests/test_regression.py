"""Averaged ridge regression against what leaving out, integrating and simulating give."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_t

from avatar_optuna.indicator._regression import TWO_SIDED_95, Block, Regression

_BLOCKS = [Block(size=2, precisions=(0.1, 1.0, 10.0)), Block(size=3, precisions=(1.0, 5.0))]


def _samples(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count, 5))
    return matrix, matrix[:, 0] - 0.5 * matrix[:, 3] + 0.3 * rng.normal(size=count)


def test_leaving_out_is_fitting_without() -> None:
    matrix, targets = _samples(12)
    means, variances = Regression(matrix, _BLOCKS, noise_std=0.3).left_out(targets)
    for index in range(12):
        others = np.arange(12) != index
        posterior = Regression(matrix[others], _BLOCKS, noise_std=0.3).posterior(targets[others])
        mean, variance = posterior.predict(matrix[[index]])
        assert (means[index], variances[index]) == pytest.approx((mean[0], variance[0]))


def test_many_sets_of_targets_are_left_out_as_each_alone() -> None:
    matrix, targets = _samples(9)
    regression = Regression(matrix, _BLOCKS, noise_std=0.3)
    sets = np.stack([targets, targets[::-1], np.zeros(9)])
    for together, alone in zip(regression.left_out(sets)[0], sets, strict=True):
        assert together == pytest.approx(regression.left_out(alone)[0])


def test_choices_weigh_their_marginal_likelihood() -> None:
    """Student's distribution of the targets, with a level so uncertain that its prior is flat."""
    matrix, targets = _samples(8)
    choices = [(first, second) for first in (0.1, 1.0, 10.0) for second in (1.0, 5.0)]
    rows, fits, evidences = matrix - matrix.mean(axis=0), [], []
    for choice in choices:
        precisions = np.repeat(choice, (2, 3))
        scale = 2 * 0.3**2 * (np.eye(8) + (rows / precisions) @ rows.T + 1e8)  # 1 degree of freedom less, for the level
        evidences.append(multivariate_t(shape=scale, df=1).logpdf(targets))
        gram = rows.T @ rows + np.diag(precisions)
        fits.append(np.linalg.solve(gram, rows.T @ (targets - targets.mean())))
    weights = np.exp(evidences - np.max(evidences))
    expected = weights @ np.asarray(fits) / weights.sum()
    posterior = Regression(matrix, _BLOCKS, noise_std=0.3).posterior(targets)
    assert posterior.coefficients == pytest.approx(expected, rel=1e-3)


def test_targets_that_are_only_expected_widen_what_they_teach() -> None:
    matrix, targets = _samples(30)
    regression = Regression(matrix, _BLOCKS, noise_std=0.3)
    measured, expected = regression.posterior(targets), regression.posterior(targets, np.full(30, 0.5))
    assert expected.noise_variance == pytest.approx(measured.noise_variance + 0.5, rel=0.15)
    assert (expected.covariance.diagonal() > measured.covariance.diagonal()).all()


def test_intervals_cover_what_they_say() -> None:
    """Coefficients and noise drawn anew each time: 95 % of further samples lie in their intervals."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(400):
        matrix, coefficients = rng.normal(size=(21, 5)), rng.normal(size=5) * rng.choice([0.0, 0.3, 1.0])
        targets = matrix @ coefficients + 0.3 * rng.normal(size=21)
        posterior = Regression(matrix[:20], _BLOCKS, noise_std=0.3).posterior(targets[:20])
        mean, variance = posterior.predict(matrix[20:])
        covered.append(abs(mean[0] - targets[20]) <= TWO_SIDED_95 * np.sqrt(variance[0]))
    assert 0.92 <= np.mean(covered) <= 0.98


def test_a_space_of_one_configuration_has_a_level_alone() -> None:
    regression = Regression(np.zeros((5, 0)), [Block(size=0, precisions=(1.0,))], noise_std=0.3)
    posterior = regression.posterior(np.arange(5.0))
    mean, variance = posterior.predict(np.zeros((2, 0)))
    assert mean.tolist() == [2.0, 2.0]
    assert (variance > 2.0).all()
