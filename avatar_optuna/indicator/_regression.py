"""Bayesian linear regression, averaged over how strong its prior is.

Ridge regression with a flat prior of its level and an inverse gamma prior of its noise. How much coefficients vary is
not chosen but averaged over, each choice weighing what the data say of it (its marginal likelihood): on few samples one
choice is too sure of itself. The prior of the noise keeps samples that agree by chance from making it certain. All
sums are closed forms (O'Hagan and Forster, Bayesian Inference, chapter 11), so leaving out each sample in turn and
repeating that for thousands of permutations takes no refit.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

TWO_SIDED_95 = 1.959964
_PRIOR_SAMPLES = 2.0
"""How many samples the prior of the noise weighs."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Columns whose coefficients have one prior.

    Args:
        size: How many columns.
        precisions: Candidates: the noise's variance over that of a coefficient.
    """

    size: int
    precisions: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Posterior:
    """What is known after the samples.

    Args:
        centre: Means of the columns, taken off; shape (columns,).
        level: The mean at the centre.
        coefficients: Shape (columns,).
        covariance: Of the coefficients, shape (columns, columns).
        noise_variance: Of one sample.
        num_samples: How many there were.
        degrees_of_freedom: Of Student's distribution, which predictions follow.
    """

    centre: Array
    level: float
    coefficients: Array
    covariance: Array
    noise_variance: float
    num_samples: int
    degrees_of_freedom: float

    def predict(self, matrix: Array) -> tuple[Array, Array]:
        """Mean and variance of a further sample, the latter widened to what 95 % of a normal distribution would need.

        Args:
            matrix: Shape (n, columns).

        Returns:
            Shape (n,) each.
        """
        rows = matrix - self.centre
        known = self.noise_variance / self.num_samples + np.einsum("ij,jk,ik->i", rows, self.covariance, rows)
        return self.level + rows @ self.coefficients, (self.noise_variance + known) * self.widening

    @property
    def widening(self) -> float:
        """The square of Student's 97.5 % quantile over that of the normal distribution."""
        from scipy.special import stdtrit

        return float((stdtrit(self.degrees_of_freedom, 0.975) / TWO_SIDED_95) ** 2)


class Regression:
    """Samples of known features, ready for any targets.

    Args:
        matrix: Shape (samples, columns).
        blocks: Cover the columns in their order.
        noise_std: What the noise's standard deviation is expected to be, before any sample.
    """

    def __init__(self, matrix: Array, blocks: Sequence[Block], *, noise_std: float) -> None:
        self._centre = matrix.mean(axis=0)
        self._rows = matrix - self._centre
        sizes = [block.size for block in blocks]
        choices = list(itertools.product(*(block.precisions for block in blocks)))
        precisions = np.asarray([np.repeat(choice, sizes) for choice in choices]).reshape(len(choices), sum(sizes))
        gram = self._rows.T @ self._rows
        self._covariances = np.linalg.inv(gram + precisions[:, :, None] * np.eye(matrix.shape[1]))
        self._log_volumes = 0.5 * (np.linalg.slogdet(self._covariances)[1] + np.log(precisions).sum(axis=1))
        self._prior = 0.5 * _PRIOR_SAMPLES * noise_std**2

    def posterior(self, targets: Array, variances: Array | None = None) -> Posterior:
        """Fit.

        Args:
            targets: Shape (samples,).
            variances: Of targets that are only expected, not measured: the expectation varies less than what it
                stands for, and coefficients are known less well than from so many measurements; shape (samples,).
        """
        num_samples = len(targets)
        unknown = np.zeros(num_samples) if variances is None else variances
        level = float(targets.mean())
        inner = self._rows.T @ (targets - level)
        means = self._covariances @ inner
        squares = np.maximum(((targets - level) ** 2).sum() + unknown.sum() - means @ inner, 0.0)
        scales = self._prior + 0.5 * squares
        freedom = 0.5 * (_PRIOR_SAMPLES + num_samples - 1)
        weights = _softmax(self._log_volumes - freedom * np.log(scales))
        mean, noises = weights @ means, scales / freedom
        spread = means - mean
        covariance = np.einsum("c,cij->ij", weights * noises, self._covariances) + (spread.T * weights) @ spread
        gains = np.einsum("c,cij->ij", weights, self._covariances) @ self._rows.T
        return Posterior(
            centre=self._centre,
            level=level,
            coefficients=mean,
            covariance=covariance + (gains * unknown) @ gains.T,
            noise_variance=float(weights @ noises),
            num_samples=num_samples,
            degrees_of_freedom=2 * freedom,
        )

    def left_out(self, targets: Array, variances: Array | None = None) -> tuple[Array, Array]:
        """Mean and variance of each sample, predicted from all others, as `Posterior.predict` would give them.

        Args:
            targets: Shape (..., samples): any number of sets of targets at once.
            variances: As in `posterior`.

        Returns:
            Shape (..., samples) each; the variance is widened.
        """
        from scipy.special import stdtrit

        num_samples = targets.shape[-1]
        unknown = np.zeros(num_samples) if variances is None else variances
        centred = targets - targets.mean(axis=-1, keepdims=True)
        freedom = 0.5 * (_PRIOR_SAMPLES + num_samples - 2)
        total = (centred**2).sum(axis=-1, keepdims=True) + unknown.sum()
        means, noises, evidences = [], [], []
        for covariance, log_volume in zip(self._covariances, self._log_volumes, strict=True):
            hat = self._rows @ covariance @ self._rows.T
            rest = 1 - 1 / num_samples - hat.diagonal()
            residuals = centred - centred @ hat
            squares = total - (centred * (centred - residuals)).sum(axis=-1, keepdims=True)
            scales = self._prior + 0.5 * np.maximum(squares - residuals**2 / rest - unknown, 0.0)
            means.append(targets - residuals / rest)
            noises.append(scales / freedom / rest)
            evidences.append(log_volume - 0.5 * np.log(rest) - freedom * np.log(scales))
        weights = _softmax(np.stack(evidences))
        mean = (weights * np.stack(means)).sum(axis=0)
        variance = (weights * (np.stack(noises) + (np.stack(means) - mean) ** 2)).sum(axis=0)
        return mean, variance * float((stdtrit(2 * freedom, 0.975) / TWO_SIDED_95) ** 2)


def _softmax(logarithms: Array) -> Array:
    """Weights along the first axis that add up to 1."""
    weights = np.exp(logarithms - logarithms.max(axis=0))
    return np.asarray(weights / weights.sum(axis=0))
