"""Exact tight bounds of every hyperparameter, and how much of the space is feasible."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.configurations import Codes, ConfigurationTable
from avatar_optuna.feasibility._boxes import Boxes, judged, shaved, whole_space
from avatar_optuna.feasibility._feasibility import Feasibility
from avatar_optuna.feasibility._solver import UndecidedError

_TIMEOUT_MS = 1_000
_MAX_BOXES = 60_000
_BATCH = 2_000
_CONFIRMED = 100


@dataclass(frozen=True, kw_only=True)
class TightenedSpace(Stored):
    """What a space allows once its constraints are counted in.

    Args:
        ranges: For a number (lowest, highest) that a feasible configuration can have; for a category the values.
        asked: The same, of the space alone.
        exact: Whether every end is the last value that a feasible configuration has: Z3 found such a configuration,
            and beyond it intervals or Z3 ruled out all. Else a range is wider than it need be.
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
        if not self.broken_alone:
            return None
        binding = max(self.broken_alone, key=lambda text: (self.broken_alone[text], self.broken[text]))
        return binding if self.broken[binding] > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**super().to_dict(), "binding": self.binding}


def tighten(feasibility: Feasibility, *, draws: int = 400_000, seed: int = 0) -> TightenedSpace:
    """Ask the solver for the exact range of every hyperparameter; count the feasible share by drawing."""
    begun = time.perf_counter()
    names = feasibility.lattice.names
    asked = {name: _asked(feasibility, index) for index, name in enumerate(names)}
    concerned = feasibility.costly_names()
    asker = _Asker(feasibility, seed=seed)
    ranges = {name: asker.tightened(index) if name in concerned else asked[name] for index, name in enumerate(names)}
    seconds = time.perf_counter() - begun
    broken, alone, feasible = _count(feasibility, draws, np.random.default_rng(seed))
    return TightenedSpace(
        ranges=ranges,
        asked=asked,
        exact=asker.decided,
        share=feasible / draws,
        share_interval=wilson(feasible, draws),
        draws=draws,
        broken=broken,
        broken_alone=alone,
        seconds=seconds,
    )


def _asked(feasibility: Feasibility, index: int) -> tuple[Any, ...]:
    axis = feasibility.lattice.axes[index].tolist()
    return (axis[0], axis[-1]) if feasibility.lattice.is_numeric[index] else tuple(axis)


