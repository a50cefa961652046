"""Source code as concrete syntax trees: the one home of tree-sitter and its grammars."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import version
from pathlib import PurePath
from types import MappingProxyType

from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser

from avatar_optuna.exceptions import InputError

__all__ = ["LANGUAGES", "Language", "Node", "language_named", "language_of", "parse"]


@dataclass(frozen=True)
class Language:
    """A programming language that can be parsed.

    Args:
        name: What study files and arguments call it.
        title: What people call it.
        distribution: The Python distribution that holds its grammar.
        suffixes: How names of its files end, dot included.
    """

    name: str
    title: str
    distribution: str
    suffixes: tuple[str, ...]

    @property
    def grammar_version(self) -> str:
        """Version of the installed grammar: what a tree looks like depends on it."""
        return version(self.distribution)


_ALL = (
    Language("c", "C", "tree-sitter-c", (".c", ".h")),
    Language("cpp", "C++", "tree-sitter-cpp", (".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx")),
    Language("java", "Java", "tree-sitter-java", (".java",)),
    Language("javascript", "JavaScript", "tree-sitter-javascript", (".cjs", ".js", ".jsx", ".mjs")),
    Language("python", "Python", "tree-sitter-python", (".py",)),
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


@cache
def _parser(language: Language) -> Parser:
    return Parser(Grammar(import_module(language.distribution.replace("-", "_")).language()))
