"""NSGA-II with feasible offspring, as an Optuna sampler."""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.feasibility import StudyFeasibility
from avatar_optuna.sampler._evolution import Evolution
from avatar_optuna.sampler._screening import Costs
from avatar_optuna.sampler._union import EvolutionUnion, evolution_of
from avatar_optuna.schema import GENERATION, ROUND
from avatar_optuna.students import Configuration

_LOGGER = logging.getLogger(__name__)
_ATTEMPTS = 3

_Key = tuple[Any, ...]
"""The values of all hyperparameters of a configuration."""


class FeasibleNSGAIISampler(BaseSampler):
    """NSGA-II over the hyperparameters of a space, every one of whose proposals is feasible and new.

    All of them are sampled together, whatever the objective asks for; other parameters are drawn at random. Each trial
    gets the user attributes `round` and `generation`, by which a later sampler finds the trials to learn from. Run in
    one thread, a study resumed from its storage continues with the trials that it would have had without the stop.

    Args:
        feasibility: The space and its constraints.
        population_size: Trials a generation.
        seed: Everything is a function of it and of the study's trials; None draws one.
        initial: Configurations that the first generation begins with.
        round_: Trials of other rounds were scored by another objective: nothing is learnt from them.
        costs: Exact values of all objectives but the first for columns of configurations, shape (n, objectives - 1),
            in the study's directions. With it children are screened before they are proposed (see `Evolution`).
        cost_names: Configuration that `costs` depends on besides the student's shape.
    """

    def __init__(
        self,
        *,
        feasibility: StudyFeasibility,
        population_size: int = 50,
        seed: int | None = None,
        initial: Sequence[Configuration] = (),
        round_: int = 0,
        costs: Costs | None = None,
        cost_names: Collection[str] = (),
    ) -> None:
        self._feasibility = feasibility
        self._space = feasibility.space
        self._names = frozenset(self._space.distributions)
        self._size = population_size
        self._seed = seed if seed is not None else int(np.random.SeedSequence().generate_state(1)[0])
        self._initial, self._round = tuple(initial), round_
        self._costs, self._cost_names = costs, cost_names
        self._random = RandomSampler(seed=self._seed)
        self._lock = threading.RLock()
        self._study: tuple[int, int] | None = None
        self._begin()

    def _begin(self) -> None:
        self._evolution: Evolution | EvolutionUnion | None = None
        self._generation = 0
        self._queue: dict[_Key, Configuration] = {}  # of the generation, not proposed yet
        self._proposed: dict[int, Configuration] = {}  # by the id of a running trial
        self._looked_at = 0  # this many first trials of the study
        self._unfinished: set[int] = set()  # numbers of those that had not finished then
        self._taken: set[_Key] = set()  # configurations that are not proposed again
        self._finished: dict[int, dict[_Key, FrozenTrial]] = {}  # by generation: own trials not told yet

    def num_proposals(self, study: Study) -> int:
        """Proposals left of the generation, or of the next where none is left; 0 where the space has run out."""
        with self._lock:
            self._fill(study)
            return len(self._queue)

    def has_proposed(self, trial_id: int) -> bool:
        """Whether a running trial holds a proposal of this sampler."""
        return trial_id in self._proposed

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Choose the proposal, unless the trial was queued with values of its own."""
        if trial.system_attrs.get("fixed_params"):
            return
        with self._lock:
            self._fill(study)
            if not self._queue:
                self._stop(study)
                return
            key = next(iter(self._queue))
            self._proposed[trial._trial_id] = self._queue.pop(key)
            self._taken.add(key)
            marks = {ROUND: self._round, GENERATION: self._generation}
        for name, value in marks.items():
            study._storage.set_trial_user_attr(trial._trial_id, name, value)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Forget the proposal: the trial holds it."""
        self._proposed.pop(trial._trial_id, None)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """All hyperparameters of the space."""
        return dict(self._space.distributions)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The proposal: those of its values that are asked for."""
        drawn = {
            name: self._random.sample_independent(study, trial, name, distribution)
            for name, distribution in search_space.items()
            if name not in self._names
        }
        if len(drawn) < len(search_space):
            params = self._space.params(self._proposal(study, trial))
            drawn |= {name: params[name] for name in search_space if name in params}
        return drawn

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter that is no hyperparameter of the space, drawn at random."""
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def reseed_rng(self) -> None:
        """Only what is drawn at random; the proposals of one sampler differ from each other as they are."""
        self._random.reseed_rng()

    def _proposal(self, study: Study, trial: FrozenTrial) -> Configuration:
        """What was chosen for a trial; for one queued with some values of its own, what would be proposed next."""
        with self._lock:
            if trial._trial_id in self._proposed:
                return self._proposed[trial._trial_id]
            self._fill(study)
            student = next(iter(self._queue.values()), None) or self._feasibility.members[0].satisfy()
        assert student is not None, "a Feasibility that nothing satisfies cannot be made"
        return student

    def _fill(self, study: Study) -> None:
        """Make the queue hold what is new of the generation, or of the first later one that holds anything new."""
        study_key = (id(study._storage), study._study_id)
        if study_key != self._study:
            self._study = study_key
            self._begin()
        self._look(study)
        for key in self._queue.keys() & self._taken:  # of another process
            del self._queue[key]
        for _ in range(_ATTEMPTS):
            if self._queue:
                return
            asked = {self._key(student): student for student in self._next_generation(study)}
            if not asked:
                return
            self._queue = {key: student for key, student in asked.items() if key not in self._taken}

    def _look(self, study: Study) -> None:
        """Note the trials that are new, and those that had not finished."""
        trials = study._get_trials(deepcopy=False, use_cache=True)
        numbers = sorted(self._unfinished) + list(range(self._looked_at, len(trials)))
        self._looked_at, self._unfinished = len(trials), set()
        for number in numbers:
            trial = trials[number]
            if not trial.state.is_finished():
                self._unfinished.add(number)
            round_ = trial.user_attrs.get(ROUND, self._round)
            key = self._space.key(trial.params)
            if round_ != self._round or key is None:
                continue
            self._taken.add(key)
            if GENERATION in trial.user_attrs and trial.state.is_finished():
                self._finished.setdefault(trial.user_attrs[GENERATION], {})[key] = trial

    def _next_generation(self, study: Study) -> list[Configuration]:
        """Tell the evolution what has finished, generation by generation, and ask it for the next."""
        if self._evolution is None:
            self._evolution = self._made(study)
        else:
            self._tell(self._evolution)
        while any(generation > self._generation for generation in self._finished):
            self._tell(self._evolution)
        return self._evolution.ask()

    def _tell(self, evolution: Evolution | EvolutionUnion) -> None:
        """Tell of the generation, and of trials of earlier ones that finished late; the next generation begins."""
        of = [generation for generation in sorted(self._finished) if generation <= self._generation]
        trials = [trial for generation in of for trial in self._finished.pop(generation).values()]
        evaluated = [trial for trial in trials if self._is_evaluated(trial)]
        students = [self._space.configuration(trial.params) for trial in evaluated]
        evolution.tell(students, np.asarray([trial.values for trial in evaluated]))
        others = [trial for trial in trials if self._space.is_student(trial.params) and not self._is_evaluated(trial)]
        evolution.skip([self._space.configuration(trial.params) for trial in others])
        self._generation += 1

    def _made(self, study: Study) -> Evolution | EvolutionUnion:
        return evolution_of(
            self._feasibility,
            directions=[direction.name.lower() for direction in study.directions],
            population_size=self._size,
            seed=self._seed,
            initial=self._initial,
            costs=self._costs,
            cost_names=self._cost_names,
        )

    def _stop(self, study: Study) -> None:
        _LOGGER.warning("every feasible configuration that could be found is in the study: it is stopped")
        try:
            study.stop()
        except RuntimeError:
            _LOGGER.debug("asked outside of `optimize`, where there is nothing to stop")

    def _key(self, student: Configuration) -> _Key:
        key = self._space.key(self._space.params(student))
        assert key is not None, "a student of the space has all of its parameters"
        return key

    def _is_evaluated(self, trial: FrozenTrial) -> bool:
        """Whether it has values for a valid student."""
        if trial.state is not TrialState.COMPLETE or not self._space.is_student(trial.params):
            return False
        return trial.values is not None and bool(np.isfinite(trial.values).all())
