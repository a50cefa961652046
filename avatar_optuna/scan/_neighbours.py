"""Nearest neighbours by inner product: exact, by blocks of matrix products, in memory that grows with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

Vectors = npt.NDArray[np.float32]
Pairs = npt.NDArray[np.int64]
_ROWS, _COLUMNS = 256, 4096
"""Of a block of products: 4 MB in float32."""


def nearest_pairs(left: Vectors, right: Vectors, *, neighbours: int, threads: int = 1) -> Pairs:
    """The pairs (i, j), i < j, of which one is among the other's neighbours.

    The neighbours of i are the rows j of `right`, j != i, with the largest products `left[i] @ right[j]`.

    Args:
        left: Shape (n, d).
        right: Shape (n, d), for the same rows.
        neighbours: Of each row, at least 1.
        threads: That compute.

    Returns:
        Sorted pairs, shape (m, 2), each once.
    """
    count = len(left)
    if count < 2:
        return np.zeros((0, 2), dtype=np.int64)
    order = np.random.default_rng(0).permutation(count)  # so that the first block is like the others
    shuffled = np.ascontiguousarray(right[order])
    starts = range(0, count, _ROWS)

    def keys_of(start: int) -> Pairs:
        """The pairs of some rows with their neighbours, a number each."""
        rows = np.arange(start, min(start + _ROWS, count))
        places, columns = _best(left[rows], shuffled, min(neighbours + 1, count))
        first, second = rows[places], order[columns]
        is_other = first != second
        first, second = first[is_other], second[is_other]
        kept = _rank(first) < neighbours
        first, second = first[kept], second[kept]
        return np.asarray(np.minimum(first, second) * count + np.maximum(first, second))

    with threadpool_limits(1, "blas"), ThreadPoolExecutor(threads) as pool:
        keys = np.unique(np.concatenate(list(pool.map(keys_of, starts))))
    return np.stack(np.divmod(keys, count), axis=1)


def all_pairs(count: int) -> Pairs:
    """Every pair (i, j), i < j, of so many rows."""
    return np.stack(np.triu_indices(count, 1), axis=1).astype(np.int64)


def _best(rows: Vectors, columns: Vectors, wanted: int) -> tuple[Pairs, Pairs]:
    """Rows and columns of the `wanted` largest products of each row, by row and by falling product.

    What the first block of columns holds gives each row a bound that its largest products reach, so that of the other
    blocks only what reaches it is kept.
    """
    least: npt.NDArray[np.float32] | None = None
    found: list[tuple[Pairs, Pairs, Vectors]] = []
    for start, products in _blocks(rows, columns):
        if least is None:
            place = max(products.shape[1] - wanted, 0)
            least = np.partition(products, place, axis=1)[:, place, None] if products.shape[1] >= wanted else None
        hits = np.flatnonzero(products >= least) if least is not None else np.arange(products.size)
        row, column = np.divmod(hits, products.shape[1])
        found.append((row, column + start, products.ravel()[hits]))
    row, column, product = (np.concatenate(parts) for parts in zip(*found, strict=True))
    by_product = np.lexsort((column, -product, row))
    kept = by_product[_rank(row[by_product]) < wanted]
    return row[kept], column[kept]


def _blocks(rows: Vectors, columns: Vectors) -> Iterator[tuple[int, Vectors]]:
    for start in range(0, len(columns), _COLUMNS):
        yield start, rows @ columns[start : start + _COLUMNS].T


def _rank(sorted_rows: Pairs) -> Pairs:
    """Of each entry, how many equal ones stand before it."""
    places = np.arange(len(sorted_rows))
    is_first = np.r_[True, sorted_rows[1:] != sorted_rows[:-1]] if len(sorted_rows) else np.zeros(0, dtype=bool)
    return places - np.maximum.accumulate(np.where(is_first, places, 0))
