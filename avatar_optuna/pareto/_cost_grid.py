"""Hypervolume over costs, cut into cells."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

_CELLS = {1: 64, 2: 24, 3: 8, 4: 5}
_FEWEST_CELLS = 3
CHANCE = 0.5
"""Effectiveness of the reference point."""


class CostGrid:
    """Cells between quantiles of the costs: what many students with many figures each would add is one product.

    The reference point is chance, and the largest of each cost.

    Args:
        costs: Shape (students, costs).
    """

    def __init__(self, costs: Array) -> None:
        count = _CELLS.get(costs.shape[1], _FEWEST_CELLS)
        self._areas = np.ones((len(costs), 1))
        for column in (costs / np.maximum(costs.max(axis=0), 1e-12)).T:
            edges = np.unique(np.quantile(column, np.linspace(0, 1, count + 1)))
            edges = np.append(edges[:-1] if len(edges) > 1 else edges, 1.0001)
            covered = np.clip((edges[1:] - column[:, None]) / np.diff(edges), 0, 1) * np.diff(edges)
            self._areas = (self._areas[:, :, None] * covered[:, None, :]).reshape(len(costs), -1)
        self._covers = self._areas > 0.5 * self._areas.max(axis=0)

    def attained(self, students: Iterable[int], figures: Iterable[float]) -> Array:
        """The best figure of these students in each cell, `CHANCE` where there is none; shape (cells,)."""
        best = np.full(self._areas.shape[1], CHANCE)
        for student, figure in zip(students, figures, strict=True):
            best = self.with_student(best, student, figure)
        return best

    def with_student(self, attained: Array, student: int, figure: float) -> Array:
        """What is attained with a further student."""
        return np.where(self._covers[student], np.maximum(attained, figure), attained)

    def gains(self, students: npt.NDArray[np.int64], figures: Array, attained: Array) -> Array:
        """Hypervolume that each student would add alone; shape (students,).

        Args:
            students: Shape (n,).
            figures: Of each; shape (n,), or (sets, n) for the mean over sets.
            attained: As `attained` gave it.
        """
        sets = np.atleast_2d(figures)
        total = np.zeros(len(students))
        for one in sets:
            total += np.einsum("ij,ij->i", np.maximum(one[:, None] - attained, 0.0), self._areas[students])
        return np.asarray(total / len(sets))
