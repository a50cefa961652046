"""Groups of functions that do the same: those that the data names, or those that pairs of clones connect."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avatar_optuna.tasks._task import Split


def named_groups(split: Split) -> npt.NDArray[np.int64]:
    """The group of each function that the data names, shape (functions,); -1 for none."""
    groups = np.full(len(split.functions), -1, dtype=np.int64)
    if split.groups is not None:
        groups[split.inputs.ravel()] = split.groups.ravel()
    return groups


def connected_groups(split: Split) -> npt.NDArray[np.int64]:
    """The group of each function, shape (functions,), from 0: pairs of the label 1 connect the functions of a group."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs, count = split.inputs[split.labels == 1], len(split.functions)
    edges = coo_array((np.ones(len(pairs), dtype=np.int8), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return np.asarray(connected_components(edges, directed=False)[1], dtype=np.int64)


def known_groups(split: Split) -> npt.NDArray[np.int64]:
    """The group of each function, shape (functions,); -1 for none: as the data names them, else as clones connect."""
    return named_groups(split) if split.groups is not None else connected_groups(split)