class _Asker:
    """Finds bounds by branch and bound over boxes; what intervals cannot decide in time is put to the solver."""

    def __init__(self, feasibility: Feasibility, *, seed: int) -> None:
        self._feasibility = feasibility
        self._rng = np.random.default_rng(seed)
        self._whole = whole_space(feasibility)
        self._is_numeric = feasibility.lattice.is_numeric
        self._witnesses: Codes = np.zeros((0, len(feasibility.lattice.names)), dtype=np.int64)
        self.decided = True

    def tightened(self, index: int) -> tuple[Any, ...]:
        """The range of a number or the possible values of a category."""
        axis = self._feasibility.lattice.axes[index].tolist()
        if not self._is_numeric[index]:
            return tuple(value for code, value in enumerate(axis) if self._possible(index, code))
        low, high = self._farthest(index, upward=False), self._farthest(index, upward=True)
        if self._feasibility.lattice.is_continuous[index]:
            low, high = self._between_steps(index, low, upward=False), self._between_steps(index, high, upward=True)
        return (axis[low], axis[high])

    def _between_steps(self, index: int, code: int, *, upward: bool) -> int:
        """The end of a range without steps, moved outward where the solver cannot rule out what lies beyond it."""
        axis, name = self._feasibility.lattice.axes[index], self._feasibility.lattice.names[index]
        end = len(axis) - 1 if upward else 0
        if code == end:
            return code
        variable, limit = self._feasibility.variable(name), self._feasibility.term(name, axis[code])
        try:
            beyond = self._feasibility.satisfy(variable > limit if upward else variable < limit, timeout_ms=_TIMEOUT_MS)
            if beyond is None:
                return code
        except UndecidedError:
            beyond = None
        self.decided = False
        if beyond is None:
            return end
        # As far as feasible values are known, and one step more, for the solver was not asked for the farthest.
        return self._between_steps(index, min(code + 1, end) if upward else max(code - 1, end), upward=upward)

    def _possible(self, index: int, code: int) -> bool:
        """Whether a feasible configuration has this category."""
        part = self._whole.chosen(self._whole.low[:, index] == code)
        return self._search(part, index, upward=True) is not None

    def _farthest(self, index: int, *, upward: bool) -> int:
        """The last code, in one direction, that a feasible configuration has."""
        farthest = self._search(self._whole, index, upward=upward)
        end = int(self._feasibility.lattice.sizes[index]) - 1
        return farthest if farthest is not None else (end if upward else 0)

    def _search(self, boxes: Boxes, index: int, *, upward: bool) -> int | None:
        """The farthest code of one hyperparameter that a feasible configuration of the boxes has, or None.

        Boxes that cannot hold a better one are dropped, the others probed and halved, until none is left.
        """
        concerned = self._feasibility.costly_names()
        is_concerned = np.asarray([name in concerned for name in self._feasibility.lattice.names])
        columns = np.flatnonzero(is_concerned & self._is_numeric)
        best = self._best_known(boxes, index, upward)
        seen = 0
        while len(boxes):
            if seen > _MAX_BOXES:
                return self._put_to_the_solver(boxes, index, best, upward)
            batch, boxes = boxes.chosen(slice(-_BATCH, None)), boxes.chosen(slice(None, -_BATCH))
            batch = _beyond(batch, index, best, upward)
            batch = batch.chosen(judged(self._feasibility, batch)[0])
            if not len(batch):
                continue
            seen += len(batch)
            batch = shaved(self._feasibility, batch, columns)
            best = self._probed(batch, index, best, upward)
            points = (batch.low == batch.high).all(axis=1)  # probed: there is nothing more to find in them
            batch = _beyond(batch.chosen(~points), index, best, upward)
            if len(batch):
                boxes = Boxes.joined([boxes, batch.halved(columns)])
        return best

    def _best_known(self, boxes: Boxes, index: int, upward: bool) -> int | None:
        witnesses = self._witnesses[:, None, :]
        inside = np.all((witnesses >= boxes.low[None]) & (witnesses <= boxes.high[None]), axis=2)
        codes = self._witnesses[np.flatnonzero(np.any(inside, axis=1)), index]
        return None if not len(codes) else int(codes.max() if upward else codes.min())

    def _probed(self, boxes: Boxes, index: int, best: int | None, upward: bool) -> int | None:
        """Look at a few points of each box, all of them at its far end; what is feasible is confirmed and kept."""
        inside = boxes.low + np.rint(self._rng.random(boxes.low.shape) * (boxes.high - boxes.low)).astype(np.int64)
        for codes in (boxes.low.copy(), boxes.high.copy(), inside):
            codes[:, index] = (boxes.high if upward else boxes.low)[:, index]
            feasible = np.flatnonzero(self._feasibility.holds(self._feasibility.lattice.decode(codes)))
            if not len(feasible):
                continue
            places = codes[feasible, index]
            place = int(places.argmax() if upward else places.argmin())
            if best is None or (places[place] > best if upward else places[place] < best):
                best = int(places[place])
                self._keep(codes[feasible[place]])
        return best

    def _keep(self, codes: Codes) -> None:
        """Remember a feasible configuration: it is a witness for the other bounds too.

        Raises:
            StudyError: The solver disagrees.
        """
        self._feasibility.confirm(self._feasibility.lattice.decode(codes[None]), np.ones(1, dtype=np.bool_))
        self._witnesses = np.concatenate([self._witnesses, codes[None]])

    def _put_to_the_solver(self, boxes: Boxes, index: int, best: int | None, upward: bool) -> int | None:
        """Bisection between what is known and the end of what is left, jumping to what models show."""
        left = _beyond(boxes, index, best, upward)
        if not len(left):
            return best
        lattice, sign = self._feasibility.lattice, 1 if upward else -1
        name, axis, is_numeric = lattice.names[index], lattice.axes[index], bool(lattice.is_numeric[index])
        variable = self._feasibility.variable(name)
        places = sign * np.concatenate([left.low[:, index], left.high[:, index]])
        known, end = (sign * best if best is not None else int(places.min()) - 1), int(places.max())
        nothing, middle = known if best is None else None, end  # the end first: most often it stays
        while known < end:
            limit = self._feasibility.term(name, axis[sign * middle])
            try:
                condition = _at_or_beyond(variable, limit, upward) if is_numeric else variable == limit
                student = self._feasibility.satisfy(condition, timeout_ms=_TIMEOUT_MS)
            except UndecidedError:
                self.decided = False
                return sign * end
            if student is None:
                end = middle - 1
            else:
                known = max(middle, sign * int(np.flatnonzero(axis <= student.value(name))[-1])) if is_numeric else end
            middle = (known + end + 1) // 2
        return None if known == nothing else sign * known


