"""Views of functions: altered texts, which the teacher labels as readily as the functions themselves.

A student learns a small training split by heart; what it needs is the teacher's answer in more places. A view need not
run, nor keep its function's label: the teacher alone says what it thinks of it. Lines are what all languages share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Lines = list[str]
_SHARE_KEPT = (0.3, 0.9)  # of a function's lines, by a part of it
_SHARE_DROPPED = (0.1, 0.5)  # by a function with holes


def views_of(functions: Sequence[str], count: int, *, seed: int) -> tuple[str, ...]:
    """`count` views of each function: view k of function i, k from 0, stands at i + k * len(functions).

    By equal chances a view is a part of its function (30 to 90 % of its lines, in one piece), the function with holes
    (each line left out at one probability of 10 to 50 %), or the start of the function and the end of another one.

    Args:
        seed: The views are a pure function of it, the functions and the count.
    """
    lines = [function.splitlines(keepends=True) for function in functions]
    rng = np.random.default_rng(seed)
    return tuple(_view(own, lines, rng) for _ in range(count) for own in lines)


def _view(own: Lines, others: Sequence[Lines], rng: np.random.Generator) -> str:
    altered = _KINDS[int(rng.integers(len(_KINDS)))](own, others, rng)
    return "".join(altered or own)


def _part(own: Lines, others: Sequence[Lines], rng: np.random.Generator) -> Lines:
    length = max(1, int(len(own) * rng.uniform(*_SHARE_KEPT)))
    start = int(rng.integers(max(1, len(own) - length + 1)))
    return own[start : start + length]


def _with_holes(own: Lines, others: Sequence[Lines], rng: np.random.Generator) -> Lines:
    is_kept = rng.random(len(own)) > rng.uniform(*_SHARE_DROPPED)
    return [line for line, kept in zip(own, is_kept, strict=True) if kept]


def _spliced(own: Lines, others: Sequence[Lines], rng: np.random.Generator) -> Lines:
    other = others[int(rng.integers(len(others)))]
    return own[: rng.integers(len(own) + 1)] + other[rng.integers(len(other) + 1) :]


_KINDS: tuple[Callable[[Lines, Sequence[Lines], np.random.Generator], Lines], ...] = (_part, _with_holes, _spliced)
