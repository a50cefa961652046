"""`python-clones`: which of two Python functions are one function, rewritten.

A clone is a pair of rewrites of one function. A non-clone is a pair of rewrites of two functions that look alike: the
nearest by TF-IDF, nearly always of one module. Half of the training split's non-clones are any two functions instead,
so that a small model learns what a clone is before it learns what is almost one; validation and test hold look-alikes
alone. Both members of every pair go through the same rewrites, and every function is in as many clones as it leads
non-clones, so that neither how a text is written nor which function it is says anything. A module, with all its
functions, belongs to one split.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks import Split
from avatar_optuna_python_tasks._pairs_kind import BuiltInPairs
from avatar_optuna_python_tasks._python_source import SourceFunction, library_functions
from avatar_optuna_python_tasks._rewrites import rewritten

DEFAULT_INPUTS = {"train": 6_000, "valid": 400, "test": 400}
_SHARES = {"train": 0.6, "valid": 0.2, "test": 0.2}
_EASY_SHARES = {"train": 0.5, "valid": 0.0, "test": 0.0}
_LONGEST = 600  # characters, so that a small model reads whole functions on a CPU
_LEAST_SIMILARITY = 0.6
_NEIGHBOURS = 3
_REWRITES = 3  # of each function at most
_USES = 6  # of each pair of functions at most
_TOKEN = r"[A-Za-z]+|\d+|[^\sA-Za-z\d]"


def make_python_clones(*, seed: int, inputs: Mapping[str, int]) -> dict[str, Split]:
    """The three splits, half of each clones.

    Args:
        seed: Everything is a function of it and of the Python library.
        inputs: Number of pairs of each split.

    Raises:
        InputError: More pairs are asked for than the library gives.
    """
    by_split = split_by_module(
        [function for function in library_functions() if len(function.text) <= _LONGEST], seed=seed
    )
    return {
        name: _pairs(by_split[name], inputs[name], np.random.default_rng([seed, index]), name)
        for index, name in enumerate(_SHARES)
    }


KIND = BuiltInPairs(
    title="clone detection among rewritten functions of Python’s standard library",
    labels=("different", "clone"),
    default_inputs=DEFAULT_INPUTS,
    make=make_python_clones,
)


def split_by_module(functions: Sequence[SourceFunction], *, seed: int) -> dict[str, list[SourceFunction]]:
    """Whole modules to splits, in the shares 60, 20 and 20 % of the functions."""
    modules: dict[str, list[SourceFunction]] = defaultdict(list)
    for function in functions:
        modules[function.module].append(function)
    names = sorted(modules)
    order = np.random.default_rng([seed, 99]).permutation(len(names))
    splits: dict[str, list[SourceFunction]] = {name: [] for name in _SHARES}
    for index in order:
        members = modules[names[index]]
        emptiest = min(splits, key=lambda name: len(splits[name]) / _SHARES[name])
        splits[emptiest] += members
    return splits


def _pairs(functions: Sequence[SourceFunction], count: int, rng: np.random.Generator, name: str) -> Split:
    non_clones = -(-count // 2)
    easy = int(non_clones * _EASY_SHARES[name])
    alike = _look_alikes(functions)
    most = 2 * _USES * len(alike)
    if 2 * (non_clones - easy) > most:
        share = 1 - _EASY_SHARES[name]
        raise InputError(
            f"task.max_{name} must be at most {int(most / share)}, the pairs this Python's library gives, got {count}"
        )
    chosen = [*_cycled(alike, non_clones - easy, rng), *_any_two(len(functions), easy, rng)]
    versions = _Versions(functions, rng)
    texts: dict[str, int] = {}
    inputs = []
    for index in rng.permutation(len(chosen)):
        first, second = chosen[index]
        for pair in (versions.of_two(first, second), versions.of_one(first)):  # different, then clones
            inputs.append([texts.setdefault(text, len(texts)) for text in pair])
    labels = np.arange(len(inputs), dtype=np.int64) % 2
    split = Split(functions=tuple(texts), inputs=np.asarray(inputs, dtype=np.int32), labels=labels)
    return split.take(np.arange(count))


def _cycled(pairs: Sequence[tuple[int, int]], count: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    order = rng.permutation(len(pairs))
    for turn in range(count):
        yield pairs[order[turn % len(pairs)]]


def _any_two(size: int, count: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    order = rng.permutation(size)
    for turn in range(count):
        first = int(order[turn % size])
        yield first, (first + int(rng.integers(1, size))) % size


class _Versions:
    """A few rewrites of each function, made when they are first asked for."""

    def __init__(self, functions: Sequence[SourceFunction], rng: np.random.Generator) -> None:
        self._functions = functions
        self._rng = rng
        self._made: dict[int, list[str]] = defaultdict(list)

    def of_two(self, first: int, second: int) -> tuple[str, str]:
        """A rewrite of each function."""
        return self._one(first), self._one(second)

    def of_one(self, index: int) -> tuple[str, str]:
        """Two different rewrites of a function."""
        first = second = self._one(index)
        while second == first:
            second = self._one(index)
        return first, second

    def _one(self, index: int) -> str:
        made, place = self._made[index], int(self._rng.integers(_REWRITES))
        if place < len(made):
            return made[place]
        text = rewritten(self._functions[index].text, self._rng)
        if text not in made:
            made.append(text)
        return text


def _look_alikes(functions: Sequence[SourceFunction]) -> list[tuple[int, int]]:
    """Pairs of a function and one of its nearest neighbours, as the baseline sees them once locals are renamed."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=_TOKEN, lowercase=False, ngram_range=(1, 2), sublinear_tf=True)
    vectors = vectorizer.fit_transform([_nameless(function) for function in functions])
    similarity = (vectors @ vectors.T).toarray()
    np.fill_diagonal(similarity, 0.0)
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :_NEIGHBOURS]
    return [
        (index, int(other))
        for index, others in enumerate(nearest)
        for other in others
        if similarity[index, other] >= _LEAST_SIMILARITY
    ]


def _nameless(function: SourceFunction) -> str:
    """The text with every local under one name, for rewrites will name them anew."""
    if not function.local_names:
        return function.text
    return re.sub(rf"\b(?:{'|'.join(function.local_names)})\b", "local", function.text)
