"""Source code as concrete syntax trees: the one home of tree-sitter and its grammars, loaded with the first text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING

from avatar_optuna.exceptions import InputError

if TYPE_CHECKING:
    from tree_sitter import Language as Grammar
    from tree_sitter import Node, Parser, Query

__all__ = [
    "LANGUAGES",
    "Language",
    "comment_nodes",
    "function_nodes",
    "language_named",
    "language_of",
    "parse",
    "qualified_name",
]


@dataclass(frozen=True)
class Language:
    """A programming language that can be parsed.

    Args:
        name: What study files and arguments call it.
        title: What people call it.
        distribution: The Python distribution that holds its grammar.
        suffixes: How names of its files end, dot included.
        functions: Types of the nodes that are functions, methods and constructors.
        scopes: Types of the nodes whose names stand before those of the functions in them.
        comments: Patterns of a query that finds comments and, in Python, docstrings.
    """

    name: str
    title: str
    distribution: str
    suffixes: tuple[str, ...]
    functions: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    comments: tuple[str, ...] = ("(comment) @found",)

    @property
    def grammar_version(self) -> str:
        """Version of the installed grammar: what a tree looks like depends on it."""
        return version(self.distribution)


_ALL = (
    Language("c", "C", "tree-sitter-c", (".c", ".h"), functions=("function_definition",)),
    Language(
        *("cpp", "C++", "tree-sitter-cpp", (".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx")),
        functions=("function_definition",),
        scopes=("class_specifier", "struct_specifier", "namespace_definition"),
    ),
    Language(
        *("java", "Java", "tree-sitter-java", (".java",)),
        functions=("method_declaration", "constructor_declaration", "compact_constructor_declaration"),
        scopes=("class_declaration", "interface_declaration", "enum_declaration", "record_declaration"),
        comments=("(line_comment) @found", "(block_comment) @found"),
    ),
    Language(
        *("javascript", "JavaScript", "tree-sitter-javascript", (".cjs", ".js", ".jsx", ".mjs")),
        functions=(
            *("function_declaration", "generator_function_declaration", "function_expression", "generator_function"),
            *("arrow_function", "method_definition"),
        ),
        scopes=("class_declaration", "class"),
    ),
    Language(
        *("python", "Python", "tree-sitter-python", (".py",)),
        functions=("function_definition",),
        scopes=("class_definition",),
        comments=("(comment) @found", "(block . (expression_statement . (string) .) @found)"),
    ),
)
LANGUAGES: Mapping[str, Language] = MappingProxyType({language.name: language for language in _ALL})
_BY_SUFFIX = {suffix: language for language in _ALL for suffix in language.suffixes}


def language_named(name: str) -> Language:
    """The language of this name.

    Raises:
        InputError: There is none.
    """
    if name not in LANGUAGES:
        raise InputError(f"the language must be one of {', '.join(LANGUAGES)}, got {name!r}")
    return LANGUAGES[name]


def language_of(path: PurePath) -> Language | None:
    """The language that the name of a file tells, if it is one of these. A header `.h` is read as C."""
    return _BY_SUFFIX.get(path.suffix.lower())


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
