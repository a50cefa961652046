"""Programming languages: what they are called, how names of their files end, and what their grammars call functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import PurePath
from types import MappingProxyType

from avatar_optuna.exceptions import InputError


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
        further_suffixes: Suffixes of files that hold it in a folder of its files, and elsewhere may hold another
            language, or no functions.
        synonyms: Other names of it.
    """

    name: str
    title: str
    distribution: str
    suffixes: tuple[str, ...]
    functions: tuple[str, ...]
    scopes: tuple[str, ...] = ()
    comments: tuple[str, ...] = ("(comment) @found",)
    further_suffixes: tuple[str, ...] = ()
    synonyms: tuple[str, ...] = ()

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
        further_suffixes=(".h",),
        synonyms=("c++",),
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
        synonyms=("js",),
    ),
    Language(
        *("python", "Python", "tree-sitter-python", (".py",)),
        functions=("function_definition",),
        scopes=("class_definition",),
        comments=("(comment) @found", "(block . (expression_statement . (string) .) @found)"),
        further_suffixes=(".pyi",),
    ),
)
LANGUAGES: Mapping[str, Language] = MappingProxyType({language.name: language for language in _ALL})
_BY_SUFFIX = {suffix: language for language in _ALL for suffix in language.suffixes}


def known_language(name: str) -> Language | None:
    """The language of this name or synonym, in capitals or not, if it is one of these."""
    own = name.lower()
    return next((language for language in _ALL if own == language.name or own in language.synonyms), None)


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
