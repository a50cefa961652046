"""`python-clones`: which of two Python functions are one function, rewritten.

A clone is a pair of rewrites of one function; a non-clone is a pair of rewrites of two functions that look alike: of
one module, with the most words in common. Both members of every pair go through the same rewrites, so how a text is
written says nothing. A module, with all its functions, belongs to one split.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks._python_source import SourceFunction, library_functions
from avatar_optuna.tasks._rewrites import rewritten
from avatar_optuna.tasks._task import Split

DEFAULT_INPUTS = {"train": 3_000, "valid": 400, "test": 400}
_SHARES = {"train": 0.7, "valid": 0.15, "test": 0.15}
_WORD = re.compile(r"[A-Za-z][a-z]+|[A-Z]+")


def make_python_clones(*, seed: int, inputs: Mapping[str, int]) -> dict[str, Split]:
    """The three splits, half of each clones.

    Args:
        seed: Everything is a function of it and of the Python library.
        inputs: Number of pairs of each split.
    """
    by_split = split_by_module(library_functions(), seed=seed)
    return {
        name: _pairs(by_split[name], inputs[name], np.random.default_rng([seed, index]), name)
        for index, name in enumerate(("train", "valid", "test"))
    }


def split_by_module(functions: Sequence[SourceFunction], *, seed: int) -> dict[str, list[SourceFunction]]:
    """Whole modules to splits, in the shares 70, 15 and 15 % of the functions."""
    modules: dict[str, list[SourceFunction]] = defaultdict(list)
    for function in functions:
        modules[function.module].append(function)
    names = sorted(modules)
    order = np.random.default_rng([seed, 99]).permutation(len(names))
    splits: dict[str, list[SourceFunction]] = {name: [] for name in _SHARES}
    for index in order:
        members = modules[names[index]]
        shortest = min(splits, key=lambda name: len(splits[name]) / _SHARES[name])
        splits[shortest] += members
    return splits


def _pairs(functions: Sequence[SourceFunction], count: int, rng: np.random.Generator, name: str) -> Split:
    look_alikes = _LookAlikes(functions)
    order = [int(index) for index in rng.permutation(len(functions))]
    texts: dict[str, int] = {}
    inputs: list[list[int]] = []
    while len(inputs) < count:
        if not order:
            raise InputError(
                f"task.max_{name} must be at most {len(inputs)}, the pairs this Python's library gives, got {count}"
            )
        first = order.pop()
        alike = look_alikes.of(first)
        if not alike:
            continue
        for second in (int(rng.choice(alike)), first):  # a pair of different functions, then a pair of clones
            pair = [rewritten(functions[index].text, rng) for index in (first, second)]
            inputs.append([texts.setdefault(text, len(texts)) for text in pair])
    labels = np.arange(len(inputs)) % 2
    return Split(functions=tuple(texts), inputs=np.asarray(inputs, dtype=np.int32)[:count], labels=labels[:count])


class _LookAlikes:
    """For a function, the few others of its module that share the largest part of its words."""

    def __init__(self, functions: Sequence[SourceFunction]) -> None:
        self._functions = functions
        self._modules: dict[str, list[int]] = defaultdict(list)
        for index, function in enumerate(functions):
            self._modules[function.module].append(index)
        self._words: dict[int, Counter[str]] = {}

    def of(self, index: int, *, count: int = 2, least: float = 0.5) -> list[int]:
        """At most `count` indices, of functions that share at least the part `least`."""
        others = [other for other in self._modules[self._functions[index].module] if other != index]
        overlaps = [(self._overlap(index, other), other) for other in others]
        return [other for overlap, other in sorted(overlaps, reverse=True)[:count] if overlap >= least]

    def _overlap(self, left: int, right: int) -> float:
        """Words in common over the mean number of words, in [0, 1]."""
        a, b = self._counted(left), self._counted(right)
        return 2 * sum(min(number, b[word]) for word, number in a.items()) / max(a.total() + b.total(), 1)

    def _counted(self, index: int) -> Counter[str]:
        if index not in self._words:
            self._words[index] = Counter(word.lower() for word in _WORD.findall(self._functions[index].text))
        return self._words[index]
