"""Rows of one file divided into splits: by shares of each label, by groups that stay together, or by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]


def by_label(labels: npt.NDArray[np.int64], shares: Sequence[int], *, seed: int) -> list[Rows]:
    """Rows drawn at random, each label by the shares; every label has a row in the first split.

    Args:
        labels: Shape (rows,).
        shares: Percentages, which add up to 100.
        seed: What is drawn is a function of it and of the labels.
    """
    rng = np.random.default_rng(seed)
    parts: list[list[Rows]] = [[] for _ in shares]
    owed = np.zeros(len(shares))  # what rounding took from each split so far
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        wanted = len(rows) * np.asarray(shares) / 100 + owed
        counts = _rounded(wanted, len(rows))
        owed = np.asarray(wanted - counts)
        for part, own in zip(parts, np.split(rows, np.cumsum(counts)[:-1]), strict=True):
            part.append(own)
    return [np.sort(np.concatenate(part)) for part in parts]


def _rounded(wanted: npt.NDArray[np.float64], total: int) -> npt.NDArray[np.int64]:
    """Whole numbers near these that add up to `total`, the first of them at least 1."""
    counts = np.floor(wanted.clip(min=0)).astype(np.int64)
    counts[0] = max(counts[0], 1)
    while counts.sum() != total:
        short = counts.sum() < total
        lacking = np.where(counts > (np.arange(len(counts)) == 0), wanted - counts, np.inf)
        place = int(np.argmax(wanted - counts)) if short else int(np.argmin(lacking))
        counts[place] += 1 if short else -1
    return np.asarray(counts)


def by_group(
    labels: npt.NDArray[np.int64], kept: npt.NDArray[np.int32], shares: Sequence[int], *, seed: int
) -> list[Rows]:
    """Rows of which no two with a value in common stand in different splits, each label near its shares.

    The largest groups are placed first, each where its labels are missed most; groups of one size in an order drawn by
    the seed. A split stays empty where there are fewer groups than splits.

    Args:
        labels: Shape (rows,).
        kept: Shape (rows, values of a row): numbers of values; rows that share one, directly or by others, are a group.
        shares: Percentages, which add up to 100.
        seed: What is drawn is a function of it and of the data.
    """
    group = _connected(kept)
    sizes = np.bincount(group)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    counts = _counts(group, labels, len(sizes))
    placed = _places(counts[order], np.asarray(shares) / 100)
    split_of_group = np.empty(len(sizes), dtype=np.int64)
    split_of_group[order] = placed
    return [np.flatnonzero(split_of_group[group] == place) for place in range(len(shares))]


def _places(counts: Any, shares: npt.NDArray[np.float64]) -> list[int]:
    """The split of each group, of its rows by label as a sparse matrix of shape (groups, labels)."""
    totals = np.asarray(counts.sum(axis=0)).ravel()
    missed = np.outer(shares, np.ones(len(totals)))  # share of each label that a split still misses
    placed: list[int] = []
    empty = set(range(len(shares)))
    for number in range(counts.shape[0]):
        begin, end = counts.indptr[number : number + 2]
        columns, rows = counts.indices[begin:end], counts.data[begin:end]
        gains = (missed[:, columns] * rows).sum(axis=1)
        if counts.shape[0] - number <= len(empty):  # as many groups are left as splits without one
            gains[[place for place in range(len(shares)) if place not in empty]] = -np.inf
        place = int(np.argmax(gains))
        missed[place, columns] -= rows / totals[columns]
        empty.discard(place)
        placed.append(place)
    return placed


def _counts(group: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], groups: int) -> Any:
    from scipy.sparse import coo_array

    shape = (groups, int(labels.max()) + 1)
    return coo_array((np.ones(len(labels)), (group, labels)), shape=shape).tocsr()


def _connected(kept: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """The number of the group of each row, in the order of their first rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = int(kept.max()) + 1
    edges = coo_array((np.ones(len(kept), dtype=np.int8), (kept[:, 0], kept[:, -1])), shape=(count, count))
    group = np.asarray(connected_components(edges, directed=False)[1])[kept[:, 0]]
    _, first, numbers = np.unique(group, return_index=True, return_inverse=True)
    ranks = np.argsort(np.argsort(first))
    return np.asarray(ranks[numbers], dtype=np.int64)


def by_time(times: Sequence[int | float], shares: Sequence[int]) -> list[Rows]:
    """The oldest rows first, the newest last; rows of one time stay together, in the earlier split.

    Args:
        times: Of each row.
        shares: Percentages, which add up to 100.
    """
    order = sorted(range(len(times)), key=times.__getitem__)
    cuts = [0]
    for share in np.cumsum(shares)[:-1]:
        cut = max(round(len(order) * int(share) / 100), cuts[-1])
        while 0 < cut < len(order) and times[order[cut]] == times[order[cut - 1]]:
            cut += 1
        cuts.append(cut)
    return [np.sort(np.asarray(order[a:b], dtype=np.int64)) for a, b in zip(cuts, [*cuts[1:], len(order)], strict=True)]
