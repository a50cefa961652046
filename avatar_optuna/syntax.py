"""Source code as concrete syntax trees: the one home of tree-sitter and its grammars, loaded with the first text."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

from avatar_optuna.languages import Language

if TYPE_CHECKING:
    from tree_sitter import Language as Grammar
    from tree_sitter import Node, Parser, Query

__all__ = ["comment_nodes", "function_nodes", "parse", "qualified_name"]


def parse(source: bytes, language: Language) -> Node:
    """The root of the tree of a text in UTF-8. A text with errors has a tree too, with nodes that say where they are.

    Columns of its nodes count bytes.
    """
    return _parser(language).parse(source).root_node


def function_nodes(root: Node, language: Language) -> list[Node]:
    """The functions below a node that have a body, by their start; one that holds another comes before it."""
    found = _found(root, language, tuple(f"({kind} body: (_)) @found" for kind in language.functions))
    return sorted(found, key=lambda node: (node.start_byte, -node.end_byte))


def comment_nodes(root: Node, language: Language) -> list[Node]:
    """The comments below a node by their start and, in Python, the docstrings."""
    return sorted(_found(root, language, language.comments), key=lambda node: node.start_byte)


def qualified_name(function: Node, language: Language) -> str:
    """Such as `Stack.push`: the name of a function behind those of the classes and functions that hold it.

    A function without a name has that of what it is assigned to, or is called `<anonymous>`.
    """
    names = [_name(function) or "<anonymous>"]
    node = function.parent
    while node is not None:
        if node.type in language.scopes or node.type in language.functions:
            names.append(_name(node) or "<anonymous>")
        node = node.parent
    return ".".join(reversed(names))


_ASSIGNED = {
    "variable_declarator": "name",
    "assignment_expression": "left",
    "pair": "key",
    "field_definition": "property",
}


def _name(node: Node) -> str:
    """The name that a node declares; that of a declarator in C stands inside further ones."""
    named = node.child_by_field_name("name")
    if named is None and (inner := node.child_by_field_name("declarator")) is not None:
        while inner is not None:
            named, inner = inner, inner.child_by_field_name("declarator")
    if named is None and node.parent is not None and node.parent.type in _ASSIGNED:
        named = node.parent.child_by_field_name(_ASSIGNED[node.parent.type])
    return (named.text or b"").decode(errors="replace") if named is not None else ""


def _found(root: Node, language: Language, patterns: tuple[str, ...]) -> list[Node]:
    from tree_sitter import QueryCursor

    return QueryCursor(_query(language, patterns)).captures(root).get("found", [])


@cache
def _query(language: Language, patterns: tuple[str, ...]) -> Query:
    from tree_sitter import Query

    return Query(_grammar(language), "\n".join(patterns))


@cache
def _grammar(language: Language) -> Grammar:
    from tree_sitter import Language as Grammar

    return Grammar(import_module(language.distribution.replace("-", "_")).language())


@cache
def _parser(language: Language) -> Parser:
    from tree_sitter import Parser

    return Parser(_grammar(language))
