"""Variants of a function: other texts that do the same."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from avatar_optuna.edits._rename import Names, letters, names_of, numbered, renamed
from avatar_optuna.edits._source import Source
from avatar_optuna.edits._statements import Edit, dead_code, mirrored_comparison, negated_branch, other_loop, reordered
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import cached
from avatar_optuna.languages import LANGUAGES

EDITED_LANGUAGES = ("c", "cpp", "java", "python")
_VERSION = 1
"""Of what the edits do: texts that another version cached are made anew."""
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
def edited(
    functions: tuple[str, ...], language: str, *, count: int, seed: int = 0, cache_dir: Path | None = None
) -> tuple[tuple[str, ...], ...]:
    """Variants 1 to `count` of all functions, each in the functions' order, by the recipes one after another.

    A function takes about 4 ms a variant. Where they stand in the cache, nothing is parsed.

    Args:
        seed: The variants are a pure function of it, the functions and the count.
        cache_dir: Where they are kept, made by one process for all of a machine; None makes them anew.

    Raises:
        InputError: Functions of the language cannot be edited.
    """
    check_language(language)
    if cache_dir is None or not count:
        return _made(functions, language, count, seed)
    key = json.dumps([_VERSION, language, count, seed, functions]).encode()
    path = cache_dir / "edits" / f"{hashlib.sha256(key).hexdigest()[:32]}.json.gz"
    content = cached(path, lambda: gzip.compress(json.dumps(_made(functions, language, count, seed)).encode(), mtime=0))
    return tuple(tuple(texts) for texts in json.loads(gzip.decompress(content)))


def _made(functions: tuple[str, ...], language: str, count: int, seed: int) -> tuple[tuple[str, ...], ...]:
    chosen = recipes(functions, language) if count else ()
    numbers = range(count)
    by_function = [  # one after another, so that each is parsed once
        [variant(function, language, chosen[number % len(chosen)], seed=seed + number) for number in numbers]
        for function in functions
    ]
    return tuple(tuple(texts[number] for texts in by_function) for number in numbers)


def num_unedited(functions: Sequence[str], variants: Sequence[Sequence[str]]) -> int:
    """How many functions none of their variants differs from: nothing of them can be edited."""
    return sum(all(text == function for text in texts) for function, *texts in zip(functions, *variants, strict=True))


def check_language(language: str, place: str = "") -> None:
    """Refuse a language whose functions cannot be edited.

    Args:
        place: What asks for edits, for the message.

    Raises:
        InputError: It is one.
    """
    if language not in EDITED_LANGUAGES:
        raise InputError(
            f"{f'{place}: ' if place else ''}functions can be edited in {', '.join(EDITED_LANGUAGES)}, got {language!r}"
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


@lru_cache(maxsize=1)
def _source(function: str, language: str) -> Source:
    check_language(language)
    return Source(function.encode("utf-8", "surrogatepass"), LANGUAGES[language])
