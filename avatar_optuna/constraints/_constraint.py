"""Constraints, parsed from the text of a study file."""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from avatar_optuna.constraints._expressions import Expression, RefusedError, condition_of, gap_of, is_number, names_in
from avatar_optuna.constraints._reading import ExpressionReading
from avatar_optuna.exceptions import InputError
from avatar_optuna.students import StudentFamily

MAX_DEGREE = 8
MAX_TERMS = 2_000
"""Of an expression multiplied out, which a solver does before it looks at the time."""
_COST_TERMS = 8
MAX_LENGTH = 1_000


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A parsed expression.

    Args:
        text: As the user wrote it.
        names: The hyperparameters and costs that it mentions.
        constants: The numbers that it mentions.
    """

    text: str
    names: frozenset[str]
    constants: frozenset[float]
    _condition: Expression = field(repr=False, compare=False)
    _gap: Expression | None = field(repr=False, compare=False)

    def holds(self, reading: ExpressionReading) -> Any:
        """Whether it holds: a bool, an array of bools or a term, as the reading gives."""
        return self._condition(reading)

    def violation(self, reading: ExpressionReading) -> float:
        """How far a student is from holding it: positive where it is broken, at most 0 where it holds.

        For a single comparison this is the difference of its sides, in their unit; otherwise 1 or 0.
        """
        holds = bool(self._condition(reading))
        gap = float(self._gap(reading)) if self._gap is not None else 0.0
        if holds:
            return min(gap, 0.0)
        return gap if gap > 0 else 1.0


def parse_constraint(text: str, family: StudentFamily) -> Constraint:
    """Parse an expression such as "size_mb <= 3" or "hidden_act in ['gelu', 'relu']".

    Names are the hyperparameters and quotients of the family, `parameters`, `size_bytes`, `size_mb`, `flops`,
    `latency_ms`, `energy_j`, and every objective that another package defines by a formula; operators are + - * / // %
    ** (to the power of 1 to 4), comparisons, `and`, `or`, `not`, and `in` a list of categories.

    Raises:
        InputError: What of the expression is not allowed.
    """
    if len(text) > MAX_LENGTH:
        raise InputError(f"a constraint must have at most {MAX_LENGTH} characters, got {len(text)}")
    try:
        root = ast.parse(text.strip(), mode="eval").body
        condition = condition_of(root, family)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"a constraint must be an expression such as 'flops <= 2e9', got {text!r}") from error
    except RefusedError as error:
        raise InputError(f"{error} in the constraint {text!r}") from error
    names = frozenset(names_in(root))
    if (size := _size(root, family)).degree > MAX_DEGREE or size.terms > MAX_TERMS:
        raise InputError(
            f"a constraint multiplied out must have at most degree {MAX_DEGREE} and {MAX_TERMS:,} terms, got degree "
            f"{size.degree} and about {size.terms:,} terms in {text!r}"
        )
    constants = frozenset(n.value for n in ast.walk(root) if isinstance(n, ast.Constant) and is_number(n.value))
    return Constraint(
        text=text.strip(), names=names, constants=constants, _condition=condition, _gap=gap_of(root, family)
    )


def parse_for_any(text: str, families: Sequence[StudentFamily]) -> Constraint:
    """Parse an expression over the first of several families that has all of its names.

    Raises:
        InputError: None has; what the first of them says.
    """
    faults = []
    for family in families:
        try:
            return parse_constraint(text, family)
        except InputError as error:
            faults.append(error)
    raise faults[0]


def concerning(texts: Sequence[str], family: StudentFamily) -> tuple[str, ...]:
    """The expressions that concern a family: those of whose names it has all."""
    concerning = []
    for text in texts:
        try:
            parse_constraint(text, family)
        except InputError:
            continue
        concerning.append(text)
    return tuple(concerning)


def implied_constraints(family: StudentFamily) -> tuple[str, ...]:
    """The expressions that hold in every study of a family."""
    return (*(rule.text for rule in family.divides), *family.constraints)


class _Size(NamedTuple):
    """Of an expression multiplied out: the degree in its names, and the number of terms."""

    degree: int
    terms: int


def _size(node: ast.AST, family: StudentFamily) -> _Size:
    if isinstance(node, ast.Name):
        return _Size(1, 1 if node.id in family.by_name or node.id in family.quotients else _COST_TERMS)
    inner = [_size(child, family) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    if not inner:
        return _Size(0, 1)
    degrees, terms = [part.degree for part in inner], [part.terms for part in inner]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = node.right.value if isinstance(node.right, ast.Constant) else 1
        power = power if isinstance(power, int) else 1
        return _Size(degrees[0] * power, math.comb(terms[0] + power - 1, power))
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Sub):
        return _Size(sum(degrees), math.prod(terms))
    return _Size(max(degrees), sum(terms) if isinstance(node, ast.BinOp) else max(terms))
