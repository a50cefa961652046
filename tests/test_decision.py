"""Thresholds held against brute force over all of them, figures against scikit-learn's, the temperature against scipy's
optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import balanced_accuracy_score, f1_score, matthews_corrcoef, precision_score, recall_score

from avatar_optuna.decision import Aim, Decision, choose_threshold, decide, fit_temperature, require_two_labels
from avatar_optuna.exceptions import InputError

_SCORES: dict[str, Callable[..., float]] = {
    "f1": f1_score,
    "balanced_accuracy": balanced_accuracy_score,
    "mcc": matthews_corrcoef,
    "precision": precision_score,
    "recall": recall_score,
}


def _score(metric: str, labels: Any, predictions: Any) -> float:
    options = {} if metric in ("balanced_accuracy", "mcc") else {"zero_division": 0.0}
    return float(_SCORES[metric](labels, predictions, **options))


def _all_thresholds(probabilities: Any) -> list[float]:
    """One for each way to part the inputs: the probabilities, and one above the highest where there is one."""
    return sorted({*probabilities.tolist(), 1.0})


@st.composite
def _inputs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Probabilities with ties, some at the ends and at 0.5, and labels of both kinds."""
    count = draw(st.integers(2, 9))
    some = st.sampled_from([0.0, 0.1, 0.3, 0.5, 0.50001, 0.9, 1.0])
    probabilities = draw(st.lists(some | st.floats(0, 1, width=32), min_size=count, max_size=count))
    labels = draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    assume(0 < sum(labels) < count)
    return np.asarray(probabilities, dtype=np.float64), np.asarray(labels, dtype=np.int64)


@settings(max_examples=25, deadline=None)
@given(drawn=_inputs(), metric=st.sampled_from(["f1", "balanced_accuracy", "mcc"]))
def test_no_threshold_is_better_than_the_chosen_one(drawn: tuple[Any, Any], metric: str) -> None:
    probabilities, labels = drawn
    threshold, missed = choose_threshold(probabilities, labels, Aim(metric=metric))
    assert missed is None
    assert 0 <= threshold <= 1
    reached = _score(metric, labels, probabilities >= threshold)
    scores = {other: _score(metric, labels, probabilities >= other) for other in _all_thresholds(probabilities)}
    assert reached == pytest.approx(max(scores.values()), abs=1e-9)
    if _score(metric, labels, probabilities >= 0.5) == pytest.approx(reached, abs=1e-13):
        assert threshold == 0.5  # of equally good ones the nearest to it


@settings(max_examples=25, deadline=None)
@given(drawn=_inputs(), metric=st.sampled_from(["precision", "recall"]), least=st.sampled_from([0.2, 0.5, 0.9, 1.0]))
def test_a_least_precision_or_recall_is_held(drawn: tuple[Any, Any], metric: str, least: float) -> None:
    probabilities, labels = drawn
    aim, other_metric = Aim(metric=metric, least=least), {"precision": "recall", "recall": "precision"}[metric]
    threshold, missed = choose_threshold(probabilities, labels, aim)
    given_labels = {t: probabilities >= t for t in (*_all_thresholds(probabilities), threshold)}
    figures = {
        t: (_score(metric, labels, given), _score(other_metric, labels, given)) for t, given in given_labels.items()
    }
    reaching = [other for held, other in figures.values() if held >= least]
    held, other = figures[threshold]
    if reaching and missed is None:
        assert held >= least
        assert other == pytest.approx(max(reaching), abs=1e-12)
    else:
        assert not [value for value in reaching if value > 0]
        best = max(held for held, _ in figures.values())
        assert held == pytest.approx(best)
        assert other == pytest.approx(max(o for h, o in figures.values() if h == pytest.approx(best)))
        assert missed == (
            f"{aim} cannot be reached on validation: the highest {metric} is {held:.3f}, at a {other_metric} of "
            f"{other:.3f}"
        )


@settings(max_examples=60, deadline=None)
@given(drawn=_inputs(), aim=st.sampled_from(["f1", "precision >= 0.5", "recall >= 0.8"]))
def test_figures_that_differ_in_their_last_digits_are_parted_alike(drawn: tuple[Any, Any], aim: str) -> None:
    """The threshold has room on both sides, unless 0.5 does as well: other machines compute other last digits."""
    probabilities, labels = (values.round(3) if values.dtype == np.float64 else values for values in drawn)
    threshold, _ = choose_threshold(probabilities, labels, Aim.parse(aim))
    rng = np.random.default_rng(0)
    moved = np.clip(probabilities + rng.uniform(-1e-7, 1e-7, len(probabilities)), 0, 1)
    is_inside = (probabilities > 0) & (probabilities < 1) & (probabilities != 0.5)
    assert ((moved >= threshold) == (probabilities >= threshold))[is_inside].all()


