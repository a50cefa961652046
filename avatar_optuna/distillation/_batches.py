"""What each step of an epoch sees, and the views of functions: pure functions of the seed and the epoch.

A view is an altered text, which the teacher labels as readily as the function itself. A student learns a small training
split by heart; what it needs is the teacher's answer in more places. A view need not run, nor keep its function's
label: the teacher alone says what it thinks of it. Lines are what all languages share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def plan_inputs(num_inputs: int, *, batch_size: int, limit: int | None, rng: np.random.Generator) -> list[Indices]:
    """Inputs in random order, `batch_size` at a time, each once; at most `limit` of them.

    Returns:
        Places of inputs, one array a step.
    """
    order = rng.permutation(num_inputs)[:limit]
    return in_batches(order, batch_size)


def plan_functions(
    inputs: npt.NDArray[np.int32], labels: npt.NDArray[np.int64], *, batch_size: int, rng: np.random.Generator
) -> list[Indices]:
    """Every function of a list of pairs once, `batch_size` at a time, with partners of listed pairs in one batch.

    Pairs are drawn at random, the labels by turns, and taken if neither function is taken yet; functions left
    without a free partner follow in random order. So each batch holds true clones, hard non-clones, and all the pairs
    between them.

    Args:
        inputs: Pairs of places of functions, shape (n, 2).
        labels: Their labels, shape (n,).

    Returns:
        Places of functions, one array a step.
    """
    functions = np.unique(inputs)
    free = np.zeros(int(functions[-1]) + 1, dtype=bool)
    free[functions] = True
    taken: list[tuple[int, int]] = []
    for first, second in inputs[_by_turns(labels, rng)].tolist():
        if free[first] and free[second] and first != second:
            free[first] = free[second] = False
            taken.append((first, second))
    pairs = rng.permutation(np.array(taken, dtype=np.int64).reshape(-1, 2)).reshape(-1)
    rest = rng.permutation(np.flatnonzero(free))
    return in_batches(np.concatenate([pairs, rest]), max(2, batch_size))


def plan_reading(num_functions: int, others: int, rng: np.random.Generator) -> Indices:
    """Place (functions,) of the text that an epoch reads of each function: itself or another one, by equal chances.

    Args:
        others: Views and edited texts of each function; text k, from 1, of function i stands at i + k * num_functions.
    """
    functions = np.arange(num_functions)
    return functions + num_functions * rng.integers(others + 1, size=num_functions) if others else functions


def _by_turns(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Indices:
    """All places in random order, the labels alternating while all of them last."""
    kinds = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    shorter = min(map(len, kinds))
    alternating = np.stack([kind[:shorter] for kind in kinds], axis=1).reshape(-1)
    return np.concatenate([alternating, *(kind[shorter:] for kind in kinds)])


def in_batches(order: Indices, size: int) -> list[Indices]:
    """Parts of `size`; a last part of less than half joins the one before, so that no step sees almost nothing."""
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) * 2 < size:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts


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
