"""Z3's solver of a space, with limits of time and memory, and the constraints that are to blame."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Any

import z3

from avatar_optuna.exceptions import StudyError

TIMEOUT_MS = 10_000
_ONE_CONSTRAINT_TIMEOUT_MS = 1_000
_GRACE_S = 0.5
_MEMORY_MB = 4_096

z3.set_param("memory_max_size", _MEMORY_MB)  # of all solvers of the process: Z3 has no limit of one


class UndecidedError(StudyError):
    """The solver ran out of time or memory."""


class ConstraintSolver:
    """Each constraint stands behind a mark, so that all or some of them can be assumed. Not for two threads at once.

    Args:
        context: Of all terms.
        facts: Terms that hold whatever is assumed: domains, and bounds that help.
        conditions: A term of each constraint, which is called by its place here.
    """

    def __init__(self, context: Any, *, facts: Sequence[Any], conditions: Sequence[Any]) -> None:
        self._context = context
        self._marks = [z3.Bool(f"constraint {index}", context) for index in range(len(conditions))]
        self._places = {str(mark): index for index, mark in enumerate(self._marks)}
        self._solver = z3.Solver(ctx=context)
        self._solver.add(*facts)
        for mark, condition in zip(self._marks, conditions, strict=True):
            self._solver.add(z3.Implies(mark, condition))

    @property
    def limits(self) -> str:
        """Such as "10 s and 4,096 MB"."""
        return f"{TIMEOUT_MS // 1000} s and {_MEMORY_MB:,} MB"

    def check(self, constraints: Iterable[int] | None = None, timeout_ms: int | None = None) -> Any:
        """The solver's answer under some constraints, or all; unknown where it ran out of time or memory.

        Z3 minds its own time limit only now and then, so it is interrupted besides.
        """
        marks = self._marks if constraints is None else [self._marks[index] for index in constraints]
        timeout_ms = TIMEOUT_MS if timeout_ms is None else timeout_ms
        self._solver.set("timeout", timeout_ms)
        timer = threading.Timer(timeout_ms / 1000 + _GRACE_S, self._context.interrupt)
        timer.daemon = True
        timer.start()
        try:
            return self._solver.check(marks)
        except z3.Z3Exception:
            return z3.unknown
        finally:
            timer.cancel()
            timer.join()

    def model(self) -> Any:
        """Of the last answer, which was that there is one."""
        return self._solver.model()

    def solve(self, conditions: Sequence[Any], timeout_ms: int) -> Any:
        """A model of all constraints and further conditions, or None where there is none.

        Raises:
            UndecidedError: The solver could not tell in time.
        """
        self._solver.push()
        try:
            self._solver.add(*conditions)
            answer = self.check(timeout_ms=timeout_ms)
            if answer == z3.unknown:
                raise UndecidedError(f"the solver cannot decide within {timeout_ms / 1000:g} s")
            return self._solver.model() if answer == z3.sat else None
        finally:
            self._solver.pop()

    def to_blame(self, conditions: Sequence[Any]) -> set[int]:
        """The constraints in the unsat core of further conditions; none where the solver finds no conflict."""
        self._solver.push()
        try:
            self._solver.add(*conditions)
            return self._core() if self.check() == z3.unsat else set()
        finally:
            self._solver.pop()

    def minimal_conflict(self) -> list[int]:
        """After an answer that nothing holds all constraints: some of which none can be left out."""
        left = sorted(self._core())
        for index in list(left):
            rest = [other for other in left if other != index]
            if self.check(rest) == z3.unsat:
                left = rest
        return left

    def undecided_alone(self, constraints: Iterable[int]) -> list[int]:
        """Those that the solver cannot decide even without the others."""
        return [index for index in constraints if self.check([index], _ONE_CONSTRAINT_TIMEOUT_MS) == z3.unknown]

    def _core(self) -> set[int]:
        return {self._places[str(mark)] for mark in self._solver.unsat_core()}
