"""The judge: is a student feasible, what may each hyperparameter be, and which constraint is to blame."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import z3
from z3.z3core import Z3_get_bool_value, Z3_simplify, Z3_substitute
from z3.z3util import get_vars

from avatar_optuna.configurations import ConfigurationTable, Lattice
from avatar_optuna.constraints import (
    COST_NAMES,
    PREDICTED_NAMES,
    Constraint,
    StudentReading,
    implied_constraints,
    parse_constraint,
)
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InfeasibleSpaceError, InputError, StudyError
from avatar_optuna.feasibility._terms import Terms, domains, from_term, make_variables, real_term, to_term
from avatar_optuna.objectives import reads
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration, UncheckedConfiguration

_TIMEOUT_MS = 10_000
_ROUNDING = 1e-9
_WITNESSES = 5_000


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
        constraints: Expressions (see `constraints`), besides those that the family implies.
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
        self.space, self.family, self.task_shape = space, space.family, task_shape
        self.lattice = Lattice(space)
        texts = dict.fromkeys([*implied_constraints(self.family), *constraints])
        self.constraints: tuple[Constraint, ...] = tuple(parse_constraint(text, self.family) for text in texts)
        self.predicted = dict(predicted or {})
        self._one_at_a_time = threading.RLock()  # Z3 crashes where two threads use, or free, terms of one context
        self._context = context = z3.Context()
        self._variables = make_variables(self.family, context)
        self._terms = Terms(
            family=self.family, task_shape=task_shape, variables=self._variables, predicted=self.predicted
        )
        self._conditions = [self._condition(constraint) for constraint in self.constraints]
        self._numerals: dict[tuple[str, Any], tuple[Any, Any]] = {}
        self._marks = [z3.Bool(f"constraint {index}", context) for index in range(len(self.constraints))]
        self._all = z3.And(self._conditions)
        self._read = frozenset(str(variable) for variable in get_vars(self._all))
        self._solver = z3.Solver(ctx=context)
        self._solver.set("timeout", _TIMEOUT_MS)
        self._solver.add(domains(self._variables, space))
        self._solver.add(self._predicted_bounds())
        for mark, condition in zip(self._marks, self._conditions, strict=True):
            self._solver.add(z3.Implies(mark, condition))
        self._refuse_conflict()

    def _condition(self, constraint: Constraint) -> Any:
        for rule in self.family.divides:
            if constraint.text == rule.text:  # as a product, which the solver multiplies out with ease
                v = self._variables
                return v[rule.dividend] == v[rule.quotient] * v[rule.divisor]
        return constraint.holds(self._terms)

    def _predicted_bounds(self) -> list[Any]:
        """What each predicted figure is at least and at most: true anyway, but hard for the solver to find out.

        Predictions grow with every size; so the cheapest values together bound them below, the dearest above.
        """
        used = {name for constraint in self.constraints for name in constraint.names} & set(self.predicted)
        axes = {name: axis.tolist() for name, axis in zip(self.lattice.names, self.lattice.axes, strict=True)}
        categories = [name for name in self.family.device_names if self.family.by_name[name].is_category]
        bounds = []
        for name in sorted(used):
            figures = [
                float(self.predicted[name](self._unchecked({**end, **dict(zip(categories, choices, strict=True))})))
                for end in ({n: axis[0] for n, axis in axes.items()}, {n: axis[-1] for n, axis in axes.items()})
                for choices in itertools.product(*(axes[category] for category in categories))
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
        codes = rng.integers(0, self.lattice.sizes, size=(_WITNESSES, len(self.lattice.names)))
        small = ((codes + 1.0) ** rng.random(codes.shape) - 1).astype(np.int64)
        columns = self.lattice.decode(np.concatenate([codes, small]))
        feasible = np.flatnonzero(self.holds(columns))
        if not len(feasible):
            return False
        return self.check({name: column[feasible[0]].item() for name, column in columns.values.items()}).feasible

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
            values: One for each hyperparameter, such as `Configuration.values`.

        Raises:
            KeyError: A hyperparameter is missing.
        """
        with self._one_at_a_time:
            return self._judged(values)

    def _judged(self, values: Mapping[str, Any]) -> Verdict:
        quotients = {
            rule.quotient: max(values[rule.dividend] // values[rule.divisor], 1) for rule in self.family.divides
        }
        read = [self._equality(name, values[name]) for name in self.family.names if name in self._read]
        ratios = [self._equality(name, ratio) for name, ratio in quotients.items()]
        if self._is_true(read + ratios):
            return _FEASIBLE
        return self._explain(values, [*(self._equality(name, values[name]) for name in self.family.names), *ratios])

    def _equality(self, name: str, value: Any) -> tuple[Any, Any]:
        """A variable and the numeral in its place, which takes Z3 longer to make than to use."""
        if (name, value) not in self._numerals:
            spec = self.family.by_name.get(name)
            numeral = to_term(spec, value, self._context) if spec is not None else z3.IntVal(value, self._context)
            self._numerals[name, value] = (self._variables[name], numeral)
        return self._numerals[name, value]

    def _is_true(self, substitution: Sequence[tuple[Any, Any]]) -> bool:
        """Whether all conditions hold with terms in place of variables: `z3.substitute` and `z3.simplify`, less their
        slow checks of every sort.
        """
        count, context = len(substitution), self._context.ref()
        variables, terms = (z3.Ast * count)(), (z3.Ast * count)()
        for index, (variable, term) in enumerate(substitution):
            variables[index], terms[index] = variable.as_ast(), term.as_ast()
        all_ = z3.BoolRef(Z3_substitute(context, self._all.as_ast(), count, variables, terms), self._context)
        answer = z3.BoolRef(Z3_simplify(context, all_.as_ast()), self._context)
        return bool(Z3_get_bool_value(context, answer.as_ast()) == z3.Z3_L_TRUE)

    def _explain(self, values: Mapping[str, Any], substitution: Sequence[tuple[Any, Any]]) -> Verdict:
        reading = StudentReading(student=self._unchecked(values), task_shape=self.task_shape, predicted=self.predicted)
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
            solver.add(
                [variable == value for variable, value in substitution if str(variable) not in self.family.quotients]
            )
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

    def satisfy(self, *conditions: Any, timeout_ms: int = _TIMEOUT_MS) -> Configuration | None:
        """A feasible configuration that also satisfies the conditions (Z3 terms), or None where there is none.

        Raises:
            UndecidedError: The solver could not tell in time.
        """
        with self._one_at_a_time:
            self._solver.set("timeout", timeout_ms)
            values = self._solve(conditions)
        return Configuration(self.family, values) if values is not None else None

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
            return {
                spec.name: from_term(spec, model.eval(self._variables[spec.name], model_completion=True))
                for spec in self.family.hyperparameters
            }
        finally:
            solver.pop()

    def variable(self, name: str) -> Any:
        """The Z3 variable of a hyperparameter."""
        return self._variables[name]

    def term(self, name: str, value: Any) -> Any:
        """A value of a hyperparameter as a Z3 numeral."""
        return to_term(self.family.by_name[name], value, self._context)

    def real(self, value: float) -> Any:
        """A number as a Z3 numeral."""
        return real_term(value, self._context)

    def costly_names(self) -> frozenset[str]:
        """Hyperparameters that some constraint depends on."""
        named: set[str] = set()
        for constraint in self.constraints:
            for name in constraint.names:
                if name in PREDICTED_NAMES:
                    named |= self.family.formula_names | self.family.device_names
                else:
                    named |= self._read_by(name)
        return frozenset(named)

    def _read_by(self, name: str) -> frozenset[str]:
        """The hyperparameters on which a number of an expression depends."""
        if name in self.family.names:
            return frozenset({name})
        if name in COST_NAMES or name in self.family.quotients:
            return self.family.formula_names
        return reads([name], self.family)

    def _unchecked(self, values: Mapping[str, Any]) -> UncheckedConfiguration:
        return UncheckedConfiguration(self.family, {name: values[name] for name in self.lattice.names})


def _what_arrived(constraint: Constraint, reading: StudentReading) -> str:
    """Such as ": size_mb is 12.41"."""
    facts = []
    for name in sorted(constraint.names):
        value = getattr(reading.student, name) if name in reading.student.family.names else reading.number(name)
        facts.append(f"{name} is {value:.6g}" if isinstance(value, float) else f"{name} is {value}")
    return f": {', '.join(facts)}" if facts else ""
