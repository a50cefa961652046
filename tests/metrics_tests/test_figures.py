"""Points and resampled figures against scikit-learn, intervals against a simulation, retrieval by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from avatar_optuna.metrics import (
    METRICS,
    Answers,
    available_metrics,
    figures,
    map_at_r,
    ordered_pairs,
    retrieval_inputs,
)
from avatar_optuna.metrics._resampling import resampled, weights
from avatar_optuna.settings import EFFECTIVENESS_METRICS
from avatar_optuna.tasks import Split


def _single(labels: npt.NDArray[Any], **fields: Any) -> Split:
    functions = tuple(f"int f{place}() {{ return {place}; }}" for place in range(len(labels)))
    inputs = np.arange(len(labels), dtype=np.int32)[:, None]
    return Split(functions=functions, inputs=inputs, labels=np.asarray(labels, dtype=np.int64), **fields)


def _answers(labels: npt.NDArray[Any], logits: npt.NDArray[Any], **fields: Any) -> Answers:
    return Answers(split=_single(labels, **fields), logits=logits)


def test_a_study_can_take_each_of_them() -> None:
    assert set(METRICS) == set(EFFECTIVENESS_METRICS)


@pytest.mark.parametrize("num_labels", [2, 4])
def test_points_are_scikit_learn_s(num_labels: int) -> None:
    rng = np.random.default_rng(num_labels)
    labels = rng.integers(num_labels, size=90)
    logits = rng.normal(size=(90, num_labels)) + 1.2 * np.eye(num_labels)[labels]
    found = figures(_answers(labels, logits), [f"label {place}" for place in range(num_labels)])
    predictions = logits.argmax(axis=1)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found["mcc"] == pytest.approx(metrics.matthews_corrcoef(labels, predictions))
    assert found["macro_f1"] == pytest.approx(metrics.f1_score(labels, predictions, average="macro"))
    scores = shares[:, 1] if num_labels == 2 else shares
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, scores, multi_class="ovr"))
    targets = labels if num_labels == 2 else np.eye(num_labels)[labels]
    assert found["pr_auc"] == pytest.approx(metrics.average_precision_score(targets, scores))
    for name in ("accuracy", "balanced_accuracy", "f1", "macro_f1", "mcc", "roc_auc", "pr_auc"):
        low, high = found[f"{name}_interval"]
        assert low <= found[name] <= high
        assert high > low
        assert found[name] == pytest.approx(METRICS[name](_answers(labels, logits)))
    recalls = metrics.recall_score(labels, predictions, average=None)
    assert [own["recall"] for own in found["by_class"].values()] == pytest.approx(recalls.tolist())


@given(
    rows=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(-3, 3)), min_size=3, max_size=40),
    seed=st.integers(0, 9),
)
def test_resampled_figures_are_scikit_learn_s_of_weighted_inputs(rows: list[tuple[int, int, int]], seed: int) -> None:
    labels, predictions, score = (np.asarray(column) for column in zip(*rows, strict=True))
    scores = np.stack([-score, score, 0 * score], axis=1).astype(np.float64)
    inputs = np.arange(len(labels))[:, None]
    drawn = resampled(inputs, labels, predictions, scores, [1])
    own = np.concatenate(list(weights(inputs)))[seed]
    kept = np.flatnonzero(own)
    given_weights = {"sample_weight": own[kept]}
    labels, predictions, score = labels[kept], predictions[kept], score[kept]
    assert drawn["accuracy"][seed] == pytest.approx(metrics.accuracy_score(labels, predictions, **given_weights))
    assert drawn["mcc"][seed] == pytest.approx(metrics.matthews_corrcoef(labels, predictions, **given_weights))
    macro = metrics.f1_score(labels, predictions, average="macro", **given_weights)
    assert drawn["macro_f1"][seed] == pytest.approx(macro)
    if len(set((labels == 1).tolist())) == 2:
        roc = metrics.roc_auc_score(labels == 1, score, **given_weights)
        precision = metrics.average_precision_score(labels == 1, score, **given_weights)
        assert (drawn["roc_auc"][seed], drawn["pr_auc"][seed]) == pytest.approx((roc, precision))


def test_parts_of_draws_are_those_of_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.random.default_rng(0).integers(30, size=(50, 2))
    whole = np.concatenate(list(weights(inputs)))
    monkeypatch.setattr("avatar_optuna.metrics._resampling._NUMBERS_AT_ONCE", 400)
    np.testing.assert_array_equal(np.concatenate(list(weights(inputs))), whole)


@pytest.mark.slow
def test_intervals_of_inputs_cover_what_they_say() -> None:
    rng, covered = np.random.default_rng(0), {"roc_auc": 0, "mcc": 0}
    for _ in range(200):
        labels = np.arange(150) % 2
        scores = rng.normal(size=150) + labels  # true AUC: Phi(1 / sqrt 2)
        found = figures(_answers(labels, np.stack([0.5 - scores, scores - 0.5], axis=1) / 2), ("a", "b"))
        for name, truth in (("roc_auc", 0.7602), ("mcc", 0.3829)):
            low, high = found[f"{name}_interval"]
            covered[name] += low <= truth <= high
    assert all(0.90 <= count / 200 <= 0.99 for count in covered.values()), covered


@pytest.mark.slow
def test_intervals_of_pairs_cover_though_pairs_share_functions() -> None:
    """Each function is hard or easy, so that its pairs err together; Wilson's interval would cover 60 to 70 %."""
    rng, covered, wilson_covered = np.random.default_rng(1), 0, 0
    for _ in range(150):
        functions = tuple(f"int f{place}();" for place in range(40))
        hard = rng.random(40) < 0.3
        inputs = rng.integers(40, size=(600, 2)).astype(np.int32)
        is_right = rng.random(600) < np.where(hard[inputs].any(axis=1), 0.5, 0.95)
        labels = rng.integers(2, size=600)
        given_labels = np.where(is_right, labels, 1 - labels)
        split = Split(functions=functions, inputs=inputs, labels=labels)
        found = figures(Answers(split=split, logits=np.eye(2)[given_labels]), ("different", "clone"))
        truth = 0.95 * 0.49 + 0.5 * 0.51
        low, high = found["accuracy_interval"]
        covered += low <= truth <= high
        error = 1.96 * np.sqrt(found["accuracy"] * (1 - found["accuracy"]) / 600)
        wilson_covered += abs(found["accuracy"] - truth) <= error
    assert covered / 150 >= 0.93
    assert wilson_covered / 150 < 0.85


