"""The judge: is a student feasible, what may each hyperparameter be, and which constraint is to blame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import z3

from avatar_optuna.configurations import ConfigurationTable, Lattice
from avatar_optuna.constraints import (
    COST_NAMES,
    HEADS_DIVIDE_WIDTH,
    PREDICTED_NAMES,
    Constraint,
    StudentReading,
    parse_constraint,
)
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InfeasibleSpaceError, InputError, StudyError
from avatar_optuna.feasibility._terms import Terms, domains, from_term, make_variables, to_term
from avatar_optuna.hyperparameters import CATEGORIES, NAMES, POSITION_EMBEDDING_TYPES, Hyperparameters
from avatar_optuna.space import SearchSpace

_TIMEOUT_MS = 10_000
_ROUNDING = 1e-9
_WITNESSES = 5_000
_COSTLY_NAMES = (
    "vocab_size",
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "max_sequence_length",
    "position_embedding_type",
)
_PREDICTED_COSTLY_NAMES = (*_COSTLY_NAMES, "hidden_act")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the judge says about one configuration.

    Args:
        feasible: Whether it satisfies everything.
        violated: How far each broken constraint is from holding, in the unit of its sides; empty where feasible.
        reason: The constraints of the unsat core, with what arrived, as a sentence; None where feasible.
    """

    feasible: bool
    violated: Mapping[str, float]
    reason: str | None


_FEASIBLE = Verdict(feasible=True, violated={}, reason=None)


class UndecidedError(StudyError):
    """The solver ran out of time."""


