"""Exact tight bounds of every hyperparameter, and how much of the space is feasible."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from avatar_optuna.columns import Codes
from avatar_optuna.feasibility._feasibility import Feasibility, UndecidedError
from avatar_optuna.hyperparameters import CATEGORIES, NAMES, Hyperparameters

_BOUND_TIMEOUT_MS = 300
_SPLIT_BY = ("num_attention_heads", "num_hidden_layers", "position_embedding_type")


@dataclass(frozen=True, kw_only=True)
class Tightened:
    """What a space allows once its constraints are counted in.

    Args:
        ranges: For a number (lowest, highest) that a feasible configuration can have; for a category the values.
        asked: The same, of the space alone.
        exact: Whether the solver decided every bound; where it ran out of time a range is wider than it need be.
        share: Share of uniform draws that are feasible.
        share_interval: Its 95 % interval (Wilson).
        draws: Number of draws behind the share.
        broken: Share of draws that break each constraint.
        broken_alone: Share of draws that break only this constraint: what dropping it would make feasible.
        seconds: Time that the bounds took.
    """

    ranges: Mapping[str, tuple[Any, ...]]
    asked: Mapping[str, tuple[Any, ...]]
    exact: bool
    share: float
    share_interval: tuple[float, float]
    draws: int
    broken: Mapping[str, float]
    broken_alone: Mapping[str, float]
    seconds: float

    @property
    def binding(self) -> str | None:
        """The constraint without which most of the draws would be feasible that are not; None where all are."""
        binding = max(self.broken_alone, key=lambda text: (self.broken_alone[text], self.broken[text]))
        return binding if self.broken[binding] > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        for key in ("ranges", "asked"):
            values[key] = {name: list(bounds) for name, bounds in values[key].items()}
        return {**values, "share_interval": list(self.share_interval), "binding": self.binding}


def tighten(feasibility: Feasibility, *, draws: int = 400_000, seed: int = 0) -> Tightened:
    """Ask the solver for the exact range of every hyperparameter; count the feasible share by drawing."""
    begun = time.perf_counter()
    asked = {name: _asked(feasibility, index, name) for index, name in enumerate(NAMES)}
    concerned = feasibility.costly_names()
    asker = _Asker(feasibility)
    ranges = {
        name: asker.tightened(index, name) if name in concerned else asked[name] for index, name in enumerate(NAMES)
    }
    seconds = time.perf_counter() - begun
    broken, alone, feasible = _count(feasibility, draws, np.random.default_rng(seed))
    return Tightened(
        ranges=ranges,
        asked=asked,
        exact=asker.decided,
        share=feasible / draws,
        share_interval=_wilson(feasible, draws),
        draws=draws,
        broken=broken,
        broken_alone=alone,
        seconds=seconds,
    )


def _asked(feasibility: Feasibility, index: int, name: str) -> tuple[Any, ...]:
    axis = feasibility.lattice.axes[index].tolist()
    return tuple(axis) if name in CATEGORIES else (axis[0], axis[-1])


class _Asker:
    """Asks the solver for bounds, and remembers whether it ever ran out of time."""

    def __init__(self, feasibility: Feasibility) -> None:
        self._feasibility = feasibility
        self.decided = True

    def tightened(self, index: int, name: str) -> tuple[Any, ...]:
        """The range of a number or the possible values of a category."""
        axis, variable = self._feasibility.lattice.axes[index].tolist(), self._feasibility.variable(name)
        if name in CATEGORIES:
            return tuple(
                value for value in axis if self._possible(name, variable == self._feasibility.term(name, value), value)
            )
        low = self._last(name, axis[::-1], lambda limit: variable <= self._feasibility.term(name, limit))
        high = self._last(name, axis, lambda limit: variable >= self._feasibility.term(name, limit))
        return (low, high)

    def _possible(self, name: str, condition: Any, otherwise: Any) -> Any:
        """What a feasible configuration under the condition has for `name`; None where there is none."""
        try:
            found = self._solved((condition,), _SPLIT_BY)
        except UndecidedError:
            self.decided = False
            return otherwise
        return getattr(found, name) if found is not None else None

    def _solved(self, conditions: tuple[Any, ...], split_by: tuple[str, ...]) -> Hyperparameters | None:
        """A configuration under the conditions; a question too hard for the solver is asked in parts.

        Raises:
            UndecidedError: A part that cannot be split further is still too hard.
        """
        try:
            return self._feasibility.satisfy(*conditions, timeout_ms=_BOUND_TIMEOUT_MS)
        except UndecidedError:
            if not split_by:
                raise
        name, undecided = split_by[0], None
        for value in self._feasibility.lattice.axes[NAMES.index(name)].tolist():
            part = self._feasibility.variable(name) == self._feasibility.term(name, value)
            try:
                found = self._solved((*conditions, part), split_by[1:])
            except UndecidedError as error:
                undecided = error
                continue
            if found is not None:
                return found
        if undecided is not None:
            raise undecided
        return None

    def _last(self, name: str, ordered: list[Any], beyond: Callable[[Any], Any]) -> Any:
        """The last value in this order that a feasible configuration has: bisection that jumps to what models show."""
        place = {value: position for position, value in enumerate(ordered)}
        known, impossible = 0, len(ordered)
        middle = impossible - 1  # the end of the range first: most often it stays
        while impossible - known > 1:
            found = self._possible(name, beyond(ordered[middle]), ordered[middle])
            if found is None:
                impossible = middle
            else:
                known = max(middle, place.get(found, middle))
            middle = (known + impossible) // 2
        return ordered[known]


def _count(
    feasibility: Feasibility, draws: int, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float], int]:
    texts = [constraint.text for constraint in feasibility.constraints]
    broken, alone, feasible = dict.fromkeys(texts, 0), dict.fromkeys(texts, 0), 0
    for start in range(0, draws, 100_000):
        count = min(100_000, draws - start)
        held = feasibility.held(feasibility.lattice.decode(uniform_codes(feasibility, count, rng)))
        failures = np.sum([~held[text] for text in texts], axis=0)
        feasible += int((failures == 0).sum())
        for text in texts:
            broken[text] += int((~held[text]).sum())
            alone[text] += int((~held[text] & (failures == 1)).sum())
    return ({t: n / draws for t, n in broken.items()}, {t: n / draws for t, n in alone.items()}, feasible)


def uniform_codes(feasibility: Feasibility, count: int, rng: np.random.Generator) -> Codes:
    """Codes drawn uniformly, every value of a hyperparameter as likely as another; shape (count, 13)."""
    return np.asarray(rng.integers(0, feasibility.lattice.sizes, size=(count, len(NAMES))), dtype=np.int64)


def _wilson(successes: int, draws: int, z: float = 1.96) -> tuple[float, float]:
    share = successes / draws
    centre = (share + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(share * (1 - share) / draws + z * z / (4 * draws * draws))
    return (max(centre - half, 0.0), min(centre + half, 1.0))
