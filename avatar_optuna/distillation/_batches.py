"""Which functions and inputs each step of an epoch sees: a pure function of the seed and the epoch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def plan_inputs(num_inputs: int, *, batch_size: int, limit: int | None, rng: np.random.Generator) -> list[Indices]:
    """Inputs in random order, `batch_size` at a time, each once; at most `limit` of them.

    Returns:
        Places of inputs, one array a step.
    """
    order = rng.permutation(num_inputs)[:limit]
    return _split(order, batch_size)


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
    return _split(np.concatenate([pairs, rest]), max(2, batch_size))


def plan_reading(num_functions: int, views: int, rng: np.random.Generator) -> Indices:
    """Place (functions,) of the text that an epoch reads of each function: itself or a view, by equal chances."""
    functions = np.arange(num_functions)
    return functions + num_functions * rng.integers(views + 1, size=num_functions) if views else functions


def _by_turns(labels: npt.NDArray[np.int64], rng: np.random.Generator) -> Indices:
    """All places in random order, the labels alternating while all of them last."""
    kinds = [rng.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    shorter = min(map(len, kinds))
    alternating = np.stack([kind[:shorter] for kind in kinds], axis=1).reshape(-1)
    return np.concatenate([alternating, *(kind[shorter:] for kind in kinds)])


def _split(order: Indices, size: int) -> list[Indices]:
    """Parts of `size`; a last part of less than half joins the one before, so that no step sees almost nothing."""
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    if len(parts) > 1 and len(parts[-1]) * 2 < size:
        parts[-2:] = [np.concatenate(parts[-2:])]
    return parts
