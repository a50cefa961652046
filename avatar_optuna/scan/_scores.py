"""What a student's head says of functions and pairs, and products of vectors that come near it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Classify = Callable[[Vectors], npt.NDArray[np.float32]]
"""Joined vectors (m, f k) to logits (m, 2)."""

_AT_ONCE = 16_384
_LARGEST = 1e6  # JSON holds no infinite number
_FITTED_PAIRS = 40_000
_NEAR = 10
_SAMPLE = 2_000
_ROUNDS = 3


def scores(classify: Classify, vectors: Vectors, inputs: Pairs) -> Scores:
    """The margin of the label 1, its logit less that of the label 0, of each input.

    Args:
        classify: The student's head.
        vectors: Of functions, shape (n, k).
        inputs: Places of functions, shape (m, 1 or 2).

    Returns:
        Shape (m,).
    """
    parts = [np.zeros(0, dtype=np.float32)]
    for start in range(0, len(inputs), _AT_ONCE):
        joined = vectors[inputs[start : start + _AT_ONCE]].reshape(-1, inputs.shape[1] * vectors.shape[1])
        logits = classify(joined)
        parts.append(logits[:, 1] - logits[:, 0])
    return np.concatenate(parts)


def probability(score: float) -> float:
    """The probability of the label 1 that a margin stands for."""
    return float(1 / (1 + np.exp(-np.float64(score))))


def margin(threshold: float) -> float:
    """The margin that a probability from 0 to 1 stands for; at the ends one that no score reaches or misses."""
    with np.errstate(divide="ignore"):
        return float(np.clip(np.log(threshold) - np.log1p(-np.float64(threshold)), -_LARGEST, _LARGEST))


def random_pairs(count: int, wanted: int, rng: np.random.Generator) -> Pairs:
    """Pairs (i, j), i < j, of `count` rows, drawn evenly with replacement."""
    first = rng.integers(count, size=wanted)
    second = (first + rng.integers(1, count, size=wanted)) % count
    return np.sort(np.stack([first, second], axis=1), axis=1)


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A symmetric bilinear form of two vectors a and b that comes near a head: products find what the head calls alike.

    It is `sum(u (a - b)^2) + sum(v a b)`, component by component.

    Args:
        differences: u, shape (k,).
        products: v, shape (k,).
        correlation: Of the form with the head, on pairs that were not fitted.
    """

    differences: npt.NDArray[np.floating[Any]]
    products: npt.NDArray[np.floating[Any]]
    correlation: float

    def sides(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Left and right vectors, shape (n, k + 2) each, whose inner products are the form."""
        squares = (vectors.astype(np.float64) ** 2 @ self.differences).astype(np.float32)[:, None]
        ones = np.ones_like(squares)
        crossed = vectors * (self.products - 2 * self.differences).astype(np.float32)
        return np.hstack([crossed, squares, ones]), np.hstack([vectors, ones, squares])


def fit_projection(classify: Classify, vectors: Vectors, rng: np.random.Generator) -> Projection:
    """The form that comes nearest to a head, by least squares on random pairs and on pairs that it takes for alike.

    It is fitted to pairs of near vectors first, then to those that the form before finds: what it must order well are
    the highest scores.

    Args:
        classify: The head.
        vectors: Shape (n, k), n at least 2.
    """
    some = rng.permutation(len(vectors))[:_SAMPLE]
    centred = vectors[some] - vectors[some].mean(axis=0)
    sides = (centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), np.float32(1e-9)),) * 2
    pairs = random_pairs(len(vectors), _FITTED_PAIRS, rng)
    for _ in range(_ROUNDS):
        pairs = np.concatenate([pairs, _highest(*sides, some)])
        form = _fitted(classify, vectors, rng.permutation(pairs))
        sides = form.sides(vectors[some])
    return form


def _fitted(classify: Classify, vectors: Vectors, pairs: Pairs) -> Projection:
    """The form by least squares on four in five pairs, and its correlation with the head on the others."""
    size, held_out = vectors.shape[1], len(pairs) // 5
    products = np.zeros((2 * size + 1, 2 * size + 1))  # the normal equations, a block after the other
    with_target = np.zeros(2 * size + 1)
    for start in range(held_out, len(pairs), _AT_ONCE):
        block = pairs[start : start + _AT_ONCE]
        features = _features(vectors, block)
        products += features.T @ features
        with_target += features.T @ scores(classify, vectors, block)
    weights = np.linalg.lstsq(products, with_target, rcond=None)[0]
    guessed = _features(vectors, pairs[:held_out]) @ weights
    target = scores(classify, vectors, pairs[:held_out])
    return Projection(
        differences=weights[:size],
        products=weights[size : 2 * size],
        correlation=float(np.corrcoef(guessed, target)[0, 1]) if np.ptp(guessed) > 0 < np.ptp(target) else 0.0,
    )


def _features(vectors: Vectors, pairs: Pairs) -> npt.NDArray[np.float64]:
    """What the form is linear in, shape (m, 2 k + 1)."""
    first, second = vectors[pairs[:, 0]].astype(np.float64), vectors[pairs[:, 1]].astype(np.float64)
    return np.hstack([(first - second) ** 2, first * second, np.ones((len(pairs), 1))])


def _highest(left: Vectors, right: Vectors, rows: Pairs) -> Pairs:
    """Of each of some rows, the pairs with the highest products."""
    products = left @ right.T
    np.fill_diagonal(products, -np.inf)
    near = np.argpartition(-products, min(_NEAR, len(rows) - 1), axis=1)[:, :_NEAR]
    pairs = np.stack([np.repeat(rows, near.shape[1]), rows[near].ravel()], axis=1)
    return np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
