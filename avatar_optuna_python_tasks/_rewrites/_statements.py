"""Rewrites of assignments, calls and literals."""

from __future__ import annotations

import ast
import builtins

from avatar_optuna_python_tasks._rewrites._trees import (
    Blocks,
    assign,
    assigned_name,
    bound,
    call,
    fresh_names,
    is_number,
    is_plain,
    load,
    names,
)

_MIXING = frozenset({"dict", "OrderedDict", "namedtuple", "super"})  # the order of their keywords shows


class ExpandAugmented(ast.NodeTransformer):
    """`n += 1` becomes `n = n + 1`, for numbers: what is changed in place can neither gain nor lose one."""

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        if isinstance(node.target, ast.Name) and is_number(node.value) and isinstance(node.op, ast.Add | ast.Sub):
            return assign(node.target.id, ast.BinOp(left=load(node.target.id), op=node.op, right=node.value))
        return node


class AugmentAssignments(ast.NodeTransformer):
    """`n = n + 1` becomes `n += 1`, for numbers."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        name, value = assigned_name(node), node.value
        if name is None or not isinstance(value, ast.BinOp) or not is_number(value.right):
            return node
        if not isinstance(value.left, ast.Name) or value.left.id != name or not isinstance(value.op, ast.Add | ast.Sub):
            return node
        return ast.AugAssign(target=ast.Name(id=name, ctx=ast.Store()), op=value.op, value=value.right)


class SwapAssignments(Blocks):
    """`a = x; b = y` becomes `b = y; a = x`, for names and constants that do not touch each other."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        swapped = list(statements)
        index = 0
        while index + 1 < len(swapped):
            first, second = swapped[index : index + 2]
            if _are_independent(first, second):
                swapped[index : index + 2] = [second, first]
                index += 1
            index += 1
        return swapped


def _are_independent(first: ast.stmt, second: ast.stmt) -> bool:
    left, right = assigned_name(first), assigned_name(second)
    if left is None or right is None or left == right:
        return False
    assert isinstance(first, ast.Assign)
    assert isinstance(second, ast.Assign)
    quiet = all(is_plain(node.value) or _is_empty(node.value) for node in (first, second))
    return quiet and left not in names(second.value) and right not in names(first.value)


def _is_empty(node: ast.expr) -> bool:
    return (isinstance(node, ast.List | ast.Tuple) and not node.elts) or (isinstance(node, ast.Dict) and not node.keys)


class SortKeywords(ast.NodeTransformer):
    """`f(b=x, a=y)` becomes `f(a=y, b=x)`, for names and constants; a callee that asks for their order is not met."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        callee = node.func.id if isinstance(node.func, ast.Name) else ""
        if callee not in _MIXING and all(k.arg is not None and is_plain(k.value) for k in node.keywords):
            node.keywords = sorted(node.keywords, key=lambda keyword: str(keyword.arg))
        return node


class JoinConstants(Blocks):
    """`a = 1` and `b = 2` side by side become `a, b = (1, 2)`."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        joined: list[ast.stmt] = []
        for node in statements:
            before = joined[-1] if joined else None
            if before is not None and _is_constant_assignment(node) and _is_constant_assignment(before):
                assert isinstance(node, ast.Assign)
                assert isinstance(before, ast.Assign)
                targets = ast.Tuple(elts=[before.targets[0], node.targets[0]], ctx=ast.Store())
                values = ast.Tuple(elts=[before.value, node.value], ctx=ast.Load())
                joined[-1] = ast.Assign(targets=[targets], value=values, lineno=0)
            else:
                joined.append(node)
        return joined


class SplitTuples(Blocks):
    """`a, b = (1, 2)` becomes `a = 1` and `b = 2`, for constants."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [new for node in statements for new in self._split(node)]

    def _split(self, node: ast.stmt) -> list[ast.stmt]:
        if not isinstance(node, ast.Assign) or len(node.targets) != 1:
            return [node]
        target, value = node.targets[0], node.value
        if not isinstance(target, ast.Tuple) or not isinstance(value, ast.Tuple):
            return [node]
        plain = all(isinstance(t, ast.Name) for t in target.elts) and all(
            isinstance(v, ast.Constant) for v in value.elts
        )
        if not plain or len(target.elts) != len(value.elts):
            return [node]
        pairs = zip(target.elts, value.elts, strict=True)
        return [assign(t.id, v) for t, v in pairs if isinstance(t, ast.Name)]


def _is_constant_assignment(node: ast.stmt) -> bool:
    return assigned_name(node) is not None and isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)


class NameResults(Blocks):
    """`return f(x)` becomes `result = f(x); return result`."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._fresh = fresh_names(function)

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        named: list[ast.stmt] = []
        for node in statements:
            if isinstance(node, ast.Return) and node.value is not None and not is_plain(node.value):
                name = self._fresh("result")
                named.append(assign(name, node.value))
                node = ast.Return(value=load(name))
            named.append(node)
        return named


class NameConditions(Blocks):
    """`if f(x):` becomes `check = f(x); if check:`, and `for x in f(y):` becomes `items = f(y); for x in items:`."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._fresh = fresh_names(function)

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        named: list[ast.stmt] = []
        for node in statements:
            if isinstance(node, ast.If) and not is_plain(node.test):
                name = self._fresh("check")
                named.append(assign(name, node.test))
                node.test = load(name)
            elif isinstance(node, ast.For) and not is_plain(node.iter):
                name = self._fresh("items")
                named.append(assign(name, node.iter))
                node.iter = load(name)
            named.append(node)
        return named


class NameArguments(Blocks):
    """`x = len(f(y))` becomes `value = f(y); x = len(value)`, for the builtins: no call can change what they are."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._fresh = fresh_names(function)
        self._builtins = frozenset(dir(builtins)) - bound(function)

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        named: list[ast.stmt] = []
        for node in statements:
            outer = node.value if isinstance(node, ast.Assign | ast.Return | ast.Expr) else None
            if isinstance(outer, ast.Call) and self._begins_with_work(outer):
                name = self._fresh("value")
                named.append(assign(name, outer.args[0]))
                outer.args[0] = load(name)
            named.append(node)
        return named

    def _begins_with_work(self, outer: ast.Call) -> bool:
        callee = outer.func.id if isinstance(outer.func, ast.Name) else ""
        return callee in self._builtins and isinstance(
            next(iter(outer.args), None), ast.Call | ast.Subscript | ast.BinOp
        )


class FormatCalls(ast.NodeTransformer):
    """`f'{a}: {b}'` becomes `'{}: {}'.format(a, b)`."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        pieces, arguments = [], []
        for value in node.values:
            if isinstance(value, ast.Constant):
                pieces.append(str(value.value).replace("{", "{{").replace("}", "}}"))
            elif isinstance(value, ast.FormattedValue) and value.format_spec is None:
                pieces.append({-1: "{}", 115: "{!s}", 114: "{!r}", 97: "{!a}"}[value.conversion])
                arguments.append(value.value)
            else:
                return node
        method = ast.Attribute(value=ast.Constant(value="".join(pieces)), attr="format", ctx=ast.Load())
        return ast.Call(func=method, args=arguments, keywords=[])


class SpellLiterals(ast.NodeTransformer):
    """`[]` becomes `list()` and `{}` becomes `dict()`, where these names are the builtins."""

    def __init__(self, function: ast.FunctionDef) -> None:
        self._bound = bound(function)

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        empty = not node.elts and isinstance(node.ctx, ast.Load) and "list" not in self._bound
        return call("list") if empty else node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        return call("dict") if not node.keys and "dict" not in self._bound else node
