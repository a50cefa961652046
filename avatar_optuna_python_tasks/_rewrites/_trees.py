"""What the rewrites share: asking a tree what it binds, and transforming it a list of statements at a time."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator

COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Fresh = Callable[[str], str]
"""Takes a stem; returns a name that the function does not use."""


class Blocks(ast.NodeTransformer):
    """A transformer that sees every list of statements as a whole."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        raise NotImplementedError

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.expr):
            return node  # no statements below
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and statements and isinstance(statements[0], ast.stmt):
                setattr(node, name, self.block(statements))
        return node


def walk(root: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree as `ast.walk` gives them, in another order and without contexts: twice as fast."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                waiting += [entry for entry in value if isinstance(entry, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                waiting.append(value)


def is_plain(node: ast.expr) -> bool:
    """A name or a constant: reading it has no effect."""
    return isinstance(node, ast.Name | ast.Constant)


def is_number(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float) and not isinstance(node.value, bool)


def names(node: ast.AST) -> set[str]:
    """Every name and parameter below a node."""
    found = {n.id for n in walk(node) if isinstance(n, ast.Name)}
    return found | {n.arg for n in walk(node) if isinstance(n, ast.arg)}


def stored(node: ast.AST) -> set[str]:
    """Names that are assigned below a node."""
    return {n.id for n in walk(node) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}


def bound(function: ast.FunctionDef) -> set[str]:
    """Names that the function binds: what it assigns, and its parameters."""
    return stored(function) | {n.arg for n in walk(function) if isinstance(n, ast.arg)}


def count(node: ast.AST, name: str) -> int:
    """How often a name stands below a node."""
    return sum(isinstance(n, ast.Name) and n.id == name for n in walk(node))


def fresh_names(function: ast.FunctionDef) -> Fresh:
    taken = names(function)

    def fresh(stem: str) -> str:
        numbered = (f"{stem}_{number}" for number in itertools.count(2))
        name = next(name for name in itertools.chain([stem], numbered) if name not in taken)
        taken.add(name)
        return name

    return fresh


def load(name: str) -> ast.Name:
    return ast.Name(id=name, ctx=ast.Load())


def call(function: str, *arguments: ast.expr) -> ast.Call:
    return ast.Call(func=load(function), args=list(arguments), keywords=[])


def assign(name: str, value: ast.expr) -> ast.Assign:
    return ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=value, lineno=0)


def assigned_name(node: ast.AST) -> str | None:
    """`x` of `x = ...`, or None for any other statement."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    return None
