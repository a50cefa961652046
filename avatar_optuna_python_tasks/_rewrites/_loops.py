"""Rewrites of loops and comprehensions."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TypeGuard

from avatar_optuna_python_tasks._rewrites._branches import negated
from avatar_optuna_python_tasks._rewrites._trees import (
    COMPREHENSIONS,
    Blocks,
    Fresh,
    assign,
    assigned_name,
    bound,
    call,
    count,
    fresh_names,
    load,
    names,
    walk,
)


class LoopForever(ast.NodeTransformer):
    """`while a: X` becomes `while True: if not a: break; X`."""

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        if node.orelse or isinstance(node.test, ast.Constant):
            return node
        leave = ast.If(test=negated(node.test), body=[ast.Break()], orelse=[])
        return ast.While(test=ast.Constant(value=True), body=[leave, *node.body], orelse=[])


class LoopWhile(ast.NodeTransformer):
    """`while True: if a: break; X` becomes `while not a: X`."""

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        first = node.body[0]
        forever = isinstance(node.test, ast.Constant) and node.test.value and not node.orelse and len(node.body) > 1
        if not forever or not isinstance(first, ast.If) or len(first.body) != 1 or first.orelse:
            return node
        leaves = isinstance(first.body[0], ast.Break)
        return ast.While(test=negated(first.test), body=node.body[1:], orelse=[]) if leaves else node


class _Loops(Blocks):
    """A transformer that puts several statements in the place of one."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self.fresh: Fresh = fresh_names(function)
        self.bound = bound(function)

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [new for statement in statements for new in self.replaced(statement)]

    def replaced(self, node: ast.stmt) -> Sequence[ast.stmt]:
        raise NotImplementedError


class CountInstead(_Loops):
    """`for i in range(n): X` becomes `limit = n; count = 0; while count < limit: i = count; count += 1; X`.

    The counter has a name of its own, so `continue`, and what X does to `i`, mean what they meant.
    """

    def replaced(self, node: ast.stmt) -> Sequence[ast.stmt]:
        if not isinstance(node, ast.For) or node.orelse or not isinstance(node.target, ast.Name):
            return [node]
        span = node.iter
        if not self._is_builtin_call(span, "range") or not self._is_whole(span.args[0]):
            return [node]
        limit, counter = self.fresh("limit"), self.fresh("count")
        test = ast.Compare(left=load(counter), ops=[ast.Lt()], comparators=[load(limit)])
        step = assign(counter, ast.BinOp(left=load(counter), op=ast.Add(), right=ast.Constant(value=1)))
        loop = ast.While(test=test, body=[assign(node.target.id, load(counter)), step, *node.body], orelse=[])
        return [assign(limit, span.args[0]), assign(counter, ast.Constant(value=0)), loop]

    def _is_builtin_call(self, node: ast.expr, name: str) -> TypeGuard[ast.Call]:
        """Whether a node calls this builtin with one argument."""
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id != name:
            return False
        return name not in self.bound and len(node.args) == 1 and not node.keywords

    def _is_whole(self, node: ast.expr) -> bool:
        """Whether a node is sure to be a whole number: `range` refuses all else, and a comparison would not."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            return self._is_whole(node.left) and self._is_whole(node.right)
        return (isinstance(node, ast.Constant) and type(node.value) is int) or self._is_builtin_call(node, "len")


class DrawInstead(_Loops):
    """`for x in xs: X` becomes a `while` loop that draws from `iter(xs)` until StopIteration."""

    def replaced(self, node: ast.stmt) -> Sequence[ast.stmt]:
        if not isinstance(node, ast.For) or node.orelse or {"iter", "next", "StopIteration"} & self.bound:
            return [node]
        source = self.fresh("source")
        draw = ast.Assign(targets=[node.target], value=call("next", load(source)), lineno=0)
        drawn, target = self._drawn(node, draw)
        stop = ast.ExceptHandler(type=load("StopIteration"), name=None, body=[ast.Break()])
        attempt = ast.Try(body=[drawn], handlers=[stop], orelse=[], finalbody=[])
        loop = ast.While(test=ast.Constant(value=True), body=[attempt, *target, *node.body], orelse=[])
        return [assign(source, call("iter", node.iter)), loop]

    def _drawn(self, node: ast.For, draw: ast.Assign) -> tuple[ast.Assign, list[ast.stmt]]:
        """Unpacking must not stand inside the `try`: it could raise StopIteration on its own account."""
        if isinstance(node.target, ast.Name):
            return draw, []
        name = self.fresh("drawn")
        return assign(name, draw.value), [ast.Assign(targets=[node.target], value=load(name), lineno=0)]


class UnrollComprehensions(_Loops):
    """`xs = [f(x) for x in it if c]` becomes a loop that appends; the loop's variable gets a name of its own."""

    def replaced(self, node: ast.stmt) -> Sequence[ast.stmt]:
        value = node.value if isinstance(node, ast.Assign | ast.Return) else None
        if not isinstance(value, ast.ListComp) or len(value.generators) != 1 or value.generators[0].is_async:
            return [node]
        generator = value.generators[0]
        if not isinstance(generator.target, ast.Name) or any(map(_has_scope, [value.elt, *generator.ifs])):
            return [node]
        name, each = self.fresh("collected"), self.fresh("each")
        element = _replaced(value.elt, generator.target.id, each)
        method = ast.Attribute(value=load(name), attr="append", ctx=ast.Load())
        body: ast.stmt = ast.Expr(value=ast.Call(func=method, args=[element], keywords=[]))
        for test in reversed(generator.ifs):
            body = ast.If(test=_replaced(test, generator.target.id, each), body=[body], orelse=[])
        target = ast.Name(id=each, ctx=ast.Store())
        loop = ast.For(target=target, iter=generator.iter, body=[body], orelse=[], lineno=0)
        assert isinstance(node, ast.Assign | ast.Return)
        node.value = load(name)
        # The new list has no effect on what `it` gives, so that it may stand before it.
        return [assign(name, ast.List(elts=[], ctx=ast.Load())), loop, node]


