"""Rewrites of conditions and branches."""

from __future__ import annotations

import ast
import copy

from avatar_optuna_python_tasks._rewrites._trees import Blocks, assign, assigned_name, is_number, is_plain

# `<` and `>=` are no opposites for NaN and for sets; identity and membership are.
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def negated(test: ast.expr) -> ast.expr:
    """`not test`, written as people write it where the operators allow."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return test.operand  # the truth of a condition, not its value, is what is asked for
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        opposite = _OPPOSITE.get(type(test.ops[0]))
        if opposite is not None:
            return ast.Compare(left=test.left, ops=[opposite()], comparators=test.comparators)
    return ast.UnaryOp(op=ast.Not(), operand=test)


class InvertBranches(ast.NodeTransformer):
    """`if a: X else: Y` becomes `if not a: Y else: X`; `x if a else y` likewise."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if node.orelse and not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)):
            return ast.If(test=negated(node.test), body=node.orelse, orelse=node.body)
        return node

    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        self.generic_visit(node)
        return ast.IfExp(test=negated(node.test), body=node.orelse, orelse=node.body)


class MirrorComparisons(ast.NodeTransformer):
    """`i < 3` becomes `3 > i` where one side is a number and the other a name."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and type(node.ops[0]) in _MIRRORED:
            sides = (node.left, node.comparators[0])
            if any(map(is_number, sides)) and all(map(is_plain, sides)):
                return ast.Compare(left=sides[1], ops=[_MIRRORED[type(node.ops[0])]()], comparators=[sides[0]])
        return node


class UnchainComparisons(ast.NodeTransformer):
    """`a < b < c` becomes `a < b and b < c` where b is a name or a constant."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) < 2 or not all(map(is_plain, node.comparators[:-1])):
            return node
        lefts = [node.left, *node.comparators[:-1]]
        parts = zip(lefts, node.ops, node.comparators, strict=True)
        compared = [ast.Compare(left=copy.deepcopy(x), ops=[op], comparators=[y]) for x, op, y in parts]
        return ast.BoolOp(op=ast.And(), values=list(compared))


class SpellNegations(ast.NodeTransformer):
    """`a is not b` becomes `not a is b`, `a not in b` becomes `not a in b`."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and isinstance(node.ops[0], ast.IsNot | ast.NotIn):
            plain = ast.Compare(left=node.left, ops=[_OPPOSITE[type(node.ops[0])]()], comparators=node.comparators)
            return ast.UnaryOp(op=ast.Not(), operand=plain)
        return node


class MorganConditions(ast.NodeTransformer):
    """`not (a or b)` becomes `not a and not b`, and the other way for `and`."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.BoolOp):
            other: ast.boolop = ast.And() if isinstance(inner.op, ast.Or) else ast.Or()
            return ast.BoolOp(op=other, values=[ast.UnaryOp(op=ast.Not(), operand=value) for value in inner.values])
        return node


class SplitConditionals(Blocks):
    """`return a if c else b` and `x = a if c else b` become an `if` statement."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [self._split(statement) for statement in statements]

    def _split(self, node: ast.stmt) -> ast.stmt:
        if isinstance(node, ast.Return) and isinstance(node.value, ast.IfExp):
            choice: ast.IfExp = node.value
            branches: list[ast.stmt] = [ast.Return(value=choice.body), ast.Return(value=choice.orelse)]
        elif (name := assigned_name(node)) and isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp):
            choice = node.value
            branches = [assign(name, choice.body), assign(name, choice.orelse)]
        else:
            return node
        return ast.If(test=choice.test, body=branches[:1], orelse=branches[1:])


class JoinConditionals(Blocks):
    """`if c: x = a else: x = b` becomes `x = a if c else b`, and `if c: return a` before `return b` likewise."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        joined = [self._joined(statement) for statement in statements]
        if len(joined) > 1:
            guard, last = joined[-2:]
            alone = isinstance(guard, ast.If) and not guard.orelse and len(guard.body) == 1
            if alone and isinstance(guard, ast.If) and isinstance(last, ast.Return) and last.value is not None:
                first = guard.body[0]
                if isinstance(first, ast.Return) and first.value is not None:
                    choice = ast.IfExp(test=guard.test, body=first.value, orelse=last.value)
                    return [*joined[:-2], ast.Return(value=choice)]
        return joined

    def _joined(self, node: ast.stmt) -> ast.stmt:
        if not isinstance(node, ast.If) or len(node.body) != 1 or len(node.orelse) != 1:
            return node
        first, second = node.body[0], node.orelse[0]
        name = assigned_name(first)
        if name is None or assigned_name(second) != name:
            return node
        assert isinstance(first, ast.Assign)
        assert isinstance(second, ast.Assign)
        return assign(name, ast.IfExp(test=node.test, body=first.value, orelse=second.value))


class NestAfterGuard(Blocks):
    """`if a: ... return` and what follows becomes `if a: ... return else: what follows`."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        for index, node in enumerate(statements[:-1]):
            if isinstance(node, ast.If) and not node.orelse and isinstance(node.body[-1], _LEAVING):
                nested = ast.If(test=node.test, body=node.body, orelse=self.block(statements[index + 1 :]))
                return [*statements[:index], nested]
        return statements


class FlattenAfterGuard(Blocks):
    """`if a: ... return else: Y` becomes `if a: ... return` and then Y."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        flat: list[ast.stmt] = []
        for node in statements:
            if isinstance(node, ast.If) and node.orelse and isinstance(node.body[-1], _LEAVING):
                flat += [ast.If(test=node.test, body=node.body, orelse=[]), *node.orelse]
            else:
                flat.append(node)
        return flat


class NestConjunctions(ast.NodeTransformer):
    """`if a and b: X` becomes `if a: if b: X`."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        test = node.test
        if not node.orelse and isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and len(test.values) == 2:
            return ast.If(test=test.values[0], body=[ast.If(test=test.values[1], body=node.body, orelse=[])], orelse=[])
        return node


class JoinConjunctions(ast.NodeTransformer):
    """`if a: if b: X` becomes `if a and b: X`."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        inner = node.body[0]
        if len(node.body) == 1 and isinstance(inner, ast.If) and not node.orelse and not inner.orelse:
            test = ast.BoolOp(op=ast.And(), values=[node.test, inner.test])
            return ast.If(test=test, body=inner.body, orelse=[])
        return node
