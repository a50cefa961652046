"""The blocked search gives what sorting all products gives."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.scan import all_pairs, nearest_pairs
from avatar_optuna.scan._neighbours import Pairs, Vectors


def _by_sorting(left: Vectors, right: Vectors, neighbours: int) -> set[tuple[int, int]]:
    products = left.astype(np.float64) @ right.T.astype(np.float64)
    np.fill_diagonal(products, -np.inf)
    nearest = np.argsort(-products, axis=1)[:, :neighbours]
    return {(min(i, j), max(i, j)) for i, row in enumerate(nearest.tolist()) for j in row if i != j}


def _set(pairs: Pairs) -> set[tuple[int, int]]:
    return {(first, second) for first, second in pairs.tolist()}


@pytest.mark.parametrize(("count", "neighbours", "threads"), [(2, 1, 1), (7, 10, 1), (600, 3, 1), (9_000, 5, 2)])
def test_the_search_is_exact(count: int, neighbours: int, threads: int) -> None:
    rng = np.random.default_rng(1)
    left, right = rng.normal(size=(2, count, 6)).astype(np.float32)
    pairs = nearest_pairs(left, right, neighbours=neighbours, threads=threads)
    expected = _by_sorting(left, right, min(neighbours, count - 1))
    # Float32 may order two products otherwise that are almost equal.
    assert len(_set(pairs) ^ expected) <= len(expected) / 10_000
    assert len(_set(pairs)) == len(pairs)


def test_equal_vectors_are_neighbours_of_one_another() -> None:
    vectors = np.ones((5, 3), dtype=np.float32)
    assert len(nearest_pairs(vectors, vectors, neighbours=4)) == 10
    assert len(nearest_pairs(vectors, vectors, neighbours=1)) >= 4


def test_one_function_has_no_pair() -> None:
    one = np.ones((1, 3), dtype=np.float32)
    assert nearest_pairs(one, one, neighbours=3).shape == all_pairs(1).shape == (0, 2)
    assert _set(all_pairs(3)) == {(0, 1), (0, 2), (1, 2)}
