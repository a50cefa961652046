"""`python-bytecode`: is this the bytecode of that Python function? Source and compiled code, matched.

A function of the standard library is one text, the instructions that Python compiles it to are the other: the names of
their operations, one a line, without what they operate on, as in a binary that was stripped of its symbols. So the two
texts have no names in common, and hardly a word: which words go with which instructions has to be learnt.

The functions of a split come in twos, half of them because their instructions are alike, half by chance. Each two make
four pairs: either function with its own bytecode, and with the other's. So no text says by itself what its pairs are. A
module, with all its functions, belongs to one split.
"""

from __future__ import annotations

import dis
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import CodeType

import numpy as np
import numpy.typing as npt

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks import SPLITS, Split
from avatar_optuna_python_tasks._pairs_kind import BuiltInPairs
from avatar_optuna_python_tasks._python_source import SourceFunction, library_functions
from avatar_optuna_python_tasks.python_clones import split_by_module

DEFAULT_INPUTS = {"train": 6_000, "valid": 600, "test": 600}
_LONGEST = 600  # characters of source, so that a small model reads whole functions on a CPU
_NEIGHBOURS = 20
_ROUNDS = 8  # twos that a function is in at most
_EXAMPLE = (
    "def mean(values):\n    total = 0.0\n    for value in values:\n        total += value\n"
    "    return total / len(values)\n"
)
_LEFT_OUT = ("CACHE", "RESUME", "NOP")  # stand in every function, or nowhere but in some versions of Python


def make_python_bytecode(*, seed: int, inputs: Mapping[str, int]) -> dict[str, Split]:
    """The three splits, half of each pairs of a function and its own bytecode.

    Args:
        seed: Everything is a function of it and of the user's Python.
        inputs: Number of pairs of each split.

    Raises:
        InputError: More pairs are asked for than the library gives.
    """
    listings: dict[str, SourceFunction] = {}  # of two functions with one listing the first stays
    for function in library_functions():
        if len(function.text) <= _LONGEST:
            listings.setdefault(instructions(function.text), function)
    by_split = split_by_module(list(listings.values()), seed=seed)
    return {
        name: _pairs([function.text for function in by_split[name]], inputs[name], [seed, place], name)
        for place, name in enumerate(SPLITS)
    }


@dataclass(frozen=True, kw_only=True)
class _BytecodePairs(BuiltInPairs):
    def example(self) -> tuple[str, str]:
        """A function, and its own instructions in this Python."""
        return _EXAMPLE, instructions(_EXAMPLE)


KIND = _BytecodePairs(
    title="matching functions of Python’s standard library and bytecode",
    labels=("different", "same"),
    default_inputs=DEFAULT_INPUTS,
    make=make_python_bytecode,
)


def instructions(source: str) -> str:
    """The operations of a function, one a line; those of functions within it follow, after a line of their own."""
    (code,) = (constant for constant in compile(source, "function", "exec").co_consts if isinstance(constant, CodeType))
    return "\n".join(_operations(code))


def _operations(code: CodeType) -> Iterator[str]:
    yield from (one.opname for one in dis.get_instructions(code) if one.opname not in _LEFT_OUT)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield "FUNCTION"
            yield from _operations(constant)


def _pairs(sources: Sequence[str], count: int, seed: Sequence[int], name: str) -> Split:
    listings = [instructions(source) for source in sources]
    twos = _twos(listings, -(-count // 4), np.random.default_rng(seed))
    if 4 * len(twos) < count:
        raise InputError(
            f"task.max_{name} must be at most {4 * len(twos)}, the pairs this Python's library gives, got {count}"
        )
    texts: dict[str, int] = {}
    inputs, labels = [], []
    for one, other in twos:
        for source, listing in ((one, one), (other, one), (other, other), (one, other)):
            both = (sources[source], listings[listing])
            inputs.append([texts.setdefault(text, len(texts)) for text in both])
            labels.append(int(source == listing))
    split = Split(
        functions=tuple(texts), inputs=np.asarray(inputs, dtype=np.int32), labels=np.asarray(labels, dtype=np.int64)
    )
    return split.take(np.arange(count))


def _twos(listings: Sequence[str], count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Functions in twos, none of them twice; fewer where there are no more."""
    neighbours = _neighbours(listings)
    found: dict[tuple[int, int], None] = {}

    def is_new(one: int, other: int) -> bool:
        return one != other and (one, other) not in found and (other, one) not in found

    for _ in range(_ROUNDS):
        free, order = set(range(len(listings))), rng.permutation(len(listings)).tolist()
        for one, by_chance in zip(order, rng.permutation(len(listings)).tolist(), strict=True):
            if len(found) == count:
                return list(found)
            if one not in free:
                continue
            near = rng.permutation(neighbours[one]).tolist() if len(found) % 2 else []
            other = next((other for other in (*near, by_chance) if other in free and is_new(one, other)), None)
            if other is not None:
                free -= {one, other}
                found[one, other] = None
    return list(found)


def _neighbours(listings: Sequence[str]) -> npt.NDArray[np.int64]:
    """Of each function those of the most similar counts of instructions, by TF-IDF; shape (functions, neighbours)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors = TfidfVectorizer(token_pattern=r"\w+", lowercase=False, sublinear_tf=True).fit_transform(listings)
    similarity = (vectors @ vectors.T).toarray()
    np.fill_diagonal(similarity, -1.0)
    return np.asarray(np.argsort(-similarity, axis=1, kind="stable")[:, :_NEIGHBOURS])
