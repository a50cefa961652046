"""Fronts against brute force, hypervolumes against Optuna's and against counted cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume  # an oracle, in tests only

from avatar_optuna.pareto import crowding_distances, fronts, greedy_hypervolume_subset, hypervolume, non_dominated


@st.composite
def points(draw: st.DrawFn, objectives: tuple[int, ...] = (1, 2, 3, 4)) -> np.ndarray:
    m = draw(st.sampled_from(objectives))
    rows = draw(st.lists(st.lists(st.integers(0, 6), min_size=m, max_size=m), min_size=1, max_size=25))
    return np.asarray(rows, dtype=np.float64)


def _dominates(left: np.ndarray, right: np.ndarray) -> bool:
    return bool((left <= right).all() and (left < right).any())


@given(points())
def test_the_front_is_what_brute_force_finds(values: np.ndarray) -> None:
    expected = [not any(_dominates(other, point) for other in values) for point in values]
    assert non_dominated(values).tolist() == expected


@given(points())
def test_a_rank_is_one_more_than_that_of_what_dominates_it(values: np.ndarray) -> None:
    ranks = fronts(values)
    for i, point in enumerate(values):
        above = [ranks[j] for j, other in enumerate(values) if _dominates(other, point)]
        assert ranks[i] == (max(above) + 1 if above else 0)


@given(points((2, 3, 4)))
def test_the_hypervolume_counts_the_dominated_cells(values: np.ndarray) -> None:
    m = values.shape[1]
    corner = np.full(m, 5.0)
    cells = itertools.product(range(5), repeat=m)
    expected = sum(any((point <= np.asarray(cell)).all() for point in values) for cell in cells)
    assert hypervolume(values, corner) == pytest.approx(expected)


def test_the_hypervolume_is_optuna_s() -> None:
    values = np.random.default_rng(0).random((200, 3)) ** 2
    assert hypervolume(values, [1.1, 1.0, 1.2]) == pytest.approx(compute_hypervolume(values, np.array([1.1, 1.0, 1.2])))


def test_crowding_is_the_paper_s() -> None:
    values = np.array([[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]])
    assert crowding_distances(values).tolist() == [np.inf, 2.0, np.inf]


def test_a_greedy_subset_begins_as_told_and_then_takes_the_most() -> None:
    values = np.array([[0.0, 0.9], [0.4, 0.4], [0.9, 0.0], [0.41, 0.41]])
    assert greedy_hypervolume_subset(values, 2, reference=[1, 1], first=0).tolist() == [0, 1]
    assert sorted(greedy_hypervolume_subset(values, 3, reference=[1, 1]).tolist()) == [0, 1, 2]
