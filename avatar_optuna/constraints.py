"""Constraints of a study file: expressions over a student, parsed here and never evaluated as Python.

One expression, several readings: a student's exact values, intervals, or the terms of a solver. What the names mean is
an `ExpressionReading`; this module knows neither NumPy's nor the solver's operators beyond the common ones.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple, TypeGuard

from avatar_optuna.costs import TaskShape, num_parameters
from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives import BUILT_IN, calibrated, formulas, has_formula
from avatar_optuna.students import Divides, Hyperparameter, Reading, StudentFamily

COST_NAMES = ("size_bytes", "size_mb", "parameters", "flops")
PREDICTED_NAMES = tuple(sorted(calibrated(BUILT_IN)))
BYTES_PER_MB = 1_000_000
MAX_POWER = 4
MAX_DEGREE = 8
MAX_TERMS = 2_000
"""Of an expression multiplied out, which a solver does before it looks at the time."""
_COST_TERMS = 8
MAX_LENGTH = 1_000


def whole_names(family: StudentFamily) -> frozenset[str]:
    """What an expression over a family may name that is a whole number whatever the student is."""
    whole = {spec.name for spec in family.hyperparameters if spec.is_whole}
    return frozenset({*whole, "size_bytes", "parameters", "flops", *family.quotients})


def number_names(family: StudentFamily) -> tuple[str, ...]:
    """Every number that an expression over a family may name."""
    numeric = (spec.name for spec in family.hyperparameters if not spec.is_category)
    return (*numeric, *COST_NAMES, *family.quotients, *PREDICTED_NAMES)


def exact(value: float) -> int | Fraction:
    """What a number's decimal text stands for, to twelve digits: 0.1 + 0.2 is meant to be 0.3."""
    return value if isinstance(value, int) else Fraction(f"{value:.12g}")


class ExpressionReading(Reading):
    """Reads the names of an expression, and divides as its numbers do.

    Args:
        family: Whose configurations it reads.
        task_shape: Functions an input, and labels.
        predicted: Functions of a shape for names that only a calibrated cost model gives.
    """

    task_shape: TaskShape
    predicted: Mapping[str, Callable[[Any], Any]]

    def number(self, name: str) -> Any:
        """One of `number_names`; megabytes are 1,000,000 bytes.

        Raises:
            InputError: The name needs a cost model that this study has not calibrated.
        """
        if name == "size_mb":
            return self.divided(self.number("size_bytes"), BYTES_PER_MB)
        if name == "parameters":
            return num_parameters(self, self.task_shape)
        if name in PREDICTED_NAMES:
            if name not in self.predicted:
                raise InputError(
                    f"a constraint on {name} needs a cost model calibrated on this device, and there is none"
                )
            return self.predicted[name](self)
        if name in BUILT_IN or not (name in self.family.by_name or name in self.family.quotients):
            return formulas([name], self.task_shape)[name](self)
        return getattr(self, name)

    def constant(self, value: float) -> Any:
        """A number that stands in an expression; a float stands for its decimal text."""
        raise NotImplementedError

    def divided(self, left: Any, right: Any) -> Any:
        """A quotient that need not be whole."""
        return left / right


_Expression = Callable[[ExpressionReading], Any]