class Feasibility:
    """A space and its constraints. One that no configuration satisfies cannot be made.

    Args:
        space: The search space.
        constraints: Expressions (see `constraints`); heads dividing the width is implied.
        task_shape: Single functions or pairs: the costs depend on it.
        predicted: For names such as `latency_ms`: a function of a shape, of ints, arrays or terms alike.

    Raises:
        InputError: An expression is not allowed, or names a figure that has no cost model.
        InfeasibleSpaceError: No configuration satisfies all constraints; it names those in conflict.
    """

    def __init__(
        self,
        *,
        space: SearchSpace,
        constraints: Sequence[str],
        task_shape: TaskShape,
        predicted: Mapping[str, Callable[[Any], Any]] | None = None,
    ) -> None:
        self.space, self.task_shape = space, task_shape
        self.lattice = Lattice(space)
        texts = dict.fromkeys([HEADS_DIVIDE_WIDTH, *constraints])
        self.constraints: tuple[Constraint, ...] = tuple(parse_constraint(text) for text in texts)
        self.predicted = dict(predicted or {})
        self._one_at_a_time = threading.RLock()  # Z3 crashes where two threads use, or free, terms of one context
        context = z3.Context()
        self._variables = make_variables(context)
        self._terms = Terms(task_shape=task_shape, variables=self._variables, predicted=self.predicted)
        self._conditions = [self._condition(constraint) for constraint in self.constraints]
        self._marks = [z3.Bool(f"constraint {index}", context) for index in range(len(self.constraints))]
        self._all = z3.And(self._conditions)
        self._solver = z3.Solver(ctx=context)
        self._solver.set("timeout", _TIMEOUT_MS)
        self._solver.add(domains(self._variables, space))
        self._solver.add(self._predicted_bounds())
        for mark, condition in zip(self._marks, self._conditions, strict=True):
            self._solver.add(z3.Implies(mark, condition))
        self._refuse_conflict()

    def _condition(self, constraint: Constraint) -> Any:
        if constraint.text == HEADS_DIVIDE_WIDTH:  # as a product, which the solver multiplies out with ease
            v = self._variables
            return v["hidden_size"] == v["head_size"] * v["num_attention_heads"]
        return constraint.holds(self._terms)

    def _predicted_bounds(self) -> list[Any]:
        """What each predicted figure is at least and at most: true anyway, but hard for the solver to find out.

        Predictions grow with every size; so the cheapest values together bound them below, the dearest above.
        """
        used = {name for constraint in self.constraints for name in constraint.names} & set(self.predicted)
        axes = {name: self.lattice.axes[index].tolist() for index, name in enumerate(NAMES)}
        bounds = []
        for name in sorted(used):
            figures = [
                float(self.predicted[name](_fixed({**end, "position_embedding_type": kind, "hidden_act": activation})))
                for end in ({n: axis[0] for n, axis in axes.items()}, {n: axis[-1] for n, axis in axes.items()})
                for kind in axes["position_embedding_type"]
                for activation in axes["hidden_act"]
            ]
            term = self.predicted[name](self._terms)
            bounds += [term >= min(figures) * (1 - _ROUNDING), term <= max(figures) * (1 + _ROUNDING)]
        return bounds

    def _refuse_conflict(self) -> None:
        if self._has_witness():
            return
        answer = self._solver.check(self._marks)
        if answer == z3.unsat:
            raise InfeasibleSpaceError(self._minimal_conflict())
        if answer == z3.unknown:
            raise InputError("constraints: the solver cannot decide whether any configuration satisfies them")

    def _has_witness(self) -> bool:
        """Whether one of some thousand draws is feasible, as the solver confirms: most spaces need no more proof."""
        rng = np.random.default_rng(0)
        codes = rng.integers(0, self.lattice.sizes, size=(_WITNESSES, len(NAMES)))
        small = ((codes + 1.0) ** rng.random(codes.shape) - 1).astype(np.int64)
        columns = self.lattice.decode(np.concatenate([codes, small]))
        feasible = np.flatnonzero(self.holds(columns))
        if not len(feasible):
            return False
        return self.check({name: columns.values[name][feasible[0]].item() for name in NAMES}).feasible

    def _minimal_conflict(self) -> list[str]:
        """An unsat core from which no constraint can be left out."""
        core = {str(mark) for mark in self._solver.unsat_core()}
        marks = [mark for mark in self._marks if str(mark) in core]
        for mark in list(marks):
            rest = [other for other in marks if other is not mark]
            if self._solver.check(rest) == z3.unsat:
                marks = rest
        left = {str(mark) for mark in marks}
        return [c.text for c, mark in zip(self.constraints, self._marks, strict=True) if str(mark) in left]

    # One configuration ------------------------------------------------------------------------------------------------

    def check(self, values: Mapping[str, Any]) -> Verdict:
        """Judge one configuration.

        Args:
            values: The thirteen, such as `Hyperparameters.to_dict()`.

        Raises:
            KeyError: One of the thirteen is missing.
        """
        with self._one_at_a_time:
            return self._judged(values)

    def _judged(self, values: Mapping[str, Any]) -> Verdict:
        substitution = [(self._variables[name], self.term(name, values[name])) for name in NAMES]
        heads = values["num_attention_heads"]
        head_size = max(values["hidden_size"] // heads, 1)
        substitution.append((self._variables["head_size"], self.term("head_size", head_size)))
        if z3.is_true(z3.simplify(z3.substitute(self._all, substitution))):
            return _FEASIBLE
        return self._explain(values, substitution)

    def _explain(self, values: Mapping[str, Any], substitution: Sequence[tuple[Any, Any]]) -> Verdict:
        reading = StudentReading(student=_fixed(values), task_shape=self.task_shape, predicted=self.predicted)
        broken = [
            constraint
            for constraint, condition in zip(self.constraints, self._conditions, strict=True)
            if not z3.is_true(z3.simplify(z3.substitute(condition, *substitution)))
        ]
        amounts = {constraint.text: constraint.violation(reading) for constraint in broken}
        violated = {text: amount if amount > 0 else 1.0 for text, amount in amounts.items()}
        core = self._core(substitution)
        named = [c for c in broken if c.text in core] or broken
        facts = [f"{c.text} is broken{_what_arrived(c, reading)}" for c in named]
        return Verdict(feasible=False, violated=violated, reason="; ".join(facts))

    def _core(self, substitution: Sequence[tuple[Any, Any]]) -> set[str]:
        """Texts of the constraints in the unsat core of a fixed configuration."""
        solver = self._solver
        solver.push()
        try:
            solver.add([variable == value for variable, value in substitution if str(variable) != "head_size"])
            if solver.check(self._marks) != z3.unsat:
                return set()
            core = {str(mark) for mark in solver.unsat_core()}
        finally:
            solver.pop()
        return {c.text for c, mark in zip(self.constraints, self._marks, strict=True) if str(mark) in core}

    # Many configurations ----------------------------------------------------------------------------------------------

    def holds(self, columns: ConfigurationTable) -> npt.NDArray[np.bool_]:
        """Which of many configurations hold all constraints, by the same expressions over arrays; shape (n,)."""
        result = np.ones(len(columns), dtype=np.bool_)
        for held in self.held(columns).values():
            result &= held
        return result

    def held(self, columns: ConfigurationTable) -> dict[str, npt.NDArray[np.bool_]]:
        """Which of many configurations hold each constraint; shape (n,) each."""
        reading = StudentReading(student=columns, task_shape=self.task_shape, predicted=self.predicted)
        return {
            c.text: np.broadcast_to(np.asarray(c.holds(reading), dtype=np.bool_), (len(columns),))
            for c in self.constraints
        }

    # The solver -------------------------------------------------------------------------------------------------------

    def satisfy(self, *conditions: Any, timeout_ms: int = _TIMEOUT_MS) -> Hyperparameters | None:
        """A feasible configuration that also satisfies the conditions (Z3 terms), or None where there is none.

        Raises:
            UndecidedError: The solver could not tell in time.
        """
        with self._one_at_a_time:
            self._solver.set("timeout", timeout_ms)
            values = self._solve(conditions)
        return Hyperparameters.from_mapping(values) if values is not None else None

    def _solve(self, conditions: Sequence[Any]) -> dict[str, Any] | None:
        solver = self._solver
        solver.push()
        try:
            solver.add(list(conditions))
            answer = solver.check(self._marks)
            if answer == z3.unknown:
                raise UndecidedError(f"the solver cannot decide: {solver.reason_unknown()}")
            if answer == z3.unsat:
                return None
            model = solver.model()
            return {name: from_term(name, model.eval(self._variables[name], model_completion=True)) for name in NAMES}
        finally:
            solver.pop()

    def variable(self, name: str) -> Any:
        """The Z3 variable of a hyperparameter."""
        return self._variables[name]

    def term(self, name: str, value: Any) -> Any:
        """A value of a hyperparameter (or any number, under another name) as a Z3 numeral."""
        return to_term(name, value, self._variables["head_size"].ctx)

    def costly_names(self) -> frozenset[str]:
        """Hyperparameters that some constraint depends on."""
        named: set[str] = set()
        for constraint in self.constraints:
            for name in constraint.names:
                if name in PREDICTED_NAMES:
                    named |= set(_PREDICTED_COSTLY_NAMES)
                else:
                    named |= set(_COSTLY_NAMES) if name in COST_NAMES else {name}
        return frozenset(named)


def _fixed(values: Mapping[str, Any]) -> SimpleNamespace:
    """A shape of plain values that need not divide evenly."""
    kind = values["position_embedding_type"]
    return SimpleNamespace(
        **values,
        head_size=max(values["hidden_size"] // values["num_attention_heads"], 1),
        has_absolute_positions=int(kind == "absolute"),
        num_distance_products=POSITION_EMBEDDING_TYPES.index(kind),
    )


def _what_arrived(constraint: Constraint, reading: StudentReading) -> str:
    """Such as ": size_mb is 12.41"."""
    facts = []
    for name in sorted(constraint.names):
        value = getattr(reading.student, name) if name in CATEGORIES else reading.number(name)
        facts.append(f"{name} is {value:.6g}" if isinstance(value, float) else f"{name} is {value}")
    return f": {', '.join(facts)}" if facts else ""
