"""Constraints of a study file: expressions over a student, parsed here and never evaluated as Python.

One expression, several readings: a student's exact values, intervals, or the terms of a solver. What the names mean is
an `ExpressionReading`; this package knows neither NumPy's nor the solver's operators beyond the common ones.
"""

from avatar_optuna.constraints._constraint import (
    Constraint,
    concerning,
    implied_constraints,
    parse_constraint,
    parse_for_any,
)
from avatar_optuna.constraints._exact import ExactReading, exact
from avatar_optuna.constraints._reading import COST_NAMES, PREDICTED_NAMES, ExpressionReading, number_names

__all__ = [
    "COST_NAMES",
    "PREDICTED_NAMES",
    "Constraint",
    "ExactReading",
    "ExpressionReading",
    "concerning",
    "exact",
    "implied_constraints",
    "number_names",
    "parse_constraint",
    "parse_for_any",
]
