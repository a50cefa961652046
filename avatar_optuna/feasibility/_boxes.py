"""Boxes of configurations, and what interval arithmetic knows about a whole box at once.

A constraint that cannot hold at any point of a box rules out all of them in one evaluation. This is sound and never
complete: what it cannot rule out is split, or left to the solver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes
from avatar_optuna.feasibility._feasibility import Feasibility
from avatar_optuna.feasibility._intervals import IntervalReading, verdict

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """Ranges of codes, ends included; a category is always a single code where a constraint depends on it.

    Args:
        low, high: Shape (boxes, hyperparameters).
    """

    low: Codes
    high: Codes

    def __len__(self) -> int:
        return len(self.low)

    def chosen(self, rows: Any) -> Boxes:
        """Some of the boxes."""
        return Boxes(low=self.low[rows], high=self.high[rows])

    def volumes(self) -> Array:
        """Configurations in each box; shape (boxes,)."""
        return np.asarray(np.prod(self.high - self.low + 1.0, axis=1))

    @classmethod
    def joined(cls, parts: Iterable[Boxes]) -> Boxes:
        """All boxes of the parts, at least one of which must be there."""
        listed = list(parts)
        return cls(low=np.concatenate([p.low for p in listed]), high=np.concatenate([p.high for p in listed]))

    def expanded(self, index: int, codes: npt.NDArray[np.int64]) -> Boxes:
        """Each box cut into its slices at the codes given of one hyperparameter, box after box."""
        low, high = np.repeat(self.low, len(codes), axis=0), np.repeat(self.high, len(codes), axis=0)
        low[:, index] = high[:, index] = np.tile(codes, len(self))
        return Boxes(low=low, high=high)

    def halved(self, columns: npt.NDArray[np.int64]) -> Boxes:
        """Each box cut in two across the hyperparameter, among those at these places, that is widest for its place.

        A box that is a single code in all of them stays whole.
        """
        extent = (self.high[:, columns] - self.low[:, columns]) / (self.low[:, columns] + 8.0)
        across = columns[extent.argmax(axis=1)]
        rows = np.arange(len(self))
        first, last = self.low[rows, across], self.high[rows, across]
        splits = last > first
        upper_low, lower_high = self.low.copy(), self.high.copy()
        middle = (first + last) // 2
        lower_high[rows, across] = np.where(splits, middle, last)
        upper_low[rows, across] = middle + 1
        return Boxes(
            low=np.concatenate([self.low, upper_low[splits]]),
            high=np.concatenate([lower_high, self.high[splits]]),
        )


def _read(feasibility: Feasibility, boxes: Boxes) -> IntervalReading:
    """The names of an expression as intervals over boxes."""
    names, axes = feasibility.lattice.names, feasibility.lattice.axes

    def ends(name: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        index = names.index(name)
        low = axes[index][boxes.low[:, index]]
        return low, low if not feasibility.lattice.is_numeric[index] else axes[index][boxes.high[:, index]]

    return feasibility.reading_of(ends)


def judged(feasibility: Feasibility, boxes: Boxes) -> tuple[Flags, Flags]:
    """Which boxes may hold a feasible configuration, and which surely hold nothing else; shape (boxes,) each."""
    can, must = np.ones(len(boxes), dtype=np.bool_), np.ones(len(boxes), dtype=np.bool_)
    reading = _read(feasibility, boxes)
    for constraint in feasibility.constraints:
        known = verdict(constraint, reading)
        can &= known.can
        must &= known.must
    return can, must


def shaved(feasibility: Feasibility, boxes: Boxes, columns: npt.NDArray[np.int64]) -> Boxes:
    """Boxes without the halves, of the hyperparameters at these places, that cannot hold a feasible configuration."""
    low, high = boxes.low.copy(), boxes.high.copy()
    for index in columns:
        middle = (low[:, index] + high[:, index]) // 2
        upper = low.copy()
        upper[:, index] = np.minimum(middle + 1, high[:, index])
        keeps, _ = judged(feasibility, Boxes(low=upper, high=high))
        high[:, index] = np.where(keeps, high[:, index], middle)
        middle = (low[:, index] + high[:, index]) // 2
        lower = high.copy()
        lower[:, index] = middle
        keeps, _ = judged(feasibility, Boxes(low=low, high=lower))
        low[:, index] = np.where(keeps, low[:, index], np.minimum(middle + 1, high[:, index]))
    return Boxes(low=low, high=high)


def whole_space(feasibility: Feasibility) -> Boxes:
    """The space as one box for each combination of the categories that constraints depend on.

    Hyperparameters that no constraint depends on are left at their first code: they change nothing.
    """
    concerned, names = feasibility.costly_names(), feasibility.lattice.names
    high = np.where([name in concerned for name in names], feasibility.lattice.sizes - 1, 0)[None, :]
    boxes = Boxes(low=np.zeros_like(high), high=high)
    for index, name in enumerate(names):
        if name in concerned and not feasibility.lattice.is_numeric[index]:
            boxes = boxes.expanded(index, np.arange(feasibility.lattice.sizes[index]))
    return boxes
