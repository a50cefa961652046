"""The test whether an indicator can rank is wrong on noise as often as it says."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.indicator import Indicator
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration

SPACE = SearchSpace.paper()


def _students(count: int) -> list[Configuration]:
    feasibility = Feasibility(space=SPACE, constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))
    return draw(feasibility, count, seed=0, pool=2_000)


@pytest.mark.slow
@pytest.mark.parametrize(("num_samples", "least"), [(8, 1), (20, 6)])
def test_noise_is_ranked_as_often_as_the_level_says(num_samples: int, least: int) -> None:
    """2.5 % of 600 is 15; a binomial count lies in 6 to 26 in 99.4 % of cases. Fisher's interval: 8 to 11 %.

    Rank correlations of few samples tie, and a tie with chance is not above it: the test is wrong more rarely.
    """
    students = _students(200)
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(600):
        chosen = [students[index] for index in rng.permutation(200)[:num_samples]]
        noise = 0.5 + 0.4 * rng.beta(2, 5, size=num_samples)  # skewed, as students that learnt little are
        wrong += Indicator.fit(chosen, noise.tolist(), space=SPACE).ranks
    assert least <= wrong <= 26


def test_what_is_learnt_is_told_from_chance() -> None:
    students = _students(20)
    reached = [0.6 + 0.3 * (student.values["learning_rate"] == 1e-3) for student in students]
    indicator = Indicator.fit(students, reached, space=SPACE)
    assert indicator.ranks
    assert indicator.chance is not None
    assert indicator.rank_correlation > indicator.chance[1]
    low, high = indicator.rank_correlation_interval
    assert 0 < low < indicator.rank_correlation < high


def test_ties_are_no_certainty() -> None:
    """Eight samples that all predict one class reached 0.5 exactly; the next one may not."""
    students = _students(12)
    error = 0.02
    mean, std = Indicator.fit(students[:8], [0.5] * 8, space=SPACE, errors=[error] * 8).predict(students[8:])
    assert mean == pytest.approx(np.full(4, 0.5))
    assert (std >= error).all()
    assert (1.96 * std <= 0.2).all()


def test_one_that_differs_from_ties_does_not_make_everything_possible() -> None:
    students = _students(12)
    mean, std = Indicator.fit(students[:8], [0.5] * 7 + [0.6], space=SPACE).predict(students[8:])
    assert (np.abs(mean - 0.5) < 0.1).all()
    assert (1.96 * std <= 0.2).all()


def test_predictions_are_never_surer_than_the_validation_split() -> None:
    students = _students(60)
    reached = [0.9 + 0.01 * (student.values["learning_rate"] == 1e-3) for student in students]
    error = 0.03
    sure = Indicator.fit(students, reached, space=SPACE).predict(students[:5])[1]
    limited = Indicator.fit(students, reached, space=SPACE, errors=[error] * 60).predict(students[:5])[1]
    assert (sure < error).all()
    assert (limited >= 0.95 * error).all()  # half the width of an interval that is not quite symmetric
