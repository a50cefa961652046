"""Ways to spend a budget of student-epochs on a table of students, each as somebody would search with it.

A policy sees what it has trained, and configurations, sizes and FLOPs of all. Only students trained to the end count.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import optuna
from scipy.special import expit, logit
from sklearn.linear_model import BayesianRidge

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.indicator import features_of, matrix_of
from avatar_optuna.pareto import crowding_distances, front_order, fronts, greedy_hypervolume_subset
from avatar_optuna.study import FinalModel, Prices, RoundsPolicy, Trainings
from benchmarks.landscape_table import Landscape


@dataclass(kw_only=True, eq=False)
class Budget:
    """A table of which students are trained, epoch by epoch, until the budget is spent.

    Args:
        table: The students.
        left: Student-epochs.
        rng: Of the policy.
        step: What each training costs besides its epochs, in epochs.
        epochs: Trained so far, of each student.
    """

    table: Landscape
    left: float
    rng: np.random.Generator
    step: float = 0.0
    epochs: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.epochs = np.zeros(len(self.table), dtype=np.int64)

    def train(self, student: int, epochs: int) -> bool:
        """Go on to so many epochs; False where the budget does not allow it."""
        if epochs <= self.epochs[student]:
            return True
        cost = epochs - int(self.epochs[student]) + self.step
        if cost > self.left:
            return False
        self.left -= cost
        self.epochs[student] = epochs
        return True

    @property
    def trained(self) -> list[int]:
        """Students trained to the end."""
        return np.flatnonzero(self.epochs == self.table.full).tolist()

    def best_so_far(self, students: np.ndarray) -> np.ndarray:
        """Of students with an epoch at least."""
        return np.asarray([self.table.figures[one, : self.epochs[one]].max() for one in students])


Policy = Callable[[Budget], None]
_MOST_PROPOSALS = 1_000


def random(run: Budget) -> None:
    """Students by chance, each to the end."""
    for student in run.rng.permutation(len(run.table)):
        if not run.train(int(student), run.table.full):
            return


def paper(run: Budget, *, samples: int = 20, epochs: int = 3) -> None:
    """The paper's: brief samples, Bayesian ridge, search with it, distil the front anew.

    The search sees every student of the table, and its front is spread by hypervolume, so it is better than the
    paper's genetic search; the regression has our features.
    """
    table = run.table
    if samples * (epochs + run.step) > run.left:
        return
    run.left -= samples * (epochs + run.step)
    chosen = run.rng.permutation(len(table))[:samples]
    matrix = matrix_of(features_of(table.space), table.columns)
    reached = table.figures[chosen, :epochs].max(axis=1)
    predicted = expit(
        BayesianRidge(max_iter=300).fit(matrix[chosen], logit(np.clip(reached, 0.005, 0.995))).predict(matrix)
    )
    for student in _spread(table, predicted, int(run.left // (table.full + run.step))):
        run.train(student, table.full)


def _spread(table: Landscape, predicted: np.ndarray, count: int) -> list[int]:
    """As many students as are asked for, front by front, each front spread as a study spreads it."""
    values = np.column_stack([-predicted, table.costs])
    chosen: list[int] = []
    rest = np.arange(len(table))
    while len(chosen) < count and len(rest):
        front = front_order(values[rest])
        if len(front) > count - len(chosen):
            span = np.ptp(values[rest[front]], axis=0)
            scaled = (values[rest[front]] - values[rest[front]].min(axis=0)) / np.where(span > 0, span, 1.0)
            front = front[greedy_hypervolume_subset(scaled, count - len(chosen), reference=np.full(3, 1.1), first=0)]
        chosen += rest[front].tolist()
        rest = np.delete(rest, front)
    return chosen


def halving(run: Budget, *, rungs: tuple[int, ...] = (1, 4, 20), factor: int = 3) -> None:
    """Successive halving: students by chance, the better third of each rung goes on, by non-dominated sorting."""
    prices = [b - a + run.step for a, b in itertools.pairwise((0, *rungs))]
    a_student = sum(price / factor**i for i, price in enumerate(prices))
    alive = run.rng.permutation(len(run.table))[: max(1, int(run.left / a_student))]
    for place, rung in enumerate(rungs):
        alive = np.asarray([student for student in alive if run.train(int(student), rung)], dtype=np.int64)
        if place + 1 < len(rungs):
            alive = alive[_by_sorting(run, alive)][: max(1, -(-len(alive) // factor))]
    _finish_by_sorting(run)


def _by_sorting(run: Budget, students: np.ndarray) -> np.ndarray:
    """Places of students, best first: rank, then crowding distance."""
    values = np.column_stack([-run.best_so_far(students), run.table.costs[students]])
    ranks, distances = fronts(values), np.zeros(len(students))
    for rank in np.unique(ranks):
        distances[ranks == rank] = crowding_distances(values[ranks == rank])
    return np.lexsort((-distances, ranks))


def _finish_by_sorting(run: Budget) -> None:
    while True:
        begun = np.flatnonzero((run.epochs > 0) & (run.epochs < run.table.full))
        if not len(begun) or not any(run.train(int(begun[one]), run.table.full) for one in _by_sorting(run, begun)):
            return


def optuna_with(make_sampler: Callable[[int], optuna.samplers.BaseSampler]) -> Policy:
    """Optuna's samplers on measured values: a proposal stands for the nearest student that is not trained yet.

    Proposals that are larger than every student, or need more FLOPs, fail and cost nothing.
    """

    def policy(run: Budget) -> None:
        table = run.table
        features = features_of(table.space)
        matrix = matrix_of(features, table.columns)
        study = optuna.create_study(
            directions=["maximize", "minimize", "minimize"], sampler=make_sampler(int(run.rng.integers(2**31)))
        )
        for _ in range(_MOST_PROPOSALS):
            if run.left < table.full + run.step or not (run.epochs == 0).any():
                return
            trial = study.ask(dict(table.space.distributions))
            proposal = _one(table, trial.params)
            if not table.is_within(proposal):
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
                continue
            distances = ((matrix - matrix_of(features, proposal)) ** 2).sum(axis=1)
            student = int(np.argmin(np.where(run.epochs > 0, np.inf, distances)))
            run.train(student, table.full)
            study.tell(trial, [float(table.final[student]), *table.costs[student].tolist()])

    return policy


def _one(table: Landscape, params: Mapping[str, object]) -> ConfigurationTable:
    family = table.columns.family
    values = {name: family.by_name[name].column([value]) for name, value in params.items()}
    return ConfigurationTable(family=family, values=values)


def rounds(run: Budget, *, first: int = 8, rungs: tuple[int, ...] = (4, 20), at_once: int = 2) -> None:
    """Ours: `study.RoundsPolicy` after some students by chance; the candidates are all students of the table.

    Args:
        first: Students of the first rung; half as many where they are trained to their end at once.
        rungs: Epochs; the last is a full training.
        at_once: Students of a further round.
    """
    table = run.table
    students, everyone = table.columns.students(), np.arange(len(table))
    prices = Prices(epoch=np.ones(len(table)), step=run.step, left_s=run.left, workers=1, is_measured=True)

    def seen() -> Trainings:
        return Trainings(
            students=students,
            curves=table.curves(everyone, run.epochs),
            is_lost=np.zeros(len(table), dtype=np.bool_),
            costs=table.costs,
            rungs=rungs,
            left=run.left,
            prices=replace(prices, left_s=run.left),
        )

    stop = seen().next_rung(0)
    for student in run.rng.permutation(len(table))[: first if stop == rungs[0] else first // 2]:
        run.train(int(student), stop)
    while True:
        trainings = seen()
        steps = RoundsPolicy(FinalModel.fit(trainings, space=table.space), at_once=at_once).next(trainings)
        done = [run.train(step.student, step.epochs) for step in steps]
        if not any(done):
            return


POLICIES: dict[str, Policy] = {
    "rounds": rounds,
    "paper": paper,
    "random": random,
    "successive halving": halving,
    "TPE": optuna_with(lambda seed: optuna.samplers.TPESampler(seed=seed, multivariate=True)),
    "NSGA-II": optuna_with(lambda seed: optuna.samplers.NSGAIISampler(seed=seed, population_size=10)),
}
