"""Ours and its rivals on one problem: each yields the values of its feasible evaluations, in the order of evaluation.

A searcher is asked for a number of *feasible* evaluations: what a rival draws infeasible costs it time, never budget.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna

from avatar_optuna.configurations import Codes, ConfigurationTable
from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.feasibility import Feasibility, Repairer, candidates, tighten
from avatar_optuna.indicator import Indicator
from avatar_optuna.pareto import Values
from avatar_optuna.sampler import Evolution
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import UncheckedConfiguration
from avatar_optuna.students.transformer import TRANSFORMER
from benchmarks.indicator import FOLDER, read

DIRECTIONS = ("maximize", "minimize", "minimize")
LIMIT_MB = 3.0
POPULATION = 50
_BATCH = 50
FITTED_ON = "indicator_bigclonebench_paper_space"
# Weight and scale of each size in the stand-in: effectiveness grows with all of them, ever more slowly.
RETURNS = {
    "vocab_size": (0.08, 8_000),
    "num_hidden_layers": (0.08, 3),
    "hidden_size": (0.10, 64),
    "intermediate_size": (0.06, 256),
    "num_attention_heads": (0.04, 3),
    "max_sequence_length": (0.04, 96),
}


@dataclass(frozen=True, kw_only=True)
class Problem:
    """The paper's space under 3 MB, with some effectiveness.

    Args:
        feasibility: The space and its constraints.
        effectiveness: Of columns, shape (n,), to be maximised.
    """

    feasibility: Feasibility
    effectiveness: Callable[[ConfigurationTable], npt.NDArray[np.float64]]

    @classmethod
    def paper(cls, effectiveness: Callable[[ConfigurationTable], npt.NDArray[np.float64]]) -> Problem:
        """The paper's space and its 3 MB."""
        space = SearchSpace.paper()
        feasibility = Feasibility(space=space, constraints=[f"size_mb <= {LIMIT_MB:g}"], task_shape=TaskShape(arity=2))
        return cls(feasibility=feasibility, effectiveness=effectiveness)

    def costs(self, columns: ConfigurationTable) -> npt.NDArray[np.float64]:
        """Size in bytes and FLOPs; shape (n, 2)."""
        task_shape = self.feasibility.task_shape
        return np.column_stack([size_bytes(columns, task_shape), flops(columns, task_shape)]).astype(np.float64)

    def values(self, columns: ConfigurationTable) -> Values:
        """All objectives, minimised; shape (n, 3)."""
        return np.column_stack([-self.effectiveness(columns), self.costs(columns)])

    def coded(self, codes: Codes) -> Values:
        """The same of codes."""
        return self.values(self.feasibility.lattice.decode(codes))


def stand_in(columns: ConfigurationTable) -> npt.NDArray[np.float64]:
    """Effectiveness that grows with every size, with diminishing returns, and a little with three other choices."""
    low = {name: SearchSpace.paper().distributions[name].low for name in RETURNS}  # type: ignore[attr-defined]
    total = np.full(len(columns), 0.5)
    for name, (weight, scale) in RETURNS.items():
        total += weight * (1 - np.exp(-(columns.values[name] - low[name]) / scale))
    total += 0.02 * (columns.learning_rate == 1e-3) + 0.01 * (columns.tokenizer == "BPE")
    return np.asarray(total - 0.05 * columns.hidden_dropout_prob)


def fitted() -> Indicator:
    """The indicator of students that were really distilled on BigCloneBench, in the paper's space."""
    students, measured = read(FOLDER / f"{FITTED_ON}.csv")
    return Indicator.fit(students, measured.tolist(), space=SearchSpace.paper())


Searcher = Callable[[Problem, int], Iterator[Values]]
"""Problem and seed to values of feasible evaluations, shape (n, 3) each time, without end."""


def ours(problem: Problem, seed: int, *, screened: bool = True) -> Iterator[Values]:
    """The search of a study: screened children, every one new and feasible."""
    evolution = Evolution(
        feasibility=problem.feasibility,
        directions=DIRECTIONS,
        population_size=POPULATION,
        seed=seed,
        costs=problem.costs if screened else None,
    )
    while students := evolution.ask():
        values = problem.values(ConfigurationTable.from_students(students))
        evolution.tell(students, values * [-1, 1, 1])
        yield values


