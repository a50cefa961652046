"""The space as Z3 terms: one variable a hyperparameter, its domain, and the readings of the cost formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import z3
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from avatar_optuna.constraints import ExpressionReading, exact
from avatar_optuna.costs import TaskShape
from avatar_optuna.space import SearchSpace, values_of
from avatar_optuna.students import Divides, Hyperparameter, StudentFamily


@dataclass(frozen=True, kw_only=True)
class Terms(ExpressionReading):
    """Reads a shape, and an expression, as Z3 terms. A category is the place of its name among its choices.

    What has no variable is omitted by the space: the same in all students.
    """

    family: StudentFamily
    task_shape: TaskShape
    variables: Mapping[str, Any]
    predicted: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def value(self, name: str) -> Any:
        return self.variables[name] if name in self.variables else self._omitted(name)

    def place(self, name: str) -> Any:
        return self.value(name)

    def is_category(self, name: str, value: str) -> Any:
        return self.value(name) == self.family.by_name[name].choices.index(value)

    def flag(self, name: str, value: str) -> Any:
        return z3.If(self.is_category(name, value), 1, 0)

    def select(self, name: str, cases: Mapping[str, Callable[[], Any]]) -> Any:
        """Case within case, which the solver tells apart before it multiplies."""
        if name not in self.variables:
            return cases[self.family.omitted[name]]()
        *others, last = cases
        term = cases[last]()
        for value in reversed(others):
            term = z3.If(self.is_category(name, value), cases[value](), term)
        return term

    def _omitted(self, name: str) -> Any:
        spec, context = self.family.by_name[name], next(iter(self.variables.values())).ctx
        return to_term(spec, self.family.omitted[name], context)

    def quotient(self, rule: Divides) -> Any:
        """The whole number that the divisor times gives the dividend."""
        return self.variables[rule.quotient]

    def constant(self, value: float) -> Any:
        context = next(iter(self.variables.values())).ctx
        return z3.IntVal(value, context) if isinstance(value, int) else z3.RealVal(repr(value), context)

    def divided(self, left: Any, right: Any) -> Any:
        """As a real number: whole terms would divide wholly."""
        return (z3.ToReal(left) if left.is_int() else left) / right


def make_variables(space: SearchSpace, context: Any) -> dict[str, Any]:
    """One variable a hyperparameter, and one a quotient, in a Z3 context of their own: what the solver answers, and how
    fast, then does not depend on what else the process asked it.
    """
    kinds = {"whole": z3.Int, "category": z3.Int, "real": z3.Real}
    variables = {spec.name: kinds[spec.kind](spec.name, context) for spec in space.hyperparameters}
    return {**variables, **{name: z3.Int(name, context) for name in space.family.quotients}}


def domains(variables: Mapping[str, Any], space: SearchSpace) -> list[Any]:
    """What the distributions alone say."""
    terms = [_domain(spec, variables[spec.name], space.distributions[spec.name]) for spec in space.hyperparameters]
    for rule in space.family.divides:
        widest = max(values_of(space.distributions[rule.dividend]))
        terms += [variables[rule.quotient] >= 1, variables[rule.quotient] <= widest]
    return terms


def _domain(spec: Hyperparameter, variable: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        inside = z3.And(variable >= distribution.low, variable <= distribution.high)
        if distribution.step == 1:
            return inside
        steps = z3.Int(f"steps of {spec.name}", variable.ctx)  # a product is easier on the solver than a remainder
        return z3.And(inside, steps >= 0, variable == distribution.low + distribution.step * steps)
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        return z3.And(
            variable >= to_term(spec, distribution.low, variable.ctx),
            variable <= to_term(spec, distribution.high, variable.ctx),
        )
    assert isinstance(distribution, CategoricalDistribution | FloatDistribution)
    return z3.Or([variable == to_term(spec, value, variable.ctx) for value in values_of(distribution)])


def to_term(spec: Hyperparameter, value: Any, context: Any) -> Any:
    """A value of a hyperparameter as a Z3 numeral."""
    if spec.is_category:
        return z3.IntVal(spec.choices.index(value), context)
    return z3.IntVal(int(value), context) if spec.is_whole else real_term(value, context)


def real_term(value: float, context: Any) -> Any:
    """A real number as a Z3 numeral, to twelve digits: 0.1 + 0.2 is meant to be 0.3."""
    return z3.RealVal(str(exact(float(value))), context)


def from_term(spec: Hyperparameter, numeral: Any) -> Any:
    """The value of a hyperparameter that a model gives."""
    if spec.is_category:
        return spec.choices[numeral.as_long()]
    if spec.is_whole:
        return numeral.as_long()
    return float(numeral.as_fraction() if z3.is_rational_value(numeral) else numeral.approx(15).as_fraction())
