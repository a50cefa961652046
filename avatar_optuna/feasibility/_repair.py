"""Feasible configurations: near ones that are not, and a few that are far from each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes, ConfigurationTable
from avatar_optuna.feasibility._bounds import uniform_codes
from avatar_optuna.feasibility._feasibility import Feasibility
from avatar_optuna.feasibility._solver import UndecidedError
from avatar_optuna.students import Configuration

_STEPS = 24
_POINTS = 8_000
"""Points that are looked at at once: most lines end long before their last one."""
_NEARER_TIMEOUT_MS = 500
_ENOUGH_ANCHORS = 16

Array = npt.NDArray[np.float64]


class Repairer:
    """Moves many configurations at once to feasible ones nearby, along straight lines to feasible anchors.

    Args:
        feasibility: What is feasible.
    """

    def __init__(self, feasibility: Feasibility) -> None:
        self._feasibility = feasibility
        self._is_numeric = feasibility.lattice.is_numeric
        self._multiples = feasibility.lattice.multiples

    def toward(self, codes: Codes, anchors: Codes, rng: np.random.Generator) -> Codes:
        """Each configuration moved toward its anchor, dimension by dimension at random speeds, until it is feasible.

        Args:
            codes: Shape (n, hyperparameters).
            anchors: Shape (n, hyperparameters), feasible: each is the end of a line, so every line has a feasible
                point.
            rng: Draws the speeds.

        Returns:
            Shape (n, hyperparameters), feasible; rows that were feasible as they are stay.
        """
        codes = self.aligned(codes)
        broken = np.flatnonzero(~self._holds(codes))
        if len(broken):
            speeds = rng.exponential(1.0, size=(len(broken), codes.shape[1])) + 0.05
            codes[broken] = self._first_feasible(codes[broken], anchors[broken], speeds)
        return codes

    def aligned(self, codes: Codes) -> Codes:
        """The same with each number that another must divide moved to its nearest multiple that the space has."""
        aligned = codes.copy()
        for divisor, dividend, table in self._multiples:
            nearest = table[aligned[:, divisor], aligned[:, dividend]]
            aligned[:, dividend] = np.where(nearest >= 0, nearest, aligned[:, dividend])
        return aligned

    def _first_feasible(self, codes: Codes, anchors: Codes, speeds: Array) -> Codes:
        """The first feasible of `_STEPS` points on each line, else the anchor; shape (n, hyperparameters)."""
        chosen, left, step = anchors.copy(), np.arange(len(codes)), 0
        times = np.linspace(0.0, 1.0, _STEPS + 1)[1:] / speeds.min(axis=1, keepdims=True)  # (n, steps): all dims arrive
        while step < _STEPS and len(left):
            steps = slice(step, step + max(_POINTS // len(left), 1))
            share = np.minimum(np.expand_dims(times[left, steps], 2) * np.expand_dims(speeds[left], 1), 1.0)
            start, end = np.expand_dims(codes[left], 1), np.expand_dims(anchors[left], 1)
            categories = np.where(share < 0.5, start, end)
            points = np.where(self._is_numeric, np.rint(start + share * (end - start)), categories).astype(np.int64)
            points = self.aligned(points.reshape(-1, codes.shape[1]))
            feasible = self._holds(points).reshape(len(left), -1)
            rows = np.flatnonzero(feasible.any(axis=1))
            chosen[left[rows]] = points.reshape(*feasible.shape, -1)[rows, feasible[rows].argmax(axis=1)]
            left, step = left[~feasible.any(axis=1)], steps.stop
        return chosen

    def _holds(self, codes: Codes) -> npt.NDArray[np.bool_]:
        return self._feasibility.holds(self._feasibility.lattice.decode(codes))


def draw(feasibility: Feasibility, count: int, *, seed: int, pool: int = 20_000) -> list[Configuration]:
    """Feasible configurations spread over the space, each confirmed by the solver.

    A pool of feasible candidates (half uniform, half leaning to small sizes, moved to feasibility) is thinned by
    choosing, again and again, the candidate farthest from those chosen.

    Args:
        feasibility: What is feasible.
        count: How many; fewer come back only where the pool holds fewer different ones.
        seed: Everything is a function of it.
        pool: Candidates to choose from.

    Raises:
        StudyError: The solver judges a candidate infeasible that arithmetic found feasible.
    """
    rng = np.random.default_rng(seed)
    codes = np.unique(candidates(feasibility, pool, rng), axis=0)
    students = feasibility.lattice.decode(_spread(feasibility, codes, count, rng)).students()
    feasibility.confirm(ConfigurationTable.from_students(students), np.ones(len(students), dtype=np.bool_))
    return students


def candidates(feasibility: Feasibility, count: int, rng: np.random.Generator) -> Codes:
    """Feasible codes, at least one; shape (at most count, hyperparameters)."""
    drawn = uniform_codes(feasibility, count, rng)
    small = np.rint((drawn + 1.0) ** rng.random(drawn.shape) - 1).astype(np.int64)
    drawn = np.where(feasibility.lattice.is_numeric & (rng.random((count, 1)) < 0.5), small, drawn)
    anchors = _anchors(feasibility, drawn)
    return Repairer(feasibility).toward(drawn, anchors[rng.integers(len(anchors), size=count)], rng)


def _anchors(feasibility: Feasibility, codes: Codes) -> Codes:
    """The drawn configurations that are feasible as they are; where these are rare, some that the solver finds.

    Raises:
        UndecidedError: None is, and the solver finds none in time.
    """
    aligned = Repairer(feasibility).aligned(codes)
    feasible = aligned[feasibility.holds(feasibility.lattice.decode(aligned))]
    if len(feasible) >= _ENOUGH_ANCHORS:
        return feasible
    students = [_any(feasibility)]
    lattice = feasibility.lattice
    for name, values, is_numeric in zip(lattice.names, lattice.axes, lattice.is_numeric, strict=True):
        axis = values.tolist()
        for value in [axis[0], axis[len(axis) // 2]] if is_numeric else axis:
            student = _nearer(feasibility, feasibility.variable(name) == feasibility.term(name, value))
            if student is not None:
                students.append(student)
    solved = lattice.encode_students(students)
    if any(lattice.is_continuous):  # what lies between their steps was moved to one
        solved = lattice.encode_students([*students, feasibility.witness])
        solved = solved[feasibility.holds(lattice.decode(solved))]
    return np.unique(np.concatenate([feasible, solved]), axis=0)


def _any(feasibility: Feasibility) -> Configuration:
    student = feasibility.satisfy()
    assert student is not None, "a Feasibility that nothing satisfies cannot be made"
    return student


def _nearer(feasibility: Feasibility, condition: Any) -> Configuration | None:
    """A feasible configuration under a condition, where the solver finds one at once."""
    try:
        return feasibility.satisfy(condition, timeout_ms=_NEARER_TIMEOUT_MS)
    except UndecidedError:
        return None


def _spread(feasibility: Feasibility, codes: Codes, count: int, rng: np.random.Generator) -> Codes:
    """Farthest-point choice in scaled coordinates; shape (at most count, hyperparameters)."""
    places = scaled(feasibility, codes)
    chosen = [int(rng.integers(len(codes)))]
    distances = np.full(len(codes), np.inf)
    while len(chosen) < min(count, len(codes)):
        distances = np.minimum(distances, np.abs(places - places[chosen[-1]]).sum(axis=1))
        chosen.append(int(distances.argmax()))
    return codes[chosen]


def scaled(feasibility: Feasibility, codes: Codes) -> Array:
    """Coordinates in which distances mean something: numbers by the logarithm of their value in [0, 1], categories 0/1.

    Returns:
        Shape (n, features).
    """
    columns = []
    for index, axis in enumerate(feasibility.lattice.axes):
        if feasibility.lattice.is_numeric[index]:
            logs = np.log(axis.astype(np.float64) + (0 if axis[0] > 0 else 1))
            span = logs[-1] - logs[0]
            columns.append(((logs - logs[0]) / span if span > 0 else logs * 0.0)[codes[:, index]][:, None])
        else:
            columns.append((codes[:, index][:, None] == np.arange(len(axis))) * 0.5)
    return np.concatenate(columns, axis=1).astype(np.float64)
