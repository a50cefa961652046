"""The space as Z3 terms: one variable a hyperparameter, its domain, and the readings of the cost formulas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import z3
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from avatar_optuna.constraints import read_number
from avatar_optuna.costs import TaskShape
from avatar_optuna.hyperparameters import CATEGORIES, INTEGERS, NAMES
from avatar_optuna.space import SearchSpace, values_of


@dataclass(frozen=True, kw_only=True)
class Terms:
    """Reads a `Shape`, and an expression, as Z3 terms. A category is the index of its name in `CATEGORIES`."""

    task_shape: TaskShape
    variables: Mapping[str, Any]
    predicted: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Any:
        if name in NAMES:
            return self.variables[name]
        raise AttributeError(name)

    @property
    def head_size(self) -> Any:
        """Width of a head: the whole number that the heads times give the width."""
        return self.variables["head_size"]

    @property
    def has_absolute_positions(self) -> Any:
        """1 or 0."""
        return z3.If(self.num_distance_products == 0, 1, 0)

    @property
    def num_distance_products(self) -> Any:
        """0, 1 or 2: the index of the kind of positions."""
        return self.variables["position_embedding_type"]

    def number(self, name: str) -> Any:
        """A number of an expression, as a term."""
        return read_number(name, self, self.task_shape, self.predicted)

    def is_category(self, name: str, value: str) -> Any:
        """A test of a category, as a term."""
        return self.variables[name] == CATEGORIES[name].index(value)


def make_variables(context: Any) -> dict[str, Any]:
    """One variable a hyperparameter, and `head_size`, in a Z3 context of their own: what the solver answers, and how
    fast, then does not depend on what else the process asked it.
    """
    whole = {*INTEGERS, *CATEGORIES}
    variables = {name: z3.Int(name, context) if name in whole else z3.Real(name, context) for name in NAMES}
    return {**variables, "head_size": z3.Int("head_size", context)}


def domains(variables: Mapping[str, Any], space: SearchSpace) -> list[Any]:
    """What the distributions alone say."""
    found = [_domain(name, variables[name], space.distributions[name]) for name in NAMES]
    widest = max(values_of(space.distributions["hidden_size"]))
    return [*found, variables["head_size"] >= 1, variables["head_size"] <= widest]


def _domain(name: str, variable: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        inside = z3.And(variable >= distribution.low, variable <= distribution.high)
        if distribution.step == 1:
            return inside
        steps = z3.Int(f"steps of {name}", variable.ctx)  # a product is easier on the solver than a remainder
        return z3.And(inside, steps >= 0, variable == distribution.low + distribution.step * steps)
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        return z3.And(
            variable >= to_term(name, distribution.low, variable.ctx),
            variable <= to_term(name, distribution.high, variable.ctx),
        )
    assert isinstance(distribution, CategoricalDistribution | FloatDistribution)
    return z3.Or([variable == to_term(name, value, variable.ctx) for value in values_of(distribution)])


def to_term(name: str, value: Any, context: Any) -> Any:
    """A value of a hyperparameter as a Z3 numeral, to twelve digits: 0.1 + 0.2 is meant to be 0.3."""
    if name in CATEGORIES:
        return z3.IntVal(CATEGORIES[name].index(value), context)
    if name in INTEGERS or name == "head_size":
        return z3.IntVal(int(value), context)
    return z3.RealVal(f"{float(value):.12g}", context)


def from_term(name: str, numeral: Any) -> Any:
    """The value of a hyperparameter that a model gives."""
    if name in CATEGORIES:
        return CATEGORIES[name][numeral.as_long()]
    if name in INTEGERS:
        return numeral.as_long()
    return float(numeral.as_fraction())
