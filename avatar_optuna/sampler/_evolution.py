"""NSGA-II on the lattice of a space, every child feasible: what the sampler asks for generations.

The state is a function of the seed and of what was told, so one that is told the stored generations of a study again
asks for the same next one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes
from avatar_optuna.feasibility import Feasibility, Repairer, draw
from avatar_optuna.objectives import direction_signs
from avatar_optuna.pareto import Values, crowding_distances, fronts
from avatar_optuna.sampler._operators import crossed, mutated
from avatar_optuna.sampler._screening import Costs, Screening
from avatar_optuna.students import Configuration

_ATTEMPTS = 8
_ENUMERABLE = 200_000
_ARCHIVE = 10
"""Parents kept, in generations, where children are screened: breeding is cheap, so the whole front may breed."""


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
        cost_names: Hyperparameters that `costs` depends on besides the student's shape.
    """

    def __init__(
        self,
        *,
        feasibility: Feasibility,
        directions: Sequence[str],
        population_size: int,
        seed: int,
        initial: Sequence[Configuration] = (),
        costs: Costs | None = None,
        cost_names: Collection[str] = (),
    ) -> None:
        self._lattice = feasibility.lattice
        self._feasibility = feasibility
        self._repairer = Repairer(feasibility)
        self._signs = direction_signs(directions)
        self._size = population_size
        self._seed = seed
        self._initial = tuple(initial)
        self._screening: Screening | None = None
        if costs is not None:
            signs, given = self._signs[1:], costs
            self._screening = Screening(
                feasibility, lambda columns: given(columns) * signs, seed=seed, cost_names=cost_names
            )
        self._generation = 0
        self._seen: set[bytes] = set()
        self._codes: Codes = np.zeros((0, len(self._lattice.names)), dtype=np.int64)
        self._values: Values = np.zeros((0, len(self._signs)))

    def tell(self, students: Sequence[Configuration], values: npt.ArrayLike) -> None:
        """Values of a generation; the best of it and of the parents become the next parents.

        Args:
            students: The configurations, whoever proposed them.
            values: Shape (students, objectives), in the directions given.
        """
        self._generation += 1
        if not students:
            return
        codes = self._lattice.encode_students(students)
        self._seen.update(row.tobytes() for row in codes)
        signed = np.asarray(values, dtype=np.float64) * self._signs
        if self._screening is not None:
            self._screening.tell(codes, signed[:, 0])
        self._codes = np.concatenate([self._codes, codes])
        self._values = np.concatenate([self._values, signed])
        kept = survivors(self._values, self._size if self._screening is None else self._size * _ARCHIVE)
        self._codes, self._values = self._codes[kept], self._values[kept]

    def skip(self, students: Sequence[Configuration]) -> None:
        """Never ask for these again, though they have no values."""
        self._seen.update(row.tobytes() for row in self._lattice.encode_students(students))

    def ask(self) -> list[Configuration]:
        """The next generation: feasible, distinct and never seen before; shorter or empty where the space runs out."""
        rng = np.random.default_rng([self._seed, self._generation, 0])
        codes = self._first(rng) if not len(self._codes) else self._children(rng)
        return self._lattice.decode(codes).students()

    def _first(self, rng: np.random.Generator) -> Codes:
        seed = int(rng.integers(2**31))
        drawn = self._lattice.encode_students(draw(self._feasibility, self._size, seed=seed))
        if self._initial:
            drawn = np.concatenate([self._lattice.encode_students(self._initial), drawn])
        return self._fresh(drawn)[: max(self._size, len(self._initial))]

    def _children(self, rng: np.random.Generator) -> Codes:
        """Offspring; if too few are new, retry with a higher mutation rate."""
        chosen = np.zeros((0, len(self._lattice.names)), dtype=np.int64)
        if self._screening is not None:
            proposed = self._screening.proposed(self._codes, self._values, 2 * self._size, rng)
            chosen = self._fresh(proposed)[: self._size]
        for attempt in range(_ATTEMPTS):
            missing = self._size - len(chosen)
            if missing <= 0:
                break
            bred = self._breed(2 * missing, rng, boldness=1.0 + attempt)
            chosen = np.concatenate([chosen, self._fresh(bred, beside=chosen)])[: self._size]
        if len(chosen) < self._size and self._lattice.sizes.prod() <= _ENUMERABLE:
            chosen = np.concatenate([chosen, self._fresh(self._everything(), beside=chosen)])[: self._size]
        return chosen

    def _everything(self) -> Codes:
        """Every feasible configuration of a small space."""
        codes = np.stack(np.unravel_index(np.arange(self._lattice.sizes.prod()), self._lattice.sizes), axis=1)
        return codes[self._feasibility.holds(self._lattice.decode(codes))]

    def _breed(self, count: int, rng: np.random.Generator, *, boldness: float) -> Codes:
        first, second = (self._tournament(count, rng) for _ in range(2))
        parents = self._codes[first]
        children = crossed(parents, self._codes[second], self._lattice, rng)
        children = mutated(children, self._lattice, rng, boldness=boldness)
        return self._repairer.toward(children, parents, rng)

    def _tournament(self, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Parents are sorted by rank and crowding: of two drawn, the earlier wins."""
        drawn = rng.integers(0, len(self._codes), size=(count, 2))
        return np.asarray(drawn.min(axis=1), dtype=np.int64)

    def _fresh(self, codes: Codes, beside: Codes | None = None) -> Codes:
        """The rows that were never seen, each once, in their order."""
        taken = set() if beside is None else {row.tobytes() for row in beside}
        kept = []
        for index, row in enumerate(codes):
            key = row.tobytes()
            if key not in self._seen and key not in taken:
                taken.add(key)
                kept.append(index)
        return codes[np.asarray(kept, dtype=np.int64)]


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
