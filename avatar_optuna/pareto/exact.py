"""The exact Pareto front of a space under a fitted indicator: how far a search is from the best it could find.

The space is cut to a lattice by the steps of its family, all of its feasible points are looked at, and hyperparameters
that cost nothing are set to the values the indicator likes best. That is exact because the indicator adds up over
hyperparameters; where it would not, the sum is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import Codes, ConfigurationTable
from avatar_optuna.exceptions import StudyError
from avatar_optuna.feasibility import Boxes, Feasibility, judged
from avatar_optuna.pareto._pareto import Values, non_dominated

Effectiveness = Callable[[ConfigurationTable], npt.NDArray[np.float64]]
Costs = Callable[[ConfigurationTable], npt.NDArray[np.float64]]

_MAX_POINTS = 300_000


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactFront:
    """The front of the lattice.

    Args:
        values: Shape (points, objectives), minimised (effectiveness with its sign turned).
        columns: The configurations.
        looked_at: Number of feasible points of the lattice.
    """

    values: Values
    columns: ConfigurationTable
    looked_at: int


def exact_front(
    feasibility: Feasibility,
    effectiveness: Effectiveness,
    costs: Costs,
    *,
    cost_names: Collection[str] | None = None,
) -> ExactFront:
    """Look at every feasible point of the lattice, whose steps are the family's, or the space's own where coarser.

    The ends of every range are always points.

    Args:
        feasibility: The space and its constraints.
        effectiveness: Of columns, shape (n,); an increasing function of a sum over hyperparameters.
        costs: Of columns, shape (n, costs), to be minimised.
        cost_names: The hyperparameters that costs depend on; None takes those of the family's formulas.

    Raises:
        StudyError: The effectiveness of hyperparameters that cost nothing depends on the shape.
    """
    family = feasibility.family
    steps = {spec.name: spec.exact_step for spec in family.hyperparameters}
    axes = _axes(feasibility, effectiveness, family.formula_names if cost_names is None else cost_names, steps)
    values, codes, looked_at = np.zeros((0, 0)), np.zeros((0, len(axes)), dtype=np.int64), 0
    for points in _feasible_points(feasibility, axes):
        columns = _columns(feasibility, points)
        new = np.column_stack([-effectiveness(columns), costs(columns)])
        looked_at += len(points)
        values = np.concatenate([values, new]) if values.size else new
        codes = np.concatenate([codes, points])
        on_front = non_dominated(values)
        values, codes = values[on_front], codes[on_front]
    return ExactFront(values=values, columns=feasibility.lattice.decode(codes), looked_at=looked_at)


def _axes(
    feasibility: Feasibility, effectiveness: Effectiveness, cost_names: Collection[str], steps: Mapping[str, int]
) -> list[Codes]:
    """The codes of each hyperparameter that are looked at: the lattice's, and of those that cost nothing the best."""
    concerned, lattice = feasibility.costly_names(), feasibility.lattice
    best = _best_free_codes(feasibility, effectiveness, cost_names)
    axes = []
    for name, values in zip(lattice.names, lattice.axes, strict=True):
        if name in cost_names:
            axes.append(np.flatnonzero(np.isin(values, _points(values, steps[name]))))
        else:  # one that a constraint depends on may not have its best value: all are looked at
            axes.append(np.arange(len(values)) if name in concerned else np.asarray([best[name]]))
    return axes


def _points(values: npt.NDArray[Any], step: int) -> npt.NDArray[Any]:
    """The points of one hyperparameter at a step, all of them values of the space."""
    if step == 1 or len(values) < 3:
        return values
    wanted = np.arange(-(-values[0] // step) * step, values[-1] + 1, step)
    places = np.clip(np.searchsorted(values, wanted), 0, len(values) - 1)
    return np.unique(np.concatenate([values[[0, -1]], values[places]]))


def _best_free_codes(
    feasibility: Feasibility, effectiveness: Effectiveness, cost_names: Collection[str]
) -> dict[str, int]:
    """For each hyperparameter that costs nothing, the value that is best whatever the rest is.

    Raises:
        StudyError: No value is, on a few hundred random configurations.
    """
    lattice = feasibility.lattice
    probes = np.random.default_rng(0).integers(0, lattice.sizes, size=(200, len(lattice.names)))
    best = {}
    for index, name in enumerate(lattice.names):
        if name in cost_names:
            continue
        scores = []
        for code in range(lattice.sizes[index]):
            codes = probes.copy()
            codes[:, index] = code
            scores.append(effectiveness(lattice.decode(codes)))
        gains = np.asarray(scores)
        winner = int(gains.mean(axis=1).argmax())
        if (gains[winner] < gains.max(axis=0) - 1e-9).any():
            raise StudyError(
                f"the exact front needs an indicator that adds up, and the best {name} depends on the rest"
            )
        best[name] = winner
    return best


def _feasible_points(feasibility: Feasibility, axes: Sequence[Codes]) -> Iterator[Codes]:
    """Codes of all feasible points of the lattice, in pieces of at most some hundred thousand.

    Hyperparameter after hyperparameter is fixed, and what can hold nothing feasible is dropped on the way, so that
    the work grows with the feasible points and not with the lattice.
    """
    ends = np.asarray([[axis[0], axis[-1]] for axis in axes])
    whole = Boxes(low=ends[:, 0][None, :], high=ends[:, 1][None, :])
    names = feasibility.lattice.names
    costly = [name for name in feasibility.family.exact_order if name in names]
    order = [names.index(name) for name in (*(name for name in names if name not in costly), *costly)]
    # Stable: boxes are judged once every category is a single one.
    order.sort(key=lambda index: bool(feasibility.lattice.is_numeric[index]))
    yield from _fixed(feasibility, axes, whole, order)


def _fixed(feasibility: Feasibility, axes: Sequence[Codes], boxes: Boxes, order: Sequence[int]) -> Iterator[Codes]:
    index, *rest = order
    size = max(_MAX_POINTS // len(axes[index]), 1)
    for start in range(0, len(boxes), size):
        slices = boxes.chosen(slice(start, start + size)).expanded(index, axes[index])
        if rest:
            if feasibility.lattice.is_numeric[rest[0]]:
                slices = slices.chosen(judged(feasibility, slices)[0])
            yield from _fixed(feasibility, axes, slices, rest)
        else:
            points = slices.low[feasibility.holds(_columns(feasibility, slices.low))]
            if len(points):
                yield points


def _columns(feasibility: Feasibility, codes: Codes) -> ConfigurationTable:
    """`Lattice.decode`, sparing of memory where all have the same value."""
    values = {}
    for index, name in enumerate(feasibility.lattice.names):
        axis, column = feasibility.lattice.axes[index], codes[:, index]
        same = len(column) > 0 and column[0] == column[-1] and (column == column[0]).all()
        values[name] = np.broadcast_to(axis[column[0]], column.shape) if same else axis[column]
    return ConfigurationTable(family=feasibility.family, values=values)
