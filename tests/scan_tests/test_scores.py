"""Scores are the margins of a head, and a fitted form finds what the head finds."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.scan import Threshold, all_pairs, fit_projection, nearest_pairs, scores, tail_margin, tail_share
from avatar_optuna.scan._scores import margin, probability
from avatar_optuna.scan._threshold import Aim, choose_threshold

K = 8


def _head(joined: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Of two vectors, the less they differ in their first three components the higher; the others say nothing."""
    first, second = np.split(joined, 2, axis=1)
    distance = ((first - second)[:, :3] ** 2).sum(axis=1)
    return np.stack([np.zeros(len(joined)), 4 - distance], axis=1).astype(np.float32)


@pytest.fixture(scope="module")
def vectors() -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(3_000, K)).astype(np.float32)
    values[1_500:1_600] = values[:100] + np.float32(0.05) * rng.normal(size=(100, K)).astype(np.float32)
    return values


def test_a_score_is_a_difference_of_logits(vectors: npt.NDArray[np.float32]) -> None:
    pairs = np.asarray([[0, 1], [5, 5], [2, 9]])
    expected = [_head(np.concatenate([vectors[i], vectors[j]])[None])[0, 1] for i, j in pairs]
    assert scores(_head, vectors, pairs) == pytest.approx(expected)
    assert scores(_head, vectors, all_pairs(1)).shape == (0,)


def test_margins_and_probabilities_are_each_other_s_inverse() -> None:
    assert probability(margin(0.9)) == pytest.approx(0.9)
    assert margin(0.5) == 0
    assert (margin(0.0), margin(1.0)) == (-1e6, 1e6)


def test_the_fitted_form_is_near_to_the_head_and_is_found_by_products(vectors: npt.NDArray[np.float32]) -> None:
    form = fit_projection(_head, vectors, np.random.default_rng(0))
    assert form.correlation > 0.999
    left, right = form.sides(vectors)
    first, second = vectors[3].astype(np.float64), vectors[4].astype(np.float64)
    by_hand = (form.differences * (first - second) ** 2 + form.products * first * second).sum()
    assert left[3] @ right[4] == pytest.approx(by_hand, rel=1e-3, abs=1e-3)
    found = {tuple(pair) for pair in nearest_pairs(left, right, neighbours=10).tolist()}
    every = all_pairs(len(vectors))
    matches = every[scores(_head, vectors, every) >= 3.99]
    assert len(matches) > 80
    assert np.mean([tuple(pair) in found for pair in matches.tolist()]) > 0.99


def test_the_tail_of_a_normal_distribution_is_continued() -> None:
    values = np.random.default_rng(0).normal(1, 2, 1_000_000).astype(np.float32)
    for share in (1e-1, 1e-2, 1e-4, 1e-7, 1e-12):
        assert tail_margin(values, share) == pytest.approx(1 - 2 * NormalDist().inv_cdf(share), rel=0.03)
        assert tail_share(values, tail_margin(values, share)) == pytest.approx(share, rel=0.05)


def test_scores_that_are_all_alike_have_no_tail() -> None:
    values = np.ones(1_000, dtype=np.float32)
    assert tail_margin(values, 1e-6) == 1
    assert (tail_share(values, 1.0), tail_share(values, 1.1)) == (1, 0)


def test_clones_among_random_pairs_do_not_raise_the_threshold() -> None:
    values = np.random.default_rng(0).normal(size=400_000).astype(np.float32)
    before = tail_margin(values, 1e-6)
    values[:40] = 50
    assert tail_margin(values, 1e-6) == pytest.approx(before, rel=0.05)


def _threshold(values: npt.NDArray[np.float64], own: float = 0.5, **aim: float) -> Threshold:
    return choose_threshold(values.astype(np.float32), Aim(own=own, **aim), inputs=499_500, functions=1_000, arity=2)


def test_a_threshold_comes_from_what_was_asked_else_the_baseline_else_an_expectation() -> None:
    values = np.random.default_rng(0).normal(0, 1, 100_000)
    assert _threshold(values, asked=0.5, baseline_margin=1.0).margin == 0
    assert _threshold(values, baseline_margin=1.0).margin == 1
    expected = _threshold(values, baseline_margin=1.0, false_per_1000=2.0)
    assert expected.expected_false == pytest.approx(2, rel=0.01)
    assert expected.margin == pytest.approx(_threshold(values, false_per_1000=2.0).margin)
    assert _threshold(values, false_per_1000=2.0, own=0.999999).probability == pytest.approx(0.999999)
    few = _threshold(values[:99])
    assert (few.margin, few.expected_false) == (0, None)
