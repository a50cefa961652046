"""The judge: is a student feasible, what may each hyperparameter be, and which constraint is to blame."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
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
    ExactReading,
    implied_constraints,
    parse_constraint,
)
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InfeasibleSpaceError, InputError, StudyError
from avatar_optuna.feasibility._intervals import Ends, IntervalReading, verdict
from avatar_optuna.feasibility._solver import TIMEOUT_MS, ConstraintSolver
from avatar_optuna.feasibility._terms import Terms, domains, from_term, make_variables, to_term
from avatar_optuna.objectives import reads
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration, UncheckedConfiguration

_ROUNDING = 1e-9
_WITNESSES = 5_000
_KEPT_VERDICTS = 65_536


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

    Attributes:
        witness: A feasible configuration, as the solver confirmed.
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
        texts = dict.fromkeys([*implied_constraints(self.family), *constraints])
        self.constraints: tuple[Constraint, ...] = tuple(parse_constraint(text, self.family) for text in texts)
        self.lattice = Lattice(space, points=self._limits())
        self.predicted = dict(predicted or {})
        self._read_names = [self._names_read(constraint) for constraint in self.constraints]
        self._held_exactly = lru_cache(maxsize=_KEPT_VERDICTS)(self._held_exactly_uncached)
        self._one_at_a_time = threading.RLock()  # Z3 crashes where two threads use, or free, terms of one context
        self._context = context = z3.Context()
        self._variables = make_variables(space, context)
        self._terms = Terms(
            family=self.family, task_shape=task_shape, variables=self._variables, predicted=self.predicted
        )
        self._conditions = [self._condition(constraint) for constraint in self.constraints]
        self._numerals: dict[tuple[str, Any], tuple[Any, Any]] = {}
        self._all = z3.And(self._conditions)
        self._read = frozenset(str(variable) for variable in get_vars(self._all))
        facts = [*domains(self._variables, space), *self._predicted_bounds()]
        self._solver = ConstraintSolver(context, facts=facts, conditions=self._conditions)
        self.witness: UncheckedConfiguration
        self._refuse_conflict()

    @property
    def members(self) -> tuple[Feasibility, ...]:
        """The judges of its families: itself."""
        return (self,)

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

    def _limits(self) -> dict[str, list[float]]:
        """The numbers that constraints compare each real hyperparameter with: a lattice of steps may miss them."""
        return {
            spec.name: sorted({number for c in self.constraints if spec.name in c.names for number in c.constants})
            for spec in self.space.hyperparameters
            if spec.kind == "real"
        }

    def _refuse_conflict(self) -> None:
        if self._has_witness():
            return
        answer = self._solver.check()
        if answer == z3.unsat:
            raise InfeasibleSpaceError([self.constraints[index].text for index in self._solver.minimal_conflict()])
        if answer == z3.unknown:
            raise InputError(
                f"constraints: Z3 cannot decide within {self._solver.limits} whether any configuration satisfies "
                f"{', '.join(map(repr, self._undecided()))}"
            )
        self._take_witness(self._values_of(self._solver.model()))

    def _undecided(self) -> list[str]:
        """The user's constraints that the solver cannot decide even alone; all of these where there is none."""
        texts = [constraint.text for constraint in self.constraints]
        own = [index for index, text in enumerate(texts) if text not in implied_constraints(self.family)]
        found = self._solver.undecided_alone(own) or own or range(len(texts))
        return [texts[index] for index in found]

    def _take_witness(self, values: Mapping[str, Any]) -> None:
        """Make what the solver found a point of the lattice, where a range has no steps of its own.

        Raises:
            InputError: It cannot be written in twelve digits.
            StudyError: Exact arithmetic says that it is infeasible.
        """
        if not self.check(values).feasible:
            real = {spec.name: values[spec.name] for spec in self.space.hyperparameters if spec.kind == "real"}
            raise InputError(
                f"constraints: the only configuration that Z3 finds has numbers of more than twelve digits: {real}"
            )
        self.witness = self._unchecked(values)
        points = {name: [*limits, float(values[name])] for name, limits in self._limits().items()}
        self.lattice = Lattice(self.space, points=points)
        self._confirm(values, held=bool(self.holds(ConfigurationTable.from_students([self.witness]))[0]))

    def _confirm(self, values: Mapping[str, Any], *, held: bool) -> None:
        if self._is_feasible(values) != held:
            raise StudyError(
                f"arithmetic and Z3 disagree, which is a fault of avatar_optuna: {dict(values)} is "
                f"{'feasible' if held else 'infeasible'}, and not so by Z3"
            )

    def confirm(self, columns: ConfigurationTable, held: npt.NDArray[np.bool_]) -> None:
        """Ask Z3 about some configurations whose verdict exact arithmetic gave.

        Raises:
            StudyError: Z3 disagrees with one, in either direction.
        """
        lists = {name: column.tolist() for name, column in columns.values.items()}
        with self._one_at_a_time:
            for row, verdict_ in enumerate(held.tolist()):
                self._confirm({name: values[row] for name, values in lists.items()}, held=verdict_)

    def _has_witness(self) -> bool:
        """Whether one of some thousand draws is feasible, as the solver confirms: most spaces need no more proof."""
        rng = np.random.default_rng(0)
        codes = rng.integers(0, self.lattice.sizes, size=(_WITNESSES, len(self.lattice.names)))
        small = ((codes + 1.0) ** rng.random(codes.shape) - 1).astype(np.int64)
        columns = self.lattice.decode(np.concatenate([codes, small]))
        feasible = np.flatnonzero(self.holds(columns))
        if not len(feasible):
            return False
        values = {name: column[feasible[0]].item() for name, column in columns.values.items()}
        self._confirm(values, held=True)
        self.witness = self._unchecked(values)
        return True

    # One configuration ------------------------------------------------------------------------------------------------

    def check(self, values: Mapping[str, Any]) -> Verdict:
        """Judge one configuration.

        Args:
            values: One for each hyperparameter of the space, such as `Configuration.values`.

        Raises:
            KeyError: A hyperparameter is missing.
        """
        with self._one_at_a_time:
            return self._judged(values)

    def _judged(self, values: Mapping[str, Any]) -> Verdict:
        return _FEASIBLE if self._is_feasible(values) else self._explain(values)

    def _is_feasible(self, values: Mapping[str, Any]) -> bool:
        return self._is_true([equality for name, equality in self._equalities(values) if name in self._read])

    def _equalities(self, values: Mapping[str, Any]) -> Iterator[tuple[str, tuple[Any, Any]]]:
        """The variables of the hyperparameters and of the quotients, by name, and the numerals in their places."""
        for name in self.space.names:
            yield name, self._equality(name, values[name])
        for rule in self.family.divides:
            ratio = max(values[rule.dividend] // values[rule.divisor], 1)
            yield rule.quotient, self._equality(rule.quotient, ratio)

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

    def _explain(self, values: Mapping[str, Any]) -> Verdict:
        substitution = [equality for _, equality in self._equalities(values)]
        reading = ExactReading(self.family, values, self.task_shape, self.predicted)
        broken = [
            constraint
            for constraint, condition in zip(self.constraints, self._conditions, strict=True)
            if not z3.is_true(z3.simplify(z3.substitute(condition, *substitution)))
        ]
        amounts = {constraint.text: constraint.violation(reading) for constraint in broken}
        violated = {text: amount if amount > 0 else 1.0 for text, amount in amounts.items()}
        fixed = [variable == value for variable, value in substitution if str(variable) not in self.family.quotients]
        core = {self.constraints[index].text for index in self._solver.to_blame(fixed)}
        named = [c for c in broken if c.text in core] or broken
        facts = [f"{c.text} is broken{_what_arrived(c, reading)}" for c in named]
        return Verdict(feasible=False, violated=violated, reason="; ".join(facts))

    # Many configurations ----------------------------------------------------------------------------------------------

    def holds(self, columns: ConfigurationTable) -> npt.NDArray[np.bool_]:
        """Which of many configurations hold all constraints, by the same expressions over arrays; shape (n,)."""
        result = np.ones(len(columns), dtype=np.bool_)
        for held in self.held(columns).values():
            result &= held
        return result

    def held(self, columns: ConfigurationTable) -> dict[str, npt.NDArray[np.bool_]]:
        """Which of many configurations hold each constraint, exactly; shape (n,) each.

        Floats decide where their rounding cannot change the answer, rational numbers the rest.
        """
        values = columns.values
        reading = self.reading_of(lambda name: (values[name], values[name]))
        held = {}
        for index, constraint in enumerate(self.constraints):
            known = verdict(constraint, reading)
            result = np.broadcast_to(known.must, (len(columns),))
            if known.can is not known.must:
                undecided = np.flatnonzero(np.broadcast_to(known.can & ~np.asarray(known.must), (len(columns),)))
                if len(undecided):
                    result = result.copy()
                    result[undecided] = self._decided(index, values, undecided)
            held[constraint.text] = result
        return held

    def reading_of(self, ends: Ends) -> IntervalReading:
        """The names of an expression as intervals between the ends of each name."""
        return IntervalReading(self.family, self.task_shape, self.predicted, ends, self.space.omitted)

    def _decided(self, index: int, values: Mapping[str, npt.NDArray[Any]], rows: npt.NDArray[np.int64]) -> list[bool]:
        """Whether some configurations hold one constraint, by rational numbers."""
        lists = [values[name][rows].tolist() for name in self._read_names[index]]
        return [self._held_exactly(index, row) for row in zip(*lists, strict=True)]

    def _held_exactly_uncached(self, index: int, row: tuple[Any, ...]) -> bool:
        values = dict(zip(self._read_names[index], row, strict=True))
        reading = ExactReading(self.family, values, self.task_shape, self.predicted)
        return bool(self.constraints[index].holds(reading))

    # The solver -------------------------------------------------------------------------------------------------------

    def satisfy(self, *conditions: Any, timeout_ms: int = TIMEOUT_MS) -> Configuration | None:
        """A feasible configuration that also satisfies the conditions (Z3 terms), or None where there is none.

        Raises:
            UndecidedError: The solver could not tell in time.
        """
        with self._one_at_a_time:
            model = self._solver.solve(conditions, timeout_ms)
            return Configuration(self.family, self._values_of(model)) if model is not None else None

    def _values_of(self, model: Any) -> dict[str, Any]:
        return {
            spec.name: from_term(spec, model.eval(self._variables[spec.name], model_completion=True))
            for spec in self.space.hyperparameters
        }

    def variable(self, name: str) -> Any:
        """The Z3 variable of a hyperparameter."""
        return self._variables[name]

    def term(self, name: str, value: Any) -> Any:
        """A value of a hyperparameter as a Z3 numeral."""
        return to_term(self.family.by_name[name], value, self._context)

    def costly_names(self) -> frozenset[str]:
        """Hyperparameters that some constraint depends on."""
        return frozenset().union(*self._read_names)

    def _names_read(self, constraint: Constraint) -> tuple[str, ...]:
        """The hyperparameters on which a constraint depends, in the order of the family."""
        named = frozenset().union(*map(self._read_by, constraint.names))
        return tuple(name for name in self.space.names if name in named)

    def _read_by(self, name: str) -> frozenset[str]:
        """The hyperparameters on which a number of an expression depends."""
        if name in self.family.names:
            return frozenset({name})
        if name in self.family.quotients:
            return frozenset({self.family.quotients[name].dividend, self.family.quotients[name].divisor})
        if name in PREDICTED_NAMES:
            return self.family.formula_names | self.family.device_names
        return self.family.formula_names if name in COST_NAMES else reads([name], self.family)

    def _unchecked(self, values: Mapping[str, Any]) -> UncheckedConfiguration:
        return UncheckedConfiguration(self.family, {name: values[name] for name in self.space.names})


def _what_arrived(constraint: Constraint, reading: ExactReading) -> str:
    """Such as ": size_mb is 12.41"."""
    facts = []
    for name in sorted(constraint.names):
        value = reading.values[name] if name in reading.values else reading.number(name).value
        facts.append(f"{name} is {value}" if isinstance(value, int | str) else f"{name} is {float(value):.6g}")
    return f": {', '.join(facts)}" if facts else ""