def bred(problem: Problem, seed: int) -> Iterator[Values]:
    """Ours without screening: NSGA-II whose children are repaired, as `FeasibleNSGAIISampler` is without `costs`."""
    return ours(problem, seed, screened=False)


def random(problem: Problem, seed: int) -> Iterator[Values]:
    """Uniform draws; the feasible ones are evaluated."""
    rng = np.random.default_rng(seed)
    lattice = problem.feasibility.lattice
    while True:
        columns = lattice.decode(rng.integers(0, lattice.sizes, size=(100_000, len(TRANSFORMER.names))))
        feasible = np.flatnonzero(problem.feasibility.holds(columns))
        yield problem.values(
            ConfigurationTable(
                family=columns.family, values={name: column[feasible] for name, column in columns.values.items()}
            )
        )


def with_optuna(sampler: Callable[[int], optuna.samplers.BaseSampler]) -> Searcher:
    """A sampler of Optuna in memory, told how far each constraint is from holding."""

    def search(problem: Problem, seed: int) -> Iterator[Values]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(directions=list(DIRECTIONS), sampler=sampler(seed))
        while True:
            found: list[Values] = []
            for _ in range(_BATCH):
                trial = study.ask()
                values, feasible = constrained(problem, trial)
                study.tell(trial, (values * [-1, 1, 1])[0].tolist())
                found += [values] if feasible else []
            yield np.concatenate([np.zeros((0, 3)), *found])

    return search


def constrained(problem: Problem, trial: optuna.Trial) -> tuple[Values, bool]:
    """Values of shape (1, 3) of what a trial draws, its constraints set, and whether they hold."""
    drawn = problem.feasibility.space.suggest(trial)
    columns = ConfigurationTable.from_students([UncheckedConfiguration(TRANSFORMER, drawn)])
    remainder = float(drawn["hidden_size"] % drawn["num_attention_heads"])
    values = problem.values(columns)
    excess_mb = float(values[0, 1]) / 1e6 - LIMIT_MB
    trial.set_constraint("heads", remainder)
    trial.set_constraint("size_mb", excess_mb)
    return values, remainder == 0 and excess_mb <= 0


def with_pymoo(problem: Problem, seed: int) -> Iterator[Values]:
    """pymoo's NSGA-II with its operators for integers, our first draws and our repair."""
    from pymoo.algorithms.moo.nsga2 import NSGA2
    from pymoo.core.problem import Problem as PymooProblem
    from pymoo.core.repair import Repair
    from pymoo.operators.crossover.sbx import SBX
    from pymoo.operators.mutation.pm import PM
    from pymoo.operators.repair.rounding import RoundingRepair

    feasibility, rng = problem.feasibility, np.random.default_rng(seed)
    repairer = Repairer(feasibility)
    anchors = candidates(feasibility, 2_000, rng)

    class Nearest(Repair):  # type: ignore[misc]
        def _do(self, problem: Any, x: Any, **_: Any) -> Any:
            codes = np.clip(np.rint(x), 0, feasibility.lattice.sizes - 1).astype(np.int64)
            return repairer.toward(codes, anchors[rng.integers(len(anchors), size=len(codes))], rng)

    whole = {"vtype": float, "repair": RoundingRepair()}
    algorithm = NSGA2(
        pop_size=POPULATION,
        sampling=anchors[rng.permutation(len(anchors))[:POPULATION]],
        crossover=SBX(prob=0.9, eta=15, **whole),
        mutation=PM(eta=20, **whole),
        repair=Nearest(),
        eliminate_duplicates=True,
    )
    space = PymooProblem(n_var=len(TRANSFORMER.names), n_obj=3, xl=0, xu=feasibility.lattice.sizes - 1, vtype=int)
    algorithm.setup(space, termination=("n_gen", 10**9), seed=seed, verbose=False)
    while True:
        population = algorithm.ask()
        codes = population.get("X").astype(np.int64)
        values = problem.coded(codes)
        population.set("F", values)
        for individual in population:
            individual.evaluated.add("F")
        algorithm.evaluator.n_eval += len(population)
        algorithm.tell(infills=population)
        yield values