def test_fixes_are_in_order_by_hand() -> None:
    labels = np.array([1, 0, 1, 0, 0, 1, 1, 0, 0, 0])
    fixes = np.array([7, 7, 2, 2, 3, 3, 4, -1, 5, 5], dtype=np.int32)
    scores = np.array([0.9, 0.1, 0.2, 0.6, 0.5, 0.5, 0.9, 0.1, 0.3, 0.2])
    split = _single(labels, fixes=fixes)
    assert ordered_pairs(split, np.stack([-scores, scores], axis=1)) == (1.5, 3)
    found = figures(Answers(split=split, logits=np.stack([-scores, scores], axis=1)), ("safe", "vulnerable"))
    assert (found["ordered_pairs"], found["fixes"]) == (0.5, 3)


def _pairs_of_groups() -> Split:
    """Functions 0 to 2 are of the group a, 3 and 4 of b, 5 of c; 6 has none."""
    inputs = np.array([[0, 1], [2, 3], [4, 5], [6, 0]], dtype=np.int32)
    names, of_function = ("a", "b", "c"), np.array([0, 0, 0, 1, 1, 2, -1], dtype=np.int32)
    return Split(
        functions=tuple(f"int f{place}();" for place in range(7)),
        inputs=inputs,
        labels=np.array([1, 0, 0, 1]),
        group_names=names,
        groups=of_function[inputs],
    )


def test_map_at_r_by_hand() -> None:
    split = _pairs_of_groups()
    inputs = retrieval_inputs(split)
    assert inputs is not None
    assert len(inputs) == 5 * 4
    likeness = np.full((7, 7), 0.0)
    likeness[0, [1, 3, 2, 4]] = 4, 3, 2, 1  # a hit, then a miss within R = 2: 1/2 (1/1 + 0)
    likeness[1, [0, 2, 3, 4]] = 4, 3, 2, 1  # both: 1
    likeness[2, [3, 0, 1, 4]] = 4, 3, 2, 1  # 1/2 (0 + 1/2)
    likeness[3, [4, 0, 1, 2]] = 4, 3, 2, 1  # R = 1: 1
    likeness[4, [0, 3, 1, 2]] = 4, 3, 2, 1  # 0
    precisions, groups = map_at_r(split, inputs, likeness[inputs[:, 0], inputs[:, 1]])
    assert precisions.tolist() == [0.5, 1.0, 0.25, 1.0, 0.0]
    assert groups.tolist() == [0, 0, 0, 1, 1]


def test_groups_have_figures_of_their_own() -> None:
    split = _pairs_of_groups()
    answers = Answers(
        split=split,
        logits=np.array([[0.0, 1], [0, 1], [1, 0], [0, 1]]),
        logits_of=lambda inputs: np.stack([0.0 * inputs[:, 0], inputs[:, 1]], axis=1),
    )
    found = figures(answers, ("different", "clone"))
    assert {name: own["inputs"] for name, own in found["by_group"].items()} == {"a": 3, "b": 2, "c": 1}
    assert found["by_group"]["b"]["accuracy"] == 0.5
    assert 0 <= found["map_at_r_interval"][0] <= found["map_at_r"] <= found["map_at_r_interval"][1] <= 1


def test_what_a_split_says_nothing_of_is_not_there() -> None:
    split = _single(np.array([0, 1, 0, 1]))
    assert available_metrics(split, 2) == list(METRICS)[:7]
    found = figures(Answers(split=split, logits=np.eye(2)[[0, 1, 1, 1]]), ("a", "b"))
    assert not {"ordered_pairs", "map_at_r", "by_group"} & set(found)
    of_one_label = figures(Answers(split=_single(np.array([1, 1])), logits=np.eye(2)[[0, 1]]), ("a", "b"))
    assert "roc_auc" not in of_one_label
