"""Pairs that a student's head is asked about: near neighbours among all functions."""

from __future__ import annotations

import numpy as np

from avatar_optuna.scan._neighbours import all_pairs, nearest_pairs
from avatar_optuna.scan._scores import Classify, Pairs, Vectors, fit_projection

ALL_PAIRS_UP_TO = 2_000
"""Functions of which the head is asked about every pair."""


def candidates(
    classify: Classify, vectors: Vectors, *, neighbours: int, threads: int, rng: np.random.Generator
) -> Pairs:
    """Pairs (i, j), i < j, that the head may call alike.

    Of few functions these are all pairs. Of more, they are those of each function and its nearest neighbours by a
    bilinear form that is fitted to the head (see `Projection`): a search by matrix products, not by the head.

    Args:
        classify: The head.
        vectors: Shape (n, k).
        neighbours: Of each function.
        threads: That compute.
    """
    if len(vectors) <= ALL_PAIRS_UP_TO:
        return all_pairs(len(vectors))
    left, right = fit_projection(classify, vectors, rng).sides(vectors)
    return nearest_pairs(left, right, neighbours=neighbours, threads=threads)
