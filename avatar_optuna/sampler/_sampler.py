"""The evolution as an Optuna sampler, for a plain `study.optimize`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.feasibility import Feasibility
from avatar_optuna.sampler._evolution import Evolution
from avatar_optuna.sampler._screening import Costs
from avatar_optuna.students import Configuration

_LOGGER = logging.getLogger(__name__)
_ATTEMPTS = 3


class FeasibleNSGAIISampler(BaseSampler):
    """NSGA-II over the hyperparameters of a space, every one of whose proposals is feasible and new.

    All of them are sampled together, whatever the objective asks for; other parameters are drawn at random. Run in one
    thread, a study resumed from its storage goes on as one that was never stopped.

    Args:
        feasibility: The space and its constraints.
        population_size: Trials a generation.
        seed: Everything is a function of it and of the study's trials; None draws one.
        costs: Exact values of all objectives but the first for columns of configurations, shape (n, objectives - 1),
            in the study's directions. With it children are screened before they are proposed (see `Evolution`).
    """

    def __init__(
        self,
        *,
        feasibility: Feasibility,
        population_size: int = 50,
        seed: int | None = None,
        costs: Costs | None = None,
    ) -> None:
        self._feasibility = feasibility
        self._names = feasibility.lattice.names
        self._size = population_size
        self._seed = seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
        self._costs = costs
        self._random = RandomSampler(seed=self._seed)
        self._lock = threading.Lock()
        self._study: tuple[int, int] | None = None
        self._begin()

    def _begin(self) -> None:
        self._evolution: Evolution | None = None
        self._queue: list[Configuration] = []
        self._asked = False  # since the evolution was last told
        self._told: set[int] = set()
        self._settled = 0  # so many first trials are finished: they need not be looked at again
        self._taken: set[tuple[Any, ...]] = set()
        self._waiting: list[FrozenTrial] = []

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The study's space."""
        return dict(self._feasibility.space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The next configuration of the generation: those of its values that are asked for."""
        drawn = {
            name: self._random.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
            if name not in self._names
        }
        if len(drawn) < len(search_space):
            with self._lock:
                values = self._next(study).to_dict()
            drawn |= {name: values[name] for name in search_space if name in self._names}
        return drawn

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is no hyperparameter, drawn at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Only what is drawn at random; the proposals of one sampler differ from each other as they are."""
        self._random.reseed_rng()

    def _next(self, study: Study) -> Configuration:
        key = (id(study._storage), study._study_id)
        if key != self._study:
            self._study = key
            self._begin()
        trials = study._get_trials(deepcopy=False, use_cache=True)
        unsettled = self._settle(trials)
        evolution = self._evolution or self._made(study)
        self._evolution = evolution
        self._tell(evolution, unsettled, at_least=self._size)
        running = {self._key(trial.params) for trial in unsettled if self._has_all(trial.params)}
        for _ in range(_ATTEMPTS):
            while self._queue:
                student = self._queue.pop(0)
                key = self._key(student.values)
                if key not in self._taken and key not in running:
                    return student
            if self._asked:  # all of the generation is proposed, and some of it will not come back
                self._tell(evolution, unsettled, at_least=1)
            self._queue = evolution.ask()
            evolution.skip(self._queue)
            self._asked = True
        return self._exhausted(study)

    def _made(self, study: Study) -> Evolution:
        return Evolution(
            feasibility=self._feasibility,
            directions=[direction.name.lower() for direction in study.directions],
            population_size=self._size,
            seed=self._seed,
            costs=self._costs,
        )

    def _settle(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Note the trials that are finished; returns those from the first unfinished one on."""
        while self._settled < len(trials) and trials[self._settled].state.is_finished():
            trial = trials[self._settled]
            if self._has_all(trial.params):
                self._taken.add(self._key(trial.params))
            if trial.number not in self._told and self._is_evaluated(trial):
                self._waiting.append(trial)
            self._settled += 1
        return trials[self._settled :]

    def _tell(self, evolution: Evolution, unsettled: list[FrozenTrial], *, at_least: int) -> None:
        """Tell of finished trials in whole generations; of fewer where the next proposals cannot wait."""
        new = self._waiting + [t for t in unsettled if t.number not in self._told and self._is_evaluated(t)]
        while len(new) >= at_least:
            generation, new = new[: self._size], new[self._size :]
            students = [self._feasibility.space.configuration(trial.params) for trial in generation]
            evolution.tell(students, np.asarray([trial.values for trial in generation]))
            self._told |= {trial.number for trial in generation}
            self._queue, self._asked = [], False
        self._waiting = [trial for trial in self._waiting if trial.number not in self._told]

    def _exhausted(self, study: Study) -> Configuration:
        _LOGGER.warning("every feasible configuration that could be found is in the study: it is stopped")
        try:
            study.stop()
        except RuntimeError:
            _LOGGER.debug("asked outside of `optimize`, where there is nothing to stop")
        student = self._feasibility.satisfy()
        assert student is not None, "a Feasibility that nothing satisfies cannot be made"
        return student

    def _has_all(self, params: Mapping[str, Any]) -> bool:
        return all(name in params for name in self._names)

    def _key(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(params[name] for name in self._names)

    def _is_evaluated(self, trial: FrozenTrial) -> bool:
        """Whether it has values for a valid student."""
        if trial.state is not TrialState.COMPLETE or not self._has_all(trial.params):
            return False
        rules, params = self._feasibility.family.divides, trial.params
        divides = all(params[rule.dividend] % params[rule.divisor] == 0 for rule in rules)
        return divides and trial.values is not None and bool(np.isfinite(trial.values).all())
