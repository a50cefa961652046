"""The parts of an expression, made into functions of a reading; what is not allowed is refused by its text."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

from avatar_optuna.constraints._reading import ExpressionReading, number_names, whole_names
from avatar_optuna.objectives import has_formula
from avatar_optuna.students import Hyperparameter, StudentFamily

MAX_POWER = 4

Expression = Callable[[ExpressionReading], Any]


class RefusedError(Exception):
    """What is not allowed, to be completed with the whole expression."""


def names_in(root: ast.expr) -> Iterator[str]:
    """The names that stand in an expression, each as often as it does."""
    return (node.id for node in ast.walk(root) if isinstance(node, ast.Name))


def _is_category_name(name: str, family: StudentFamily) -> bool:
    return name in family.by_name and family.by_name[name].is_category


def _source(node: ast.expr) -> str:
    return ast.unparse(node)


# Conditions -----------------------------------------------------------------------------------------------------------


def condition_of(node: ast.expr, family: StudentFamily) -> Expression:
    """What an expression says of a student: true or false.

    Raises:
        RefusedError: A part that is no condition, or that is not allowed.
    """
    if isinstance(node, ast.BoolOp):
        parts = [condition_of(value, family) for value in node.values]
        return _all_of(parts) if isinstance(node.op, ast.And) else _any_of(parts)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = condition_of(node.operand, family)
        return lambda reading: inner(reading) ^ True
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return _all_of([_comparison(sides[i], op, sides[i + 1], family) for i, op in enumerate(node.ops)])
    raise RefusedError(f"{_source(node)!r} must be a comparison")


def _all_of(parts: list[Expression]) -> Expression:
    def both(reading: ExpressionReading) -> Any:
        result = parts[0](reading)
        for part in parts[1:]:
            result = result & part(reading)
        return result

    return both


def _any_of(parts: list[Expression]) -> Expression:
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


def _comparison(left: ast.expr, op: ast.cmpop, right: ast.expr, family: StudentFamily) -> Expression:
    if isinstance(right, ast.Name) and _is_category_name(right.id, family) and isinstance(op, ast.Eq | ast.NotEq):
        left, right = right, left
    if isinstance(left, ast.Name) and _is_category_name(left.id, family):
        return _category_test(family.by_name[left.id], op, right)
    if type(op) not in _COMPARISONS:
        raise RefusedError(f"{_source(left)!r} is a number, which 'in' and 'is' do not compare,")
    compare, first, second = _COMPARISONS[type(op)], _number(left, family), _number(right, family)
    if not any(names_in(left)) and not any(names_in(right)):
        compared = _source(ast.Compare(left, [op], [right]))
        raise RefusedError(f"a comparison must mention a hyperparameter or a cost, got {compared!r},")
    return lambda reading: compare(first(reading), second(reading))


def _category_test(spec: Hyperparameter, op: ast.cmpop, right: ast.expr) -> Expression:
    many = isinstance(op, ast.In | ast.NotIn)
    if not many and not isinstance(op, ast.Eq | ast.NotEq):
        raise RefusedError(f"{spec.name} is a category, which only ==, != and in compare,")
    elements = right.elts if many and isinstance(right, ast.List | ast.Tuple | ast.Set) else [right]
    values = [element.value if isinstance(element, ast.Constant) else None for element in elements]
    if not values or any(value not in spec.choices for value in values):
        raise RefusedError(f"{spec.name} must be compared with {', '.join(spec.choices)}, got {_source(right)}")
    test = _any_of([_is_category(spec.name, str(value)) for value in values])
    if isinstance(op, ast.NotEq | ast.NotIn):
        return lambda reading: test(reading) ^ True
    return test


def _is_category(name: str, value: str) -> Expression:
    return lambda reading: reading.is_category(name, value)


# Numbers --------------------------------------------------------------------------------------------------------------

_OPERATORS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Mod: lambda left, right: left % right,
}


def _number(node: ast.expr, family: StudentFamily) -> Expression:
    if isinstance(node, ast.Constant):
        return _constant(node)
    if isinstance(node, ast.Name):
        name = node.id
        if name not in number_names(family) and not has_formula(name):
            raise RefusedError(f"{name} is unknown, expected one of {', '.join(number_names(family))}")
        return lambda reading: reading.number(name)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _number(node.operand, family)
        return inner if isinstance(node.op, ast.UAdd) else lambda reading: -inner(reading)
    if isinstance(node, ast.BinOp):
        return _operation(node, family)
    raise RefusedError(f"{_source(node)!r} is not allowed")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a constant is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _constant(node: ast.Constant) -> Expression:
    value = node.value
    if not is_number(value) or abs(value) > 1e18:
        raise RefusedError(f"{_source(node)} must be a number below 1e18")
    constant = int(value) if float(value).is_integer() else value
    return lambda reading: reading.constant(constant)


def _operation(node: ast.BinOp, family: StudentFamily) -> Expression:
    left, right = _number(node.left, family), _number(node.right, family)
    if isinstance(node.op, ast.Div | ast.FloorDiv | ast.Mod) and not _is_divisor(node.right, family):
        raise RefusedError(f"{_source(node)!r} must be divided by a name or by a number above 0")
    if isinstance(node.op, ast.FloorDiv | ast.Mod) and not (
        _is_whole(node.left, family) and _is_whole(node.right, family)
    ):
        raise RefusedError(f"{_source(node)!r} must divide whole numbers, for // and % leave no other remainder,")
    if isinstance(node.op, ast.Pow):
        power = node.right.value if isinstance(node.right, ast.Constant) else None
        if isinstance(power, bool) or not isinstance(power, int) or not 1 <= power <= MAX_POWER:
            raise RefusedError(f"{_source(node)!r} must be raised to 1 to {MAX_POWER}")
        return _power(left, power)
    if isinstance(node.op, ast.Div):
        return lambda reading: reading.divided(left(reading), right(reading))
    if isinstance(node.op, ast.FloorDiv):
        return lambda reading: _floor_divided(left(reading), right(reading))
    if type(node.op) not in _OPERATORS:
        raise RefusedError(f"{_source(node)!r} is not allowed")
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


def _power(base: Expression, power: int) -> Expression:
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


def gap_of(root: ast.expr, family: StudentFamily) -> Expression | None:
    """Left minus right of a single comparison of numbers, turned so that positive means broken."""
    if not isinstance(root, ast.Compare) or len(root.ops) != 1:
        return None
    if isinstance(root.left, ast.Name) and _is_category_name(root.left.id, family):
        return None
    op = root.ops[0]
    try:
        left, right = _number(root.left, family), _number(root.comparators[0], family)
    except RefusedError:
        return None
    if isinstance(op, ast.Lt | ast.LtE):
        return lambda reading: left(reading) - right(reading)
    if isinstance(op, ast.Gt | ast.GtE):
        return lambda reading: right(reading) - left(reading)
    return (lambda reading: abs(left(reading) - right(reading))) if isinstance(op, ast.Eq) else None