class PaperSearch:
    """The genetic search of "Greening Large Language Models of Code" (ICSE-SEIS 2024), as the paper describes it.

    In the ranges that the solver left: a population of 20 drawn far from each other (adaptive random), tournaments of
    ten won by dominance in all objectives, two-point crossover (60 %), each value redrawn within its range with a
    chance of 10 %, the front in an archive. What breaks a constraint is bred again, and costs no evaluation.

    Args:
        problem: The problem.
        seed: Draws.
    """

    SIZE = 20
    TOURNAMENT = 10
    CROSSOVER = 0.6
    MUTATION = 0.1

    def __init__(self, problem: Problem, seed: int) -> None:
        self._problem, self._rng = problem, np.random.default_rng(seed)
        low, high = _tight_codes(problem.feasibility)
        self._low, self._high = low, high

    def run(self) -> Iterator[Values]:
        """Values of one population after the other."""
        codes = self._first()
        while True:
            values = self._problem.coded(codes)
            yield values
            codes = self._next(codes, values)

    def _drawn(self, count: int) -> Codes:
        found = np.zeros((0, len(TRANSFORMER.names)), dtype=np.int64)
        while len(found) < count:
            drawn = self._rng.integers(self._low, self._high + 1, size=(50_000, len(TRANSFORMER.names)))
            found = np.concatenate([found, drawn[self._feasible(drawn)]])
        return found[:count]

    def _feasible(self, codes: Codes) -> npt.NDArray[np.bool_]:
        feasibility = self._problem.feasibility
        return feasibility.holds(feasibility.lattice.decode(codes))

    def _first(self) -> Codes:
        chosen = self._drawn(1)
        while len(chosen) < self.SIZE:
            drawn = self._drawn(self.SIZE)
            apart = np.linalg.norm((drawn[:, None] - chosen[None]).astype(np.float64), axis=2).min(axis=1)
            chosen = np.concatenate([chosen, drawn[[int(apart.argmax())]]])
        return chosen

    def _next(self, codes: Codes, values: Values) -> Codes:
        children = np.zeros((0, len(TRANSFORMER.names)), dtype=np.int64)
        while len(children) < self.SIZE:
            pair = np.stack([codes[self._winner(values)], codes[self._winner(values)]])
            if self._rng.random() <= self.CROSSOVER:
                start, end = np.sort(self._rng.choice(len(TRANSFORMER.names), size=2, replace=False))
                pair[:, start : end + 1] = pair[::-1, start : end + 1].copy()
            redrawn = self._rng.integers(self._low, self._high + 1, size=pair.shape)
            pair = np.where(self._rng.random(pair.shape) < self.MUTATION, redrawn, pair)
            children = np.concatenate([children, pair[self._feasible(pair)]])
        return children[: self.SIZE]

    def _winner(self, values: Values) -> int:
        best, *others = self._rng.integers(len(values), size=self.TOURNAMENT).tolist()
        for other in others:
            if (values[other] < values[best]).all():
                best = other
        return int(best)


def paper(problem: Problem, seed: int) -> Iterator[Values]:
    """The paper's own search."""
    return PaperSearch(problem, seed).run()


def _tight_codes(feasibility: Feasibility) -> tuple[Codes, Codes]:
    """First and last code of each hyperparameter in the ranges that the solver left."""
    ranges = tighten(feasibility, draws=1_000).ranges
    low, high = np.zeros(len(TRANSFORMER.names), dtype=np.int64), feasibility.lattice.sizes - 1
    for index, name in enumerate(TRANSFORMER.names):
        axis = feasibility.lattice.axes[index]
        if axis.dtype.kind != "U":
            low[index], high[index] = np.searchsorted(axis, [ranges[name][0], ranges[name][-1]])
    return low, high


SEARCHERS: Mapping[str, Searcher] = {
    "ours": ours,
    "ours, bred without screening": bred,
    "NSGA-II (Optuna), constraints": with_optuna(
        lambda seed: optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    ),
    "NSGA-III (Optuna), constraints": with_optuna(
        lambda seed: optuna.samplers.NSGAIIISampler(population_size=POPULATION, seed=seed)
    ),
    "TPE (Optuna), constraints": with_optuna(lambda seed: optuna.samplers.TPESampler(seed=seed)),
    "feasible random": random,
    "NSGA-II (pymoo), our repair": with_pymoo,
    "the paper's genetic search": paper,
}
