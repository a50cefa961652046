"""The indicator finds a known response, knows what it does not know, and is stored as plain numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import norm, spearmanr

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import StoredValueError, StudyError
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.indicator import Indicator
from avatar_optuna.indicator._features import matrix_of
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration

SPACE = SearchSpace.paper()


@pytest.fixture(scope="module")
def students() -> list[Configuration]:
    feasibility = Feasibility(space=SPACE, constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))
    return draw(feasibility, 120, seed=0, pool=4_000)


def _truth(students: list[Configuration]) -> np.ndarray:
    columns = ConfigurationTable.from_students(students)
    logit = (
        0.6 * np.log2(columns.hidden_size / 32) + 0.5 * (columns.learning_rate == 1e-3) - columns.hidden_dropout_prob
    )
    return np.asarray(1 / (1 + np.exp(-logit - 0.3 * (columns.tokenizer == "BPE"))))


def test_it_finds_a_response_that_adds_up(students: list[Configuration]) -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 120)
    measured = np.clip(_truth(students) + noise, 0, 1)
    indicator = Indicator.fit(students[:60], measured[:60].tolist(), space=SPACE)
    mean, std = indicator.predict(students[60:])
    assert spearmanr(mean, _truth(students[60:])).statistic > 0.95
    covered = np.abs(mean - measured[60:]) <= 2.5 * std
    assert covered.mean() > 0.8
    assert indicator.rank_correlation > 0.9
    assert indicator.leave_one_out_error < 0.05
    assert np.allclose(
        indicator.rank_columns(ConfigurationTable.from_students(students)), indicator.predict(students)[0]
    )


def test_leaving_one_out_is_what_it_says(students: list[Configuration]) -> None:
    measured = _truth(students)[:8]
    indicator = Indicator.fit(students[:8], measured.tolist(), space=SPACE)
    predicted = []
    for index in range(8):
        others = [i for i in range(8) if i != index]
        fitted = Indicator.fit([students[i] for i in others], measured[others].tolist(), space=SPACE)
        predicted.append(fitted.predict([students[index]])[0][0])
    assert indicator.leave_one_out_error == pytest.approx(np.sqrt(np.mean((predicted - measured) ** 2)))
    above_others = [logit(p) - logit(np.delete(measured, i)).mean() for i, p in enumerate(predicted)]
    assert indicator.rank_correlation == pytest.approx(spearmanr(above_others, measured).statistic)


def test_knowing_nothing_is_no_rank_correlation(students: list[Configuration]) -> None:
    """Left out one by one, the mean of the others falls as the one left out rises: by itself it would rank at -1."""
    measured = np.linspace(0.5, 0.9, 8).tolist()
    indicator = Indicator.fit(students[:1] * 8, measured, space=SPACE)
    assert abs(indicator.rank_correlation) < 0.5


def test_an_interval_is_that_of_the_logit_and_never_wider_than_all_fractions(students: list[Configuration]) -> None:
    measured = np.where(np.arange(6) % 2, 0.999, 0.5)
    indicator = Indicator.fit(students[:6], measured.tolist(), space=SPACE)
    mean, std = indicator.predict(students)
    variance = indicator.noise_variance + np.array(
        [
            row @ indicator.covariance @ row
            for row in matrix_of(indicator.features, ConfigurationTable.from_students(students)) - indicator.centre
        ]
    )
    low, high = (expit(logit(mean) + sign * 1.96 * np.sqrt(variance)) for sign in (-1, 1))
    assert np.allclose(2 * 1.96 * std, high - low)
    assert (1.96 * std <= 0.5).all()


def _probability_better(indicator: Indicator, first: Configuration, second: Configuration) -> float:
    """That the first is truly more effective, by the normal distribution of the coefficients."""
    table = ConfigurationTable.from_students([first, second])
    difference = np.subtract(*np.column_stack([feature.of(table) for feature in indicator.features]))
    variance = max(float(difference @ indicator.covariance @ difference), 1e-18)
    return float(norm.cdf(difference @ indicator.coefficients / np.sqrt(variance)))


def test_it_says_when_it_cannot_rank(students: list[Configuration]) -> None:
    measured = np.random.default_rng(1).uniform(0.4, 0.6, 20)  # nothing to learn
    lost = Indicator.fit(students[:20], measured.tolist(), space=SPACE)
    assert not lost.can_rank_neighbours(students[:2])[0]
    sure = Indicator.fit(students, _truth(students).tolist(), space=SPACE)
    order = np.argsort(_truth(students))
    worst, best = students[order[0]], students[order[-1]]
    assert sure.can_rank_neighbours([best, worst])[0]
    assert _probability_better(sure, best, worst) > 0.95


def test_the_pairs_it_can_rank_are_those_whose_difference_stands_out(students: list[Configuration]) -> None:
    indicator = Indicator.fit(students[:30], _truth(students)[:30].tolist(), space=SPACE)
    told = indicator.rankable(students[:12])
    for i in range(12):
        for j in range(12):
            probability = _probability_better(
                indicator, students[i], students[j]
            )  # of one pair, by the normal integral
            assert told[i, j] == (i != j and max(probability, 1 - probability) >= 0.95)


def test_a_rank_correlation_that_may_be_chance_ranks_nothing(students: list[Configuration]) -> None:
    measured = np.random.default_rng(1).uniform(0.4, 0.6, 20)
    lost = Indicator.fit(students[:20], measured.tolist(), space=SPACE)
    low, high = lost.rank_correlation_interval
    assert low < lost.rank_correlation < high
    assert not lost.ranks
    assert Indicator.fit(students, _truth(students).tolist(), space=SPACE).ranks
    assert not Indicator.fit(students[:4], [0.5, 0.6, 0.7, 0.8], space=SPACE).ranks  # four tell nothing


def test_what_an_earlier_version_stored_is_read(students: list[Configuration]) -> None:
    values = Indicator.fit(students[:20], _truth(students)[:20].tolist(), space=SPACE).to_dict()
    del values["centre"], values["chance"]
    plain = [row for row in values["features"] if row[4] == 1]
    size = len(plain)
    old = {
        **values,
        "features": [row[:4] for row in plain],
        "coefficients": [0.1] * size,
        "covariance": np.eye(size).tolist(),
    }
    read = Indicator.from_dict(old)
    assert all(feature.degree == 1 for feature in read.features)
    mean, std = read.predict(students[:1])
    row = matrix_of(read.features, ConfigurationTable.from_students(students[:1]))[0]
    middle, reach = 0.1 * row.sum() + read.intercept, 1.96 * np.sqrt(read.noise_variance + row @ row)
    assert mean[0] == pytest.approx(expit(middle))
    assert 2 * 1.96 * std[0] == pytest.approx(expit(middle + reach) - expit(middle - reach))
    low, high = read.rank_correlation_interval  # Fisher's
    half = 1.96 * np.sqrt(1.06 / 17)
    assert (low, high) == pytest.approx(tuple(np.tanh(np.arctanh(read.rank_correlation) + np.array([-half, half]))))


def test_it_is_stored_as_json(students: list[Configuration]) -> None:
    indicator = Indicator.fit(students[:20], _truth(students)[:20].tolist(), space=SPACE)
    again = Indicator.from_dict(json.loads(json.dumps(indicator.to_dict())))
    assert np.array_equal(again.predict(students)[0], indicator.predict(students)[0])
    assert again.to_dict() == indicator.to_dict()
    for key, value in [("coefficients", [1.0]), ("intercept", "x"), ("covariance", [[float("nan")]]), ("format", 9)]:
        with pytest.raises(StoredValueError, match=r"^Indicator must be as avatar-optuna stored it: "):
            Indicator.from_dict({**indicator.to_dict(), key: value})


def test_samples_that_all_reached_the_same_are_no_fault(students: list[Configuration]) -> None:
    indicator = Indicator.fit(students[:5], [0.5] * 5, space=SPACE)
    assert indicator.predict(students[5:7])[0].tolist() == pytest.approx([0.5, 0.5])
    assert indicator.rank_correlation == 0.0


def test_too_few_samples_are_refused(students: list[Configuration]) -> None:
    with pytest.raises(StudyError, match="at least 4 distilled samples, got 3"):
        Indicator.fit(students[:3], [0.5, 0.6, 0.7], space=SPACE)
    with pytest.raises(StudyError, match="fractions"):
        Indicator.fit(students[:4], [50, 60, 70, 80], space=SPACE)


def test_students_that_fell_apart_do_not_mislead(students: list[Configuration]) -> None:
    measured = _truth(students)[:40]
    measured[[3, 17]] = 0.02
    indicator = Indicator.fit(students[:40], measured.tolist(), space=SPACE)
    assert spearmanr(indicator.predict(students[40:])[0], _truth(students[40:])).statistic > 0.9
