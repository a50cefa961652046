"""Which children are worth an evaluation: costs are known by formula, effectiveness by a running regression.

NSGA-II evaluates every child that it breeds. Most children of a good population are dominated, and their costs say so
before anything is evaluated; a regression on what was told so far says the rest well enough to choose by.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes, ConfigurationTable
from avatar_optuna.feasibility import Feasibility, Repairer, candidates
from avatar_optuna.pareto import Values, non_dominated
from avatar_optuna.sampler._operators import crossed, mutated
from avatar_optuna.sampler._regression import RunningRegression
from avatar_optuna.sampler._volume import most_valuable

Costs = Callable[[ConfigurationTable], npt.NDArray[np.float64]]

_POOL = 8_000
_GENERATIONS = 4
_CHILDREN = 300


class Screening:
    """Proposes students by what they cost and by what is expected of them.

    A pool of feasible configurations, drawn once, covers the space; the best of it and of what was evaluated breed a
    few generations in the model, and the children that promise to add most volume to the front are proposed.
    Hyperparameters that neither cost anything nor stand in a constraint take the values that the model likes best.

    Args:
        feasibility: Draws, repairs and judges.
        costs: Every objective but the first of columns of configurations, shape (n, objectives - 1), minimised.
        seed: Draws the pool.
        cost_names: Hyperparameters that costs depend on besides the student's shape.
    """

    def __init__(self, feasibility: Feasibility, costs: Costs, *, seed: int, cost_names: Collection[str] = ()) -> None:
        self._lattice, self._repairer, self._costs_of = feasibility.lattice, Repairer(feasibility), costs
        interacting = feasibility.family.formula_names | feasibility.costly_names() | frozenset(cost_names)
        self._free = [index for index, name in enumerate(self._lattice.names) if name not in interacting]
        self._regression = RunningRegression(feasibility.lattice, interacting)
        self._pool = np.unique(candidates(feasibility, _POOL, np.random.default_rng(seed)), axis=0)
        self._pool_costs = self._costs(self._pool)
        self._pool_features = self._regression.features(self._pool)

    def tell(self, codes: Codes, values: npt.NDArray[np.float64]) -> None:
        """First objective, minimised, of configurations; shapes (n, 13) and (n,)."""
        self._regression.tell(codes, values)

    def proposed(self, codes: Codes, values: Values, count: int, rng: np.random.Generator) -> Codes:
        """What is most worth an evaluation, the most valuable first.

        Args:
            codes: What was evaluated and is kept, shape (n, 13).
            values: Its values, shape (n, objectives), minimised.
            count: How many are wanted; fewer come back where nothing promises to add any volume.
            rng: Draws.
        """
        weights = self._regression.drawn(rng)
        best = [self._regression.least(index, weights) for index in self._free]
        pool = self._pool.copy()
        pool[:, self._free] = best
        for index, code in zip(self._free, best, strict=True):
            self._regression.set_code(self._pool_features, index, code)
        expected = self._with_costs(self._pool_features, self._pool_costs, weights)
        kept = non_dominated(expected)
        parents = np.concatenate([codes, pool[kept]])
        parent_values = np.concatenate([values, expected[kept]])
        for _ in range(_GENERATIONS):
            rows = rng.integers(0, len(parents), size=(2, _CHILDREN))
            children = crossed(parents[rows[0]], parents[rows[1]], self._lattice, rng)
            children = mutated(children, self._lattice, rng)
            children[:, self._free] = best
            children = self._repairer.toward(children, parents[rows[0]], rng)
            parents = np.concatenate([parents, children])
            features = self._regression.features(children)
            expected = self._with_costs(features, self._costs(children), weights)
            parent_values = np.concatenate([parent_values, expected])
            kept = non_dominated(parent_values)
            parents, parent_values = parents[kept], parent_values[kept]
        return parents[most_valuable(values[non_dominated(values)], parent_values, count, rng)]

    def _costs(self, codes: Codes) -> npt.NDArray[np.float64]:
        return self._costs_of(self._lattice.decode(codes))

    def _with_costs(
        self, features: npt.NDArray[np.float64], costs: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]
    ) -> Values:
        return np.column_stack([self._regression.expected(features, weights), costs])
