"""Variants of a function: other texts that do the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from avatar_optuna.edits._rename import Names, letters, names_of, numbered, renamed
from avatar_optuna.edits._source import Source
from avatar_optuna.edits._statements import Edit, dead_code, mirrored_comparison, negated_branch, other_loop, reordered
from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import LANGUAGES

EDITED_LANGUAGES = ("c", "cpp", "java", "python")
_STATEMENT_EDITS: tuple[Edit, ...] = (dead_code, reordered, negated_branch, other_loop, mirrored_comparison)


@dataclass(frozen=True)
class Recipe:
    """What is done to a function.

    Args:
        name: What tables call it.
        names: Where new names come from; None keeps them.
        statements: Whether statements are edited: each kind of edit once, where it can be.
    """

    name: str
    names: Names | None
    statements: bool


def recipes(functions: Sequence[str], language: str) -> tuple[Recipe, ...]:
    """The recipes of variants 1, 2 and on, in the order in which they are used; then they begin anew.

    Args:
        functions: Whose names are used where names are drawn from functions.
    """
    pool = names_of([_source(function, language) for function in functions])
    return (
        Recipe("names of other functions", pool, statements=False),
        Recipe("letters", letters, statements=False),
        Recipe("statements", None, statements=True),
        Recipe("numbered names", numbered, statements=False),
        Recipe("names and statements", pool, statements=True),
    )


@lru_cache(maxsize=8)
def edited(functions: tuple[str, ...], language: str, *, count: int, seed: int = 0) -> tuple[tuple[str, ...], ...]:
    """Variants 1 to `count` of all functions, each in the functions' order, by the recipes one after another.

    Args:
        seed: The variants are a pure function of it, the functions and the count.

    Raises:
        InputError: Functions of the language cannot be edited.
    """
    chosen = recipes(functions, language)
    return tuple(
        tuple(variant(f, language, chosen[number % len(chosen)], seed=seed + number) for f in functions)
        for number in range(count)
    )


def variant(function: str, language: str, recipe: Recipe, *, seed: int) -> str:
    """A function edited by a recipe; the function itself where nothing of it can be edited.

    No edit is kept after which the text has a syntax error.

    Args:
        seed: The variant is a pure function of it, the function and the recipe.

    Raises:
        InputError: Functions of the language cannot be edited.
    """
    source = _source(function, language)
    if source.root.has_error:
        return function
    rng = np.random.default_rng([seed, len(source.text)])
    if recipe.names is not None:
        source = _kept(source, renamed(source, recipe.names, rng))
    if recipe.statements:
        for place in rng.permutation(len(_STATEMENT_EDITS)):
            source = _kept(source, _STATEMENT_EDITS[int(place)](source, rng))
    return source.text.decode()


def _kept(source: Source, edited: Source | None) -> Source:
    return source if edited is None or edited.root.has_error else edited


def _source(function: str, language: str) -> Source:
    if language not in EDITED_LANGUAGES:
        raise InputError(f"functions can be edited in {', '.join(EDITED_LANGUAGES)}, got {language!r}")
    return Source(function.encode("utf-8", "surrogatepass"), LANGUAGES[language])
