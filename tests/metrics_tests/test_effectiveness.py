"""Figures against scikit-learn, intervals against a simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from avatar_optuna.metrics import effectiveness
from avatar_optuna.metrics._effectiveness import wilson


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=2, max_size=60))
def test_figures_are_scikit_learn_s(rows: list[tuple[int, int]]) -> None:
    labels, predictions = np.asarray(rows).T
    found = effectiveness(labels, predictions)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert found["f1"] == pytest.approx(metrics.f1_score(labels, predictions, zero_division=0.0))
    assert found["precision"] == pytest.approx(metrics.precision_score(labels, predictions, zero_division=0.0))
    assert found["recall"] == pytest.approx(metrics.recall_score(labels, predictions, zero_division=0.0))
    assert found["balanced_accuracy"] == pytest.approx(
        metrics.recall_score(labels, predictions, average="macro", labels=np.unique(labels), zero_division=0.0)
    )
    for name in ("accuracy", "balanced_accuracy", "f1"):
        low, high = found[f"{name}_interval"]
        assert 0 <= low <= found[name] <= high <= 1


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=60))
def test_figures_of_five_labels_are_scikit_learn_s_macro_averages(rows: list[tuple[int, int]]) -> None:
    labels, predictions = np.asarray(rows).T
    figures = effectiveness(labels, predictions, num_labels=5)
    macro = {"average": "macro", "zero_division": 0.0}
    assert figures["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predictions))
    assert figures["f1"] == pytest.approx(metrics.f1_score(labels, predictions, **macro))
    assert figures["precision"] == pytest.approx(metrics.precision_score(labels, predictions, **macro))
    assert figures["recall"] == pytest.approx(metrics.recall_score(labels, predictions, **macro))
    recalls = metrics.recall_score(labels, predictions, labels=np.unique(labels), **macro)
    assert figures["balanced_accuracy"] == pytest.approx(recalls)
    for name in ("accuracy", "balanced_accuracy", "f1"):
        low, high = figures[f"{name}_interval"]
        assert 0 <= low <= figures[name] <= high <= 1


def test_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    covered = {"accuracy": 0, "balanced_accuracy": 0, "f1": 0}
    for _ in range(600):
        labels = (rng.random(120) < 0.3).astype(int)
        right = rng.random(120) < np.where(labels == 1, 0.7, 0.9)
        found = effectiveness(labels, np.where(right, labels, 1 - labels))
        for name, truth in (("accuracy", 0.3 * 0.7 + 0.7 * 0.9), ("balanced_accuracy", 0.8), ("f1", 0.42 / 0.58)):
            low, high = found[f"{name}_interval"]
            covered[name] += low <= truth <= high
    assert all(0.92 <= count / 600 <= 0.98 for count in covered.values())
    assert wilson(0, 10) == (0.0, pytest.approx(0.2775, abs=1e-3))


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        effectiveness(np.zeros(3), np.zeros(2))
