"""The search: Optuna's `study.optimize` with our sampler and objective, over a storage that stores trials in batches.

Every proposal is a function of the seed and of the trials before it, so a search that was killed draws again what it
had not stored and continues with the same trials as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import optuna
from optuna.trial import TrialState
from threadpoolctl import threadpool_limits

from avatar_optuna.exceptions import StudyError
from avatar_optuna.feasibility import StudyFeasibility
from avatar_optuna.indicator import MIN_SAMPLES
from avatar_optuna.objective import Objective
from avatar_optuna.objectives import signs
from avatar_optuna.pareto import front_order, greedy_hypervolume_subset
from avatar_optuna.sampler import FeasibleNSGAIISampler
from avatar_optuna.schema import Job, JobResult, SearchResult
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import SearchStorage, search_lock
from avatar_optuna.students import Configuration
from avatar_optuna.study._open import AvatarStudy


def searched(study: AvatarStudy, *, round_: int) -> SearchResult:
    """What a round of the search has stored so far."""
    return _result(study.search, study.settings, round_)


def _result(stored: optuna.Study, settings: StudySettings, round_: int) -> SearchResult:
    trials = stored.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return SearchResult.from_trials(
        trials, round_=round_, space=settings.space, num_objectives=len(settings.search.searched_objectives)
    )


def search(
    study: AvatarStudy,
    objective: Objective,
    feasibility: StudyFeasibility,
    *,
    round_: int = 0,
    initial: Sequence[Configuration] = (),
    on_generation: Callable[[int], None] | None = None,
) -> SearchResult:
    """Search until the round holds its `n_trials`.

    Args:
        study: Where the trials go.
        objective: Scores a trial; Z3 checks each.
        feasibility: Draws and repairs.
        round_: The round, from 0.
        initial: Configurations that the round begins with (the front of the round before, to be scored anew).
        on_generation: Called with the number of trials the round holds, after each generation has landed.

    Returns:
        All of the round's trials.

    Raises:
        StudyBusyError: Another process searches this study.
        StudyError: Z3 rejects what the sampler proposed: they disagree, and nothing is stored of that trial.
    """
    settings = study.settings
    sampler = FeasibleNSGAIISampler(
        feasibility=feasibility,
        population_size=settings.search.population_size,
        seed=int(np.random.SeedSequence([settings.search.seed, round_]).generate_state(1)[0]),
        initial=initial,
        round_=round_,
        costs=objective.costs,
        cost_names=objective.cost_names,
    )

    count = 0

    def evaluate(trial: optuna.Trial) -> tuple[float, ...]:
        nonlocal count
        try:
            values = objective(trial)
        except optuna.TrialPruned as rejection:
            if sampler.has_proposed(trial._trial_id):
                raise StudyError(
                    f"a student drawn as feasible is not, says Z3: {rejection}; drawn: {trial.params}"
                ) from rejection
            raise
        count += sampler.has_proposed(trial._trial_id)
        return values

    # The regression's matrices are so small that threads of the linear algebra wait longer than they compute.
    with (
        search_lock(study.storage, study.name),
        threadpool_limits(limits=1, user_api="blas"),
        SearchStorage(study.storage) as storage,
        _quiet_optuna(),
    ):
        running = optuna.load_study(study_name=study.name, storage=storage, sampler=sampler)
        count = len(_result(running, settings, round_))
        while True:
            if on_generation is not None:
                on_generation(count)
            missing = settings.search.n_trials - count
            proposals = sampler.num_proposals(running) if missing > 0 else 0
            if not proposals:  # all trials are there, or every feasible configuration has been scored
                break
            with _passing_interrupts():
                running.optimize(evaluate, n_trials=min(missing, proposals))
            storage.land()
        return _result(running, settings, round_)


@contextmanager
def _passing_interrupts() -> Iterator[None]:
    """Ctrl-C while Optuna tells a trial ends in an UnboundLocalError of its own cleanup: raise what was meant."""
    try:
        yield
    except UnboundLocalError as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from error
        raise


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Optuna would log a line for each trial, and the traceback of an error that is raised all the same."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(max(verbosity, optuna.logging.ERROR))
    try:
        yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def pareto_indices(result: SearchResult, objectives: Sequence[str]) -> npt.NDArray[np.int64]:
    """Indices of the Pareto front of a round, best predicted effectiveness first."""
    return front_order(result.values * signs(objectives))


def choose_students(
    scored: SearchResult, objectives: Sequence[str], count: int, *, without: Collection[Configuration] = ()
) -> list[int]:
    """Indices of the students of the front that are worth distilling: the most effective, then by hypervolume gained.

    Args:
        without: Students that are not chosen again.

    Returns:
        At most `count` indices into `scored`, best predicted effectiveness first.
    """
    front = pareto_indices(scored, objectives)
    if without:
        front = front[[scored.students[index] not in without for index in front]]
    if len(front) <= count:
        return [int(index) for index in front]
    values = scored.values[front] * signs(objectives)
    span = np.ptp(values, axis=0)
    scaled = (values - values.min(axis=0)) / np.where(span > 0, span, 1.0)
    chosen = greedy_hypervolume_subset(scaled, count, reference=np.full(len(objectives), 1.1), first=0)
    return [int(index) for index in front[np.sort(chosen)]]


def starting_students(study: AvatarStudy, round_: int) -> list[Configuration]:
    """What a round of the search scores first: half a population of the last round's front, spread over it.

    A front may be nearly all that a round scored: with all of it the next one would find nothing new.
    """
    if round_ == 0:
        return []
    last, settings = searched(study, round_=round_ - 1), study.settings.search
    chosen = choose_students(last, settings.searched_objectives, settings.population_size // 2)
    return [last.students[index] for index in chosen]


def measured_students(study: AvatarStudy, round_: int) -> tuple[list[Configuration], list[float], list[float]]:
    """Students, effectiveness and its standard error on the validation split, to fit a round's indicator on.

    The first round has brief samples alone. Later ones also have students of the front, distilled for longer; the
    brief samples are lifted by what longer distillation gave over what was predicted, so that all speak of one scale.

    Raises:
        StudyError: Too few samples were distilled.
    """
    trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    jobs = [
        (Job.from_trial(trial), JobResult.from_trial(trial))
        for trial in sorted(trials, key=lambda t: t.user_attrs["key"])
    ]
    brief = [(job, result) for job, result in jobs if job.purpose == "indicator"]
    full = [(job, result) for job, result in jobs if job.purpose == "front" and job.round < round_]
    if len(brief) < MIN_SAMPLES:
        raise StudyError(
            f"the indicator needs at least {MIN_SAMPLES} distilled samples, and only {len(brief)} succeeded"
        )
    gains = [
        result.effectiveness - job.predicted["effectiveness"]
        for job, result in full
        if job.predicted is not None and job.round == 0
    ]
    lift = sum(gains) / len(gains) if gains else 0.0
    students = [job.hyperparameters for job, _ in (*brief, *full)]
    lifted = [min(max(result.effectiveness + lift, 0.0), 1.0) for _, result in brief]
    metric = study.settings.measurement.effectiveness
    errors = [result.valid_error(metric) for _, result in (*brief, *full)]
    return students, lifted + [result.effectiveness for _, result in full], errors