class CollectInstead(Blocks):
    """`xs = []; for x in it: xs.append(f(x))` becomes `xs = [f(x) for x in it]`, where x is used nowhere else.

    Not in functions that catch exceptions: they could see the half-filled list.
    """

    def __init__(self, function: ast.FunctionDef) -> None:
        self._function = function
        self._catches = any(isinstance(node, ast.Try | ast.Yield | ast.YieldFrom) for node in walk(function))

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        collected: list[ast.stmt] = []
        for node in statements:
            made = self._comprehension(collected[-1], node) if collected and not self._catches else None
            if made is not None:
                collected[-1] = made
            else:
                collected.append(node)
        return collected

    def _comprehension(self, start: ast.stmt, loop: ast.stmt) -> ast.stmt | None:
        name = assigned_name(start)
        if name is None or not isinstance(start, ast.Assign) or not isinstance(loop, ast.For) or loop.orelse:
            return None
        empty = isinstance(start.value, ast.List) and not start.value.elts
        appended = _appended(loop, name)
        if not empty or appended is None or not isinstance(loop.target, ast.Name):
            return None
        element, test = appended
        inside = [loop.iter, element] + ([test] if test is not None else [])
        if name in names(loop.iter) or any(name in names(part) or _has_scope(part) for part in inside):
            return None
        if any(isinstance(n, ast.Await | ast.NamedExpr) for part in inside for n in walk(part)):
            return None
        if count(self._function, loop.target.id) != count(loop, loop.target.id):
            return None
        generator = ast.comprehension(target=loop.target, iter=loop.iter, ifs=inside[2:], is_async=0)
        return assign(name, ast.ListComp(elt=element, generators=[generator]))


def _appended(loop: ast.For, name: str) -> tuple[ast.expr, ast.expr | None] | None:
    """The element and the condition of a loop that does nothing but append to a list of this name."""
    if len(loop.body) != 1:
        return None
    node, test = loop.body[0], None
    if isinstance(node, ast.If) and not node.orelse and len(node.body) == 1:
        test, node = node.test, node.body[0]
    value = node.value if isinstance(node, ast.Expr) else None
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute) or value.func.attr != "append":
        return None
    owner = value.func.value
    single = len(value.args) == 1 and not value.keywords and not isinstance(value.args[0], ast.Starred)
    return (value.args[0], test) if single and isinstance(owner, ast.Name) and owner.id == name else None


def _has_scope(node: ast.AST) -> bool:
    return any(isinstance(n, COMPREHENSIONS) for n in walk(node))


def _replaced(node: ast.expr, old: str, new: str) -> ast.expr:
    for name in walk(node):
        if isinstance(name, ast.Name) and name.id == old:
            name.id = new
    return node