def test_a_precision_that_is_reached_exactly_counts() -> None:
    """Nine of ten are 0.9, whatever the last digit of a quotient."""
    for times in (1, 3, 7):
        labels = np.array([1] * 9 * times + [0] * times + [1] * 5 + [0] * 50)
        probabilities = np.concatenate([np.full(10 * times, 0.8), np.linspace(0.1, 0.2, 55)])
        threshold, missed = choose_threshold(probabilities, labels, Aim.parse("precision >= 0.9"))
        assert (threshold, missed) == (0.5, None)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_labels=st.integers(2, 5), scale=st.floats(0.05, 30), count=st.integers(30, 200))
def test_the_temperature_is_that_of_scipys_optimiser(seed: int, num_labels: int, scale: float, count: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(count, num_labels))
    labels = (logits + rng.gumbel(size=logits.shape)).argmax(1)  # the logits are right at a temperature of 1
    logits = logits * scale

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[np.arange(count), labels].mean())

    fitted = fit_temperature(logits, labels)
    best = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-10})
    assert 0.05 <= fitted <= 20
    assert loss(np.log(fitted)) <= best.fun + 1e-9
    assert fitted == pytest.approx(float(np.exp(best.x)), rel=1e-3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), num_labels=st.integers(2, 5), temperature=st.floats(0.05, 20))
def test_a_temperature_changes_no_label(seed: int, num_labels: int, temperature: float) -> None:
    logits = 10 * np.random.default_rng(seed).normal(size=(50, num_labels))
    plain, scaled = Decision(), Decision(temperature=temperature)
    np.testing.assert_array_equal(plain.labels(logits), scaled.labels(logits))
    np.testing.assert_array_equal(plain.labels(logits), scaled.probabilities(logits).argmax(1))
    if num_labels == 2:
        even = Decision(temperature=temperature, threshold=0.5)
        np.testing.assert_array_equal(plain.labels(logits), even.labels(logits))


def test_where_all_are_right_no_temperature_is_the_likeliest() -> None:
    assert fit_temperature(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 1])) == 1.0


def test_worse_than_chance_is_made_as_even_as_may_be() -> None:
    assert fit_temperature(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([1, 0])) == pytest.approx(20)


def test_the_threshold_is_one_of_calibrated_probabilities() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random(300) < 0.1).astype(np.int64)
    logits = np.stack([np.zeros(300), 8 * (rng.normal(size=300) + 1.5 * labels - 3)], axis=1).astype(np.float32)
    decision = decide(logits, labels, Aim.parse("f1"))
    assert decision.temperature > 2
    best = max(
        f1_score(labels, decision.probabilities(logits)[:, 1] >= threshold)
        for threshold in np.sort(decision.probabilities(logits)[:, 1])[-100:]
    )
    assert f1_score(labels, decision.labels(logits)) == pytest.approx(best)
    assert f1_score(labels, decision.labels(logits)) > f1_score(labels, logits.argmax(1))
    assert decide(logits, labels, None) == Decision(temperature=decision.temperature)


def test_three_labels_have_no_threshold() -> None:
    logits, labels = np.random.default_rng(0).normal(size=(9, 3)), np.arange(9) % 3
    with pytest.raises(InputError, match=r"distillation\.threshold needs a task of two labels, this one has 3"):
        decide(logits, labels, Aim.parse("f1"))
    require_two_labels(None, 3)
    assert decide(logits, labels, None).threshold is None


@pytest.mark.parametrize("text", ["f1", "balanced_accuracy", "mcc", "precision >= 0.9", "recall >= 1", "recall>=.05"])
def test_aims_are_read(text: str) -> None:
    aim = Aim.parse(text)
    assert Aim.parse(str(aim)) == aim


@pytest.mark.parametrize(
    "text",
    [
        *("", "F1", "accuracy", "precision", "precision > 0.9", "precision >= 0", "precision >= 1.1", "recall >= 90 %"),
        *("f1 >= 0.5", "precision >= 0.9 ", "precision >= -0.1", "precision >= 1e-1", "recall >= __import__('os')"),
    ],
)
def test_other_aims_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="must be f1, balanced_accuracy, mcc, or a comparison such as"):
        Aim.parse(text)
