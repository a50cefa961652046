"""The search: generations drawn, scored in memory and landed in the database, one transaction each.

Every generation is a function of the seed and of the generations before it, so a search that was killed replays what is
stored and goes on as if it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt
from optuna.trial import TrialState, create_trial

from avatar_optuna.feasibility import Feasibility
from avatar_optuna.objective import Objective
from avatar_optuna.objectives import directions, signs
from avatar_optuna.pareto import front_order
from avatar_optuna.sampler import Evolution
from avatar_optuna.schema import GENERATION, PREDICTED_STD, ROUND, SearchResult
from avatar_optuna.storage import GenerationWriter, search_lock
from avatar_optuna.students import Configuration
from avatar_optuna.study._open import AvatarStudy


def searched(study: AvatarStudy, *, round_: int) -> SearchResult:
    """What a round of the search has stored so far."""
    settings, trials = study.settings, study.search.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return SearchResult.from_trials(
        trials, round_=round_, space=settings.space, num_objectives=len(settings.search.searched_objectives)
    )


def search(
    study: AvatarStudy,
    objective: Objective,
    feasibility: Feasibility,
    *,
    round_: int = 0,
    initial: Sequence[Configuration] = (),
    on_generation: Callable[[int], None] | None = None,
) -> SearchResult:
    """Search until the round holds its `n_trials`, in whole generations.

    Args:
        study: Where the trials go.
        objective: Scores a generation.
        feasibility: Draws and repairs.
        round_: The round, from 0.
        initial: Configurations that the round begins with (the front of the round before, to be scored anew).
        on_generation: Called with the number of trials the round holds, after each generation has landed.

    Returns:
        All of the round's trials.

    Raises:
        StudyBusyError: Another process searches this study.
    """
    settings = study.settings
    evolution = Evolution(
        feasibility=feasibility,
        directions=directions(settings.search.searched_objectives),
        population_size=settings.search.population_size,
        seed=_round_seed(settings.search.seed, round_),
        initial=initial,
        costs=objective.costs,
        cost_names=objective.cost_names,
    )
    with search_lock(study.storage, study.name):
        past = searched(study, round_=round_)
        generation, count = _replay(evolution, past), len(past)
        if on_generation is not None:
            on_generation(count)
        writer = GenerationWriter(study.storage, study.name)
        while count < settings.search.n_trials:
            begun = datetime.now()
            students = evolution.ask()
            if not students:
                break  # every feasible configuration has been scored
            scores = objective.score(students)
            evolution.tell(students, scores.values)
            writer.write(
                [
                    create_trial(
                        values=[float(value) for value in values],
                        params=student.to_dict(),
                        distributions=dict(settings.space.distributions),
                        user_attrs={ROUND: round_, GENERATION: generation, PREDICTED_STD: float(std)},
                    )
                    for student, values, std in zip(students, scores.values, scores.predicted_std, strict=True)
                ],
                begun=begun,
            )
            generation += 1
            count += len(students)
            if on_generation is not None:
                on_generation(count)
    return searched(study, round_=round_)


def pareto_indices(found: SearchResult, objectives: Sequence[str]) -> npt.NDArray[np.int64]:
    """Indices of the Pareto front of a round, best predicted effectiveness first."""
    return front_order(found.values * signs(objectives))


def _replay(evolution: Evolution, past: SearchResult) -> int:
    """Tell the evolution what is stored; returns the number of the next generation."""
    for generation in np.unique(past.generations):
        chosen = np.flatnonzero(past.generations == generation)
        evolution.tell([past.students[index] for index in chosen], past.values[chosen])
    return int(past.generations.max()) + 1 if len(past) else 0


def _round_seed(seed: int, round_: int) -> int:
    return int(np.random.SeedSequence([seed, round_]).generate_state(1)[0])