class Exact:
    """A rational number; a float beside it stands for its decimal text, as the solver reads it.

    Args:
        value: Whole where it can be: that is faster.
    """

    __slots__ = ("value",)

    def __init__(self, value: int | Fraction) -> None:
        self.value = value

    def __add__(self, other: Any) -> Exact:
        return Exact(self.value + _rational(other))

    def __sub__(self, other: Any) -> Exact:
        return Exact(self.value - _rational(other))

    def __rsub__(self, other: Any) -> Exact:
        return Exact(_rational(other) - self.value)

    def __mul__(self, other: Any) -> Exact:
        return Exact(self.value * _rational(other))

    def __truediv__(self, other: Any) -> Exact:
        return Exact(Fraction(self.value) / _rational(other))

    def __rtruediv__(self, other: Any) -> Exact:
        return Exact(Fraction(_rational(other)) / self.value)

    def __floordiv__(self, other: Any) -> Exact:
        return Exact(self.value // _rational(other))

    def __rfloordiv__(self, other: Any) -> Exact:
        return Exact(_rational(other) // self.value)

    def __mod__(self, other: Any) -> Exact:
        return Exact(self.value % _rational(other))

    def __rmod__(self, other: Any) -> Exact:
        return Exact(_rational(other) % self.value)

    def __neg__(self) -> Exact:
        return Exact(-self.value)

    def __abs__(self) -> Exact:
        return Exact(max(self.value, -self.value))

    def __float__(self) -> float:
        return float(self.value)

    def __lt__(self, other: Any) -> bool:
        return bool(self.value < _rational(other))

    def __le__(self, other: Any) -> bool:
        return bool(self.value <= _rational(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self.value > _rational(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self.value >= _rational(other))

    def __eq__(self, other: object) -> bool:
        return bool(self.value == _rational(other))

    __radd__, __rmul__ = __add__, __mul__
    __hash__ = None  # type: ignore[assignment]


def _rational(number: Any) -> Any:
    if isinstance(number, Exact):
        return number.value
    return Fraction(repr(number)) if isinstance(number, float) else number


class ExactReading(ExpressionReading):
    """Reads one configuration by its exact numbers.

    Args:
        family: Whose configuration it is.
        values: Of the hyperparameters that are read.
        task_shape: Functions an input, and labels.
        predicted: Functions of a shape for names that only a calibrated cost model gives.
    """

    def __init__(
        self,
        family: StudentFamily,
        values: Mapping[str, Any],
        task_shape: TaskShape,
        predicted: Mapping[str, Callable[[Any], Any]] = MappingProxyType({}),
    ) -> None:
        self.family, self.task_shape, self.predicted = family, task_shape, predicted
        self.values = {**family.omitted, **values}

    def constant(self, value: float) -> Exact:
        return Exact(_rational(value))

    def value(self, name: str) -> Exact:
        return Exact(exact(self.values[name]))

    def place(self, name: str) -> Exact:
        return Exact(self.family.by_name[name].choices.index(self.values[name]))

    def is_category(self, name: str, value: str) -> bool:
        return bool(self.values[name] == value)

    def flag(self, name: str, value: str) -> Exact:
        return Exact(int(self.is_category(name, value)))

    def select(self, name: str, cases: Mapping[str, Callable[[], Any]]) -> Any:
        return cases[self.values[name]]()

    def quotient(self, rule: Divides) -> Exact:
        """Rounded down where the divisor does not divide, but at least 1."""
        return Exact(max(self.values[rule.dividend] // self.values[rule.divisor], 1))


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
    _condition: _Expression = field(repr=False, compare=False)
    _gap: _Expression | None = field(repr=False, compare=False)

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
        condition = _condition(root, family)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"a constraint must be an expression such as 'flops <= 2e9', got {text!r}") from error
    except _RefusedError as error:
        raise InputError(f"{error} in the constraint {text!r}") from error
    names = frozenset(_names(root))
    if (size := _size(root, family)).degree > MAX_DEGREE or size.terms > MAX_TERMS:
        raise InputError(
            f"a constraint multiplied out must have at most degree {MAX_DEGREE} and {MAX_TERMS:,} terms, got degree "
            f"{size.degree} and about {size.terms:,} terms in {text!r}"
        )
    constants = frozenset(n.value for n in ast.walk(root) if isinstance(n, ast.Constant) and _is_number(n.value))
    return Constraint(
        text=text.strip(), names=names, constants=constants, _condition=condition, _gap=_gap(root, family)
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


def _is_category_name(name: str, family: StudentFamily) -> bool:
    return name in family.by_name and family.by_name[name].is_category


class _RefusedError(Exception):
    """What is not allowed, to be completed with the whole expression."""


def _names(root: ast.expr) -> Iterator[str]:
    return (node.id for node in ast.walk(root) if isinstance(node, ast.Name))


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


def _source(node: ast.expr) -> str:
    return ast.unparse(node)


# Conditions -----------------------------------------------------------------------------------------------------------


def _condition(node: ast.expr, family: StudentFamily) -> _Expression:
    if isinstance(node, ast.BoolOp):
        parts = [_condition(value, family) for value in node.values]
        return _all_of(parts) if isinstance(node.op, ast.And) else _any_of(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _condition(node.operand, family)
        return lambda reading: inner(reading) ^ True
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return _all_of([_comparison(sides[i], op, sides[i + 1], family) for i, op in enumerate(node.ops)])
    raise _RefusedError(f"{_source(node)!r} must be a comparison")


def _all_of(parts: list[_Expression]) -> _Expression:
    def both(reading: ExpressionReading) -> Any:
        result = parts[0](reading)
        for part in parts[1:]:
            result = result & part(reading)
        return result

    return both


def _any_of(parts: list[_Expression]) -> _Expression:
    def either(reading: ExpressionReading) -> Any:
        result = parts[0](reading)
        for part in parts[1:]:
            result = result | part(reading)
        return result

    return either


_COMPARISONS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: lambda left, right: left < right,
    ast.LtE: lambda left, right: left <= right,
    ast.Gt: lambda left, right: left > right,
    ast.GtE: lambda left, right: left >= right,
    ast.Eq: lambda left, right: left == right,
    ast.NotEq: lambda left, right: left != right,
}


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, family: StudentFamily) -> _Expression:
    if isinstance(right, ast.Name) and _is_category_name(right.id, family) and isinstance(op, ast.Eq | ast.NotEq):
        left, right = right, left
    if isinstance(left, ast.Name) and _is_category_name(left.id, family):
        return _category_test(family.by_name[left.id], op, right)
    if type(op) not in _COMPARISONS:
        raise _RefusedError(f"{_source(left)!r} is a number, which 'in' and 'is' do not compare,")
    compare, first, second = _COMPARISONS[type(op)], _number(left, family), _number(right, family)
    if not any(_names(left)) and not any(_names(right)):
        compared = _source(ast.Compare(left, [op], [right]))
        raise _RefusedError(f"a comparison must mention a hyperparameter or a cost, got {compared!r},")
    return lambda reading: compare(first(reading), second(reading))


def _category_test(spec: Hyperparameter, op: ast.cmpop, right: ast.expr) -> _Expression:
    many = isinstance(op, ast.In | ast.NotIn)
    if not many and not isinstance(op, ast.Eq | ast.NotEq):
        raise _RefusedError(f"{spec.name} is a category, which only ==, != and in compare,")
    elements = right.elts if many and isinstance(right, ast.List | ast.Tuple | ast.Set) else [right]
    values = [element.value if isinstance(element, ast.Constant) else None for element in elements]
    if not values or any(value not in spec.choices for value in values):
        raise _RefusedError(f"{spec.name} must be compared with {', '.join(spec.choices)}, got {_source(right)}")
    test = _any_of([_is_category(spec.name, str(value)) for value in values])
    if isinstance(op, ast.NotEq | ast.NotIn):
        return lambda reading: test(reading) ^ True
    return test


def _is_category(name: str, value: str) -> _Expression:
    return lambda reading: reading.is_category(name, value)


# Numbers --------------------------------------------------------------------------------------------------------------

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Mod: lambda left, right: left % right,
}


def _number(node: ast.expr, family: StudentFamily) -> _Expression:
    if isinstance(node, ast.Constant):
        return _constant(node)
    if isinstance(node, ast.Name):
        name = node.id
        if name not in number_names(family) and not has_formula(name):
            raise _RefusedError(f"{name} is unknown, expected one of {', '.join(number_names(family))}")
        return lambda reading: reading.number(name)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _number(node.operand, family)
        return inner if isinstance(node.op, ast.UAdd) else lambda reading: -inner(reading)
    if isinstance(node, ast.BinOp):
        return _operation(node, family)
    raise _RefusedError(f"{_source(node)!r} is not allowed")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _constant(node: ast.Constant) -> _Expression:
    value = node.value
    if not _is_number(value) or abs(value) > 1e18:
        raise _RefusedError(f"{_source(node)} must be a number below 1e18")
    constant = int(value) if float(value).is_integer() else value
    return lambda reading: reading.constant(constant)


def _operation(node: ast.BinOp, family: StudentFamily) -> _Expression:
    left, right = _number(node.left, family), _number(node.right, family)
    if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) and not _is_divisor(node.right, family):
        raise _RefusedError(f"{_source(node)!r} must be divided by a name or by a number above 0")
    if isinstance(node.op, ast.FloorDiv | ast.Mod) and not (
        _is_whole(node.left, family) and _is_whole(node.right, family)
    ):
        raise _RefusedError(f"{_source(node)!r} must divide whole numbers, for // and % leave no other remainder,")
    if isinstance(node.op, ast.Pow):
        power = node.right.value if isinstance(node.right, ast.Constant) else None
        if isinstance(power, bool) or not isinstance(power, int) or not 1 <= power <= MAX_POWER:
            raise _RefusedError(f"{_source(node)!r} must be raised to 1 to {MAX_POWER}")
        return _power(left, power)
    if isinstance(node.op, ast.Div):
        return lambda reading: reading.divided(left(reading), right(reading))
    if isinstance(node.op, ast.FloorDiv):
        return lambda reading: _floor_divided(left(reading), right(reading))
    if type(node.op) not in _OPERATORS:
        raise _RefusedError(f"{_source(node)!r} is not allowed")
    operator = _OPERATORS[type(node.op)]
    return lambda reading: operator(left(reading), right(reading))


def _is_divisor(node: ast.expr, family: StudentFamily) -> bool:
    """Whether it can never be zero."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and node.value > 0
    if not isinstance(node, ast.Name):
        return False
    return node.id not in family.by_name or family.by_name[node.id].low > 0


def _is_whole(node: ast.expr, family: StudentFamily) -> bool:
    """Whether it is a whole number whatever the student is."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float) and float(node.value).is_integer()
    if isinstance(node, ast.Name):
        return node.id in whole_names(family)
    if isinstance(node, ast.UnaryOp):
        return _is_whole(node.operand, family)
    return (
        isinstance(node, ast.BinOp)
        and not isinstance(node.op, ast.Div)
        and _is_whole(node.left, family)
        and _is_whole(node.right, family)
    )


def _power(base: _Expression, power: int) -> _Expression:
    def product(reading: ExpressionReading) -> Any:
        value = result = base(reading)
        for _ in range(power - 1):
            result = result * value
        return result

    return product


def _floor_divided(left: Any, right: Any) -> Any:
    """Whole division of whole numbers, down: a solver's terms know no //, but their / divides wholly."""
    try:
        return left // right
    except TypeError:
        return left / right


def _gap(root: ast.expr, family: StudentFamily) -> _Expression | None:
    """Left minus right of a single comparison of numbers, turned so that positive means broken."""
    if not isinstance(root, ast.Compare) or len(root.ops) != 1:
        return None
    if isinstance(root.left, ast.Name) and _is_category_name(root.left.id, family):
        return None
    op = root.ops[0]
    try:
        left, right = _number(root.left, family), _number(root.comparators[0], family)
    except _RefusedError:
        return None
    if isinstance(op, ast.Lt | ast.LtE):
        return lambda reading: left(reading) - right(reading)
    if isinstance(op, ast.Gt | ast.GtE):
        return lambda reading: right(reading) - left(reading)
    return (lambda reading: abs(left(reading) - right(reading))) if isinstance(op, ast.Eq) else None
