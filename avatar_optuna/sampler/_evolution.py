"""NSGA-II on the lattice of a space, every child feasible: the core that the search and the Optuna sampler share.

The state is a function of the seed and of what was told, so a search that replays its stored generations goes on as if
it had never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from avatar_optuna.columns import Codes, Columns, is_numeric
from avatar_optuna.feasibility import Feasibility, Repairer, draw
from avatar_optuna.front import crowding_distances, fronts, non_dominated
from avatar_optuna.hyperparameters import NAMES, Hyperparameters
from avatar_optuna.sampler._screening import RunningRegression, most_valuable

Values = npt.NDArray[np.float64]

_NUMERIC = np.asarray([is_numeric(name) for name in NAMES])
Costs = Callable[[Columns], npt.NDArray[np.float64]]

_ATTEMPTS = 8
_ARCHIVE = 10
"""Parents kept, in generations, where children are screened: breeding is cheap, so the whole front may breed."""
_INNER_GENERATIONS = 4
_INNER_CHILDREN = 400


class Evolution:
    """Asks for generations of students and is told what they are worth.

    Args:
        feasibility: Draws, repairs and judges.
        directions: "maximize" or "minimize" for each objective.
        population_size: Students a generation, and parents kept.
        seed: Everything is a function of it and of what is told.
        initial: Students that the first generations begin with.
        costs: Exact values of all objectives but the first for columns of configurations, shape (n, objectives - 1),
            in the directions given. With it children are screened before they are asked about; without it this is
            plain NSGA-II.
    """

    def __init__(
        self,
        *,
        feasibility: Feasibility,
        directions: Sequence[str],
        population_size: int,
        seed: int,
        initial: Sequence[Hyperparameters] = (),
        costs: Costs | None = None,
    ) -> None:
        self._costs = costs
        self._regression = RunningRegression(feasibility.lattice)
        self._lattice = feasibility.lattice
        self._feasibility = feasibility
        self._repairer = Repairer(feasibility)
        self._signs = np.where(np.asarray(directions) == "maximize", -1.0, 1.0)
        self._size = population_size
        self._seed = seed
        self._initial = tuple(initial)
        self._generation = 0
        self._seen: set[bytes] = set()
        self._codes: Codes = np.zeros((0, len(NAMES)), dtype=np.int64)
        self._values: Values = np.zeros((0, len(self._signs)))

    def tell(self, students: Sequence[Hyperparameters], values: npt.ArrayLike) -> None:
        """Values of a generation; the best of it and of the parents become the next parents.

        Args:
            students: The configurations, whoever proposed them.
            values: Shape (students, objectives), in the directions given.
        """
        codes = self._lattice.encode(Columns.from_students(students))
        self._seen.update(row.tobytes() for row in codes)
        signed = np.asarray(values, dtype=np.float64) * self._signs
        if self._costs is not None:
            self._regression.tell(codes, signed[:, 0])
        self._codes = np.concatenate([self._codes, codes])
        self._values = np.concatenate([self._values, signed])
        kept = survivors(self._values, self._size if self._costs is None else self._size * _ARCHIVE)
        self._codes, self._values = self._codes[kept], self._values[kept]
        self._generation += 1

    def ask(self) -> list[Hyperparameters]:
        """The next generation: feasible, distinct and never seen before; shorter or empty where the space runs out."""
        rng = np.random.default_rng([self._seed, self._generation])
        codes = self._first(rng) if not len(self._codes) else self._children(rng)
        return self._lattice.decode(codes).students()

    def _first(self, rng: np.random.Generator) -> Codes:
        seed = int(rng.integers(2**31))
        drawn = self._lattice.encode(Columns.from_students(draw(self._feasibility, self._size, seed=seed)))
        if self._initial:
            drawn = np.concatenate([self._lattice.encode(Columns.from_students(self._initial)), drawn])
        return self._fresh(drawn)[: max(self._size, len(self._initial))]

    def _children(self, rng: np.random.Generator) -> Codes:
        """Children of the parents; where they run dry, children ever farther from home."""
        found = np.zeros((0, len(NAMES)), dtype=np.int64)
        if self._costs is not None:
            found = self._screened(self._costs, rng)
        for attempt in range(_ATTEMPTS):
            missing = self._size - len(found)
            if missing <= 0:
                break
            bred = self._breed(2 * missing, rng, boldness=1.0 + attempt)
            found = np.concatenate([found, self._fresh(bred, beside=found)])[: self._size]
        return found

    def _screened(self, costs: Costs, rng: np.random.Generator) -> Codes:
        """Children of children, several generations by what is expected of them; those that promise most are kept."""
        codes, values = self._codes, self._values
        for _ in range(_INNER_GENERATIONS):
            rows = rng.integers(0, len(codes), size=(2, _INNER_CHILDREN))
            children = crossed(codes[rows[0]], codes[rows[1]], rng)
            children = mutated(children, self._lattice.sizes, rng)
            children = self._repairer.toward(children, codes[rows[0]], rng)
            expected = np.column_stack(
                [self._regression.predict(children), costs(self._lattice.decode(children)) * self._signs[1:]]
            )
            codes, values = np.concatenate([codes, children]), np.concatenate([values, expected])
            kept = np.flatnonzero(non_dominated(values))
            codes, values = codes[kept], values[kept]
        fresh = self._fresh_rows(codes)
        chosen = most_valuable(values[fresh], self._values[non_dominated(self._values)], self._size, rng)
        return codes[fresh][chosen]

    def _breed(self, count: int, rng: np.random.Generator, *, boldness: float) -> Codes:
        first, second = (self._tournament(count, rng) for _ in range(2))
        parents = self._codes[first]
        children = crossed(parents, self._codes[second], rng)
        children = mutated(children, self._lattice.sizes, rng, boldness=boldness)
        return self._repairer.toward(children, parents, rng)

    def _tournament(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Parents are sorted by rank and crowding: of two drawn, the earlier wins."""
        drawn = rng.integers(0, len(self._codes), size=(count, 2))
        return np.asarray(drawn.min(axis=1), dtype=np.int64)

    def _fresh(self, codes: Codes, beside: Codes | None = None) -> Codes:
        """The rows that were never seen, each once, in their order."""
        return codes[self._fresh_rows(codes, beside)]

    def _fresh_rows(self, codes: Codes, beside: Codes | None = None) -> npt.NDArray[np.int64]:
        taken = set() if beside is None else {row.tobytes() for row in beside}
        kept = []
        for index, row in enumerate(codes):
            key = row.tobytes()
            if key not in self._seen and key not in taken:
                taken.add(key)
                kept.append(index)
        return np.asarray(kept, dtype=np.int64)


