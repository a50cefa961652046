"""The Optuna sampler: Optuna's own contract tests, and what it promises beyond them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import BasicSamplerTestCase, MultiObjectiveSamplerTestCase, RelativeSamplerTestCase
from optuna.trial import TrialState

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.feasibility import Feasibility
from avatar_optuna.sampler import FeasibleNSGAIISampler
from avatar_optuna.space import SearchSpace
from avatar_optuna.students.transformer import TRANSFORMER
from tests.sampler_tests.test_evolution import SMALL

FEASIBILITY = Feasibility(space=SearchSpace.paper(), constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))
DIRECTIONS = ["maximize", "minimize", "minimize"]


class TestOptunaContract(BasicSamplerTestCase, RelativeSamplerTestCase, MultiObjectiveSamplerTestCase):
    @pytest.fixture
    def sampler(self) -> Callable[[], BaseSampler]:
        return lambda: FeasibleNSGAIISampler(feasibility=FEASIBILITY, population_size=10, seed=0)


def _costs(columns: ConfigurationTable) -> np.ndarray:
    return np.column_stack([size_bytes(columns, TaskShape(arity=2)), flops(columns, TaskShape(arity=2))]).astype(
        np.float64
    )


def _objective(trial: optuna.Trial) -> tuple[float, ...]:
    values = SearchSpace.paper().suggest(trial)
    student = TRANSFORMER.configure(**values)
    assert FEASIBILITY.check(values).feasible
    effectiveness = 1 - 0.4 * np.exp(-student.hidden_size / 50) - 0.2 * np.exp(-student.num_hidden_layers / 3)
    return (
        float(effectiveness),
        float(size_bytes(student, TaskShape(arity=2))),
        float(flops(student, TaskShape(arity=2))),
    )


def _sampler(*, screened: bool = True) -> FeasibleNSGAIISampler:
    return FeasibleNSGAIISampler(
        feasibility=FEASIBILITY, population_size=10, seed=3, costs=_costs if screened else None
    )


def _params(study: optuna.Study) -> list[dict[str, object]]:
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("screened", [True, False])
def test_a_study_resumed_by_a_new_sampler_goes_on_as_before(screened: bool) -> None:
    whole = optuna.create_study(directions=DIRECTIONS, sampler=_sampler(screened=screened))
    whole.optimize(_objective, n_trials=37)
    resumed = optuna.create_study(directions=DIRECTIONS)
    for part in (14, 10, 13):
        resumed.sampler = _sampler(screened=screened)
        resumed.optimize(_objective, n_trials=part)
    assert _params(resumed) == _params(whole)
    assert len({tuple(params.items()) for params in _params(whole)}) == 37


def test_failed_and_parallel_trials_do_not_repeat_a_configuration() -> None:
    study = optuna.create_study(directions=DIRECTIONS, sampler=_sampler(screened=False))

    def objective(trial: optuna.Trial) -> tuple[float, ...]:
        values = _objective(trial)
        if trial.number % 4 == 0:
            raise optuna.TrialPruned
        return values

    study.optimize(objective, n_trials=36, n_jobs=3)
    assert [t.state for t in study.trials].count(TrialState.COMPLETE) == 27
    assert len({tuple(params.items()) for params in _params(study)}) == 36


def test_a_space_that_runs_out_stops_the_study() -> None:
    space = SearchSpace.from_mapping(SMALL)
    feasibility = Feasibility(space=space, constraints=["num_hidden_layers < 2"], task_shape=TaskShape(arity=2))
    sampler = FeasibleNSGAIISampler(feasibility=feasibility, population_size=10, seed=0)
    study = optuna.create_study(sampler=sampler)
    study.optimize(lambda trial: float(space.suggest(trial)["hidden_size"]), n_trials=100)
    distinct = {tuple(params.items()) for params in _params(study)}
    assert len(distinct) == 2 * (2 * 3 + 2)  # batch sizes; vocabularies with one head at 3 widths, with three at 48
    assert len(study.trials) == len(distinct) + 1
