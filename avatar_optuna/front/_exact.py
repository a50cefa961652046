"""The exact Pareto front of a space under a fitted indicator: how far a search is from the best it could find.

The space is cut to a lattice (`Resolution`), all of its feasible points are looked at, and hyperparameters that cost
nothing are set to the values the indicator likes best. That is exact because the indicator adds up over
hyperparameters; where it would not, the sum is refused.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.columns import Columns
from avatar_optuna.exceptions import StudyError
from avatar_optuna.feasibility import Feasibility
from avatar_optuna.front._pareto import Values, non_dominated
from avatar_optuna.hyperparameters import NAMES

Effectiveness = Callable[[Columns], npt.NDArray[np.float64]]
Costs = Callable[[Columns], npt.NDArray[np.float64]]

_SHAPE = (
    "vocab_size",
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "max_sequence_length",
    "position_embedding_type",
)
_MAX_CHUNK = 500_000


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """Steps of the lattice; a space that is coarser keeps its own. The ends of every range are always points."""

    vocab_size: int = 1000
    hidden_size: int = 16
    intermediate_size: int = 32
    max_sequence_length: int = 32

    def axis(self, name: str, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The points of one hyperparameter, all values of the space."""
        step = getattr(self, name, 1)
        if step == 1 or len(values) < 3:
            return values
        wanted = np.arange(-(-values[0] // step) * step, values[-1] + 1, step)
        places = np.clip(np.searchsorted(values, wanted), 0, len(values) - 1)
        return np.unique(np.concatenate([values[[0, -1]], values[places]]))


@dataclass(frozen=True, kw_only=True, eq=False)
class ExactFront:
    """The front of the lattice.

    Args:
        values: Shape (points, objectives), minimised (effectiveness with its sign turned).
        columns: The configurations.
        looked_at: Number of feasible points of the lattice.
    """

    values: Values
    columns: Columns
    looked_at: int


def exact_front(
    feasibility: Feasibility, effectiveness: Effectiveness, costs: Costs, *, resolution: Resolution | None = None
) -> ExactFront:
    """Look at every feasible point of the lattice.

    Args:
        feasibility: The space and its constraints.
        effectiveness: Of columns, shape (n,); an increasing function of a sum over hyperparameters.
        costs: Of columns, shape (n, costs), to be minimised; a function of the student's shape alone.
        resolution: Steps of the lattice.

    Raises:
        StudyError: The effectiveness of hyperparameters that cost nothing depends on the shape.
    """
    resolution = resolution or Resolution()
    lattice = feasibility.lattice
    axes = {name: resolution.axis(name, lattice.axes[NAMES.index(name)]) for name in _SHAPE}
    best = _best_free_values(feasibility, effectiveness)
    front_values = np.zeros((0, 0))
    front_columns: Mapping[str, npt.NDArray[Any]] = {}
    looked_at = 0
    for chunk in _chunks(axes, best):
        feasible = feasibility.holds(chunk)
        looked_at += int(feasible.sum())
        columns = {name: chunk.values[name][feasible] for name in NAMES}
        if not feasible.any():
            continue
        kept = Columns(values=columns)
        values = np.column_stack([-effectiveness(kept), costs(kept)])
        if front_values.size:
            values = np.concatenate([front_values, values])
            columns = {name: np.concatenate([front_columns[name], columns[name]]) for name in NAMES}
        on_front = np.flatnonzero(_filtered(values))
        front_values, front_columns = values[on_front], {name: columns[name][on_front] for name in NAMES}
    return ExactFront(values=front_values, columns=Columns(values=front_columns), looked_at=looked_at)


def _best_free_values(feasibility: Feasibility, effectiveness: Effectiveness) -> dict[str, Any]:
    """For each hyperparameter that costs nothing, the value that is best whatever the rest is.

    Raises:
        StudyError: No value is, on a few hundred random configurations.
    """
    lattice = feasibility.lattice
    rng = np.random.default_rng(0)
    probes = rng.integers(0, lattice.sizes, size=(200, len(NAMES)))
    best = {}
    for index, name in enumerate(NAMES):
        if name in _SHAPE:
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
        best[name] = lattice.axes[index][winner]
    return best


def _chunks(axes: Mapping[str, npt.NDArray[Any]], best: Mapping[str, Any]) -> Iterator[Columns]:
    """The lattice in pieces of some two million points: one kind of positions, number of heads and of layers each."""
    outer = ("position_embedding_type", "num_attention_heads", "num_hidden_layers")
    inner = [name for name in _SHAPE if name not in outer]
    for kind, heads, layers in itertools.product(*(axes[name] for name in outer)):
        widths = axes["hidden_size"][axes["hidden_size"] % heads == 0]
        per_width = int(np.prod([len(axes[name]) for name in inner if name != "hidden_size"]))
        for part in _parts(widths, max(_MAX_CHUNK // max(per_width, 1), 1)):
            grids = np.meshgrid(*(part if name == "hidden_size" else axes[name] for name in inner), indexing="ij")
            size = grids[0].size
            values = {name: grid.reshape(-1) for name, grid in zip(inner, grids, strict=True)}
            fixed = {**best, **dict(zip(outer, (kind, heads, layers), strict=True))}
            yield Columns(values={**values, **{name: np.full(size, value) for name, value in fixed.items()}})


def _parts(values: npt.NDArray[Any], size: int) -> Sequence[npt.NDArray[Any]]:
    return [values[start : start + size] for start in range(0, len(values), size)]


def _filtered(values: Values) -> npt.NDArray[np.bool_]:
    """`non_dominated`, after a sample of the points has thrown out most of what it dominates."""
    kept = np.ones(len(values), dtype=np.bool_)
    if len(values) > 5_000:
        sample = values[np.random.default_rng(0).choice(len(values), 2_000, replace=False)]
        scout = sample[non_dominated(sample)]
        for point in scout[np.argsort(scout.sum(axis=1))][:60]:
            kept &= ~((point <= values).all(axis=1) & (point < values).any(axis=1))
    survivors = np.flatnonzero(kept)
    kept[survivors] = non_dominated(values[survivors])
    return kept