def survivors(values: Values, count: int) -> npt.NDArray[np.int64]:
    """Indices of the `count` best by rank, then by crowding distance, best first.

    The last front is thinned one point at a time, the most crowded first, so that what stays is spread evenly.
    """
    ranks = fronts(values)
    chosen: list[int] = []
    for rank in range(int(ranks.max()) + 1 if len(ranks) else 0):
        members = np.flatnonzero(ranks == rank)
        room = count - len(chosen)
        if room <= 0:
            break
        members = _thinned(values, members, room)
        order = np.argsort(-crowding_distances(values[members]), kind="stable")
        chosen += members[order].tolist()
    return np.asarray(chosen, dtype=np.int64)


def _thinned(values: Values, members: npt.NDArray[np.int64], room: int) -> npt.NDArray[np.int64]:
    while len(members) > room:
        members = np.delete(members, int(crowding_distances(values[members]).argmin()))
    return members


def crossed(first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
    """Each value from either parent; half of the numbers from a blend of both that may reach a little beyond.

    Args:
        first, second: Shape (n, 13).

    Returns:
        Shape (n, 13), not clipped to the lattice.
    """
    shape = first.shape
    picked = np.where(rng.random(shape) < 0.5, first, second)
    weight = rng.uniform(-0.1, 1.1, size=shape)
    blended = np.rint(first + weight * (second - first)).astype(np.int64)
    return np.where(_NUMERIC & (rng.random(shape) < 0.5), blended, picked)


def mutated(codes: Codes, sizes: Codes, rng: np.random.Generator, *, boldness: float = 1.0) -> Codes:
    """About two values a child changed: numbers by a step whose size is drawn in the logarithm, categories anew.

    Args:
        codes: Shape (n, 13).
        sizes: Shape (13,): number of values of each hyperparameter.
        rng: Draws.
        boldness: Factor on the chance of a change.

    Returns:
        Shape (n, 13), on the lattice.
    """
    changes = rng.random(codes.shape) < np.minimum(2.0 * boldness / len(NAMES), 0.9)
    reach = sizes ** rng.uniform(-0.2, 1.0, size=codes.shape)
    steps = np.rint(rng.standard_normal(codes.shape) * 0.5 * np.maximum(reach, 1.0)).astype(np.int64)
    steps = np.where(steps == 0, np.where(rng.random(codes.shape) < 0.5, -1, 1), steps)
    redrawn = rng.integers(0, sizes, size=codes.shape)
    moved = np.where(_NUMERIC, codes + steps, redrawn)
    result: Codes = np.clip(np.where(changes, moved, codes), 0, sizes - 1)
    return result
