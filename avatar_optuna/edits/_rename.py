"""New names for local variables and parameters: all occurrences alike, one to one, never a name that is in use."""

from __future__ import annotations

import keyword
from collections.abc import Callable, Iterator, Sequence
from itertools import count, product
from string import ascii_lowercase

import numpy as np

from avatar_optuna.edits._names import local_names
from avatar_optuna.edits._source import Source, replace_node

_RESERVED = frozenset(
    word.encode()
    for word in (
        *keyword.kwlist,
        *(
            "abstract assert auto bool boolean break byte case catch char class const continue default delete do "
            "double else enum extends extern false final finally float for friend goto if implements import inline "
            "instanceof int interface long mutable namespace native new null nullptr operator package private "
            "protected public record register restrict return sealed short signed sizeof static strictfp struct super "
            "switch synchronized template this throw throws transient true try typedef typename union unsigned using "
            "var virtual void volatile while yield and or not xor asm bitand bitor compl"
        ).split(),
    )
)

Names = Callable[[np.random.Generator], Iterator[bytes]]
"""Candidates for new names, without end."""


def letters(rng: np.random.Generator) -> Iterator[bytes]:
    """a, b, c and on, those of one letter in random order."""
    order = rng.permutation(len(ascii_lowercase))
    yield from (ascii_lowercase[place].encode() for place in order)
    for length in count(2):
        yield from ("".join(word).encode() for word in product(ascii_lowercase, repeat=length))


def numbered(rng: np.random.Generator) -> Iterator[bytes]:
    """var1, var2 and on, by one of several stems."""
    stem = ("var", "arg", "local", "v")[int(rng.integers(4))]
    yield from (f"{stem}{number}".encode() for number in count(1))


def names_of(functions: Sequence[Source]) -> Names:
    """Names that other functions give to their variables, at random; letters where they are used up."""
    pool = sorted({name for function in functions for name in local_names(function)})

    def candidates(rng: np.random.Generator) -> Iterator[bytes]:
        yield from (pool[place] for place in rng.permutation(len(pool)))
        yield from letters(rng)

    return candidates


def renamed(source: Source, names: Names, rng: np.random.Generator) -> Source | None:
    """The function with every local variable and parameter renamed; None where there is none."""
    places = local_names(source)
    if not places:
        return None
    free = _distinct(names(rng), source.words | _RESERVED)
    return source.replaced(
        replace_node(node, new) for new, nodes in zip(free, places.values(), strict=False) for node in nodes
    )


def _distinct(names: Iterator[bytes], taken: frozenset[bytes]) -> Iterator[bytes]:
    """Each name once, without those that are taken."""
    given = set(taken)
    for name in names:
        if name not in given:
            given.add(name)
            yield name