def _at_or_beyond(variable: Any, limit: Any, upward: bool) -> Any:
    return variable >= limit if upward else variable <= limit


def _beyond(boxes: Boxes, index: int, best: int | None, upward: bool) -> Boxes:
    """The part of each box that lies farther than what is known."""
    if best is None or not len(boxes):
        return boxes
    low, high = boxes.low.copy(), boxes.high.copy()
    if upward:
        low[:, index] = np.maximum(low[:, index], best + 1)
    else:
        high[:, index] = np.minimum(high[:, index], best - 1)
    return Boxes(low=low, high=high).chosen(low[:, index] <= high[:, index])


def _count(
    feasibility: Feasibility, draws: int, rng: np.random.Generator
) -> tuple[dict[str, float], dict[str, float], int]:
    texts = [constraint.text for constraint in feasibility.constraints]
    broken, alone, feasible = dict.fromkeys(texts, 0), dict.fromkeys(texts, 0), 0
    for start in range(0, draws, 100_000):
        count = min(100_000, draws - start)
        columns = feasibility.lattice.decode(uniform_codes(feasibility, count, rng))
        held = feasibility.held(columns)
        failures = np.zeros(count, dtype=np.int64)
        for text in texts:
            failures += ~held[text]
        feasible += int((failures == 0).sum())
        if start == 0:
            _confirm(feasibility, columns, failures == 0)
        for text in texts:
            broken[text] += int((~held[text]).sum())
            alone[text] += int((~held[text] & (failures == 1)).sum())
    return ({t: n / draws for t, n in broken.items()}, {t: n / draws for t, n in alone.items()}, feasible)


def _confirm(feasibility: Feasibility, columns: ConfigurationTable, held: npt.NDArray[np.bool_]) -> None:
    """Have Z3 look at some of what arithmetic found feasible, and at some of what it did not."""
    rows = np.concatenate([np.flatnonzero(held)[:_CONFIRMED], np.flatnonzero(~held)[:_CONFIRMED]])
    chosen = {name: column[rows] for name, column in columns.values.items()}
    feasibility.confirm(ConfigurationTable(family=columns.family, values=chosen), held[rows])


def uniform_codes(feasibility: Feasibility, count: int, rng: np.random.Generator) -> Codes:
    """Codes drawn uniformly, every value of a hyperparameter as likely as another; shape (count, hyperparameters)."""
    sizes = feasibility.lattice.sizes
    return np.asarray(rng.integers(0, sizes, size=(count, len(sizes))), dtype=np.int64)


def wilson(successes: int, draws: int, z: float = 1.96) -> tuple[float, float]:
    share = successes / draws
    centre = (share + z * z / (2 * draws)) / (1 + z * z / draws)
    half = z / (1 + z * z / draws) * math.sqrt(share * (1 - share) / draws + z * z / (4 * draws * draws))
    return (max(centre - half, 0.0), min(centre + half, 1.0))
