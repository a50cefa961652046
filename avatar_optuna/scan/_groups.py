"""Groups of functions that are clones of one another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from avatar_optuna.scan._scores import Pairs, Scores


@dataclass(frozen=True, kw_only=True)
class Group:
    """Functions of which the first is a clone of each other.

    Args:
        members: Places of functions, at least one beside the first.
        scores: Of each member after the first, with the first.
    """

    members: tuple[int, ...]
    scores: tuple[float, ...]


def clone_groups(matches: Pairs, score: Callable[[Pairs], Scores], least: float) -> list[Group]:
    """Groups such that each function is in one at most.

    Of the functions that matches connect, the one with most matches leads a group of all that score with it at least
    as asked for; then the next one of those that are left, and so on. So a chain of matches does not join functions
    that are not alike.

    Args:
        matches: Pairs that score at least `least`, shape (m, 2).
        score: Scores pairs; minus infinity for those that are not to be compared.
        least: The least score.
    """
    degrees = np.bincount(matches.ravel(), minlength=1)
    groups = []
    for component in _components(matches):
        left = sorted(component, key=lambda place: (-degrees[place], place))
        while len(left) > 1:
            leader, others = left[0], np.asarray(left[1:])
            pairs = np.sort(np.stack([np.full_like(others, leader), others], axis=1), axis=1)
            values = score(pairs)
            is_alike = values >= least
            if is_alike.any():
                members = others[is_alike]
                order = np.lexsort((members, -values[is_alike]))
                groups.append(
                    Group(members=(leader, *members[order].tolist()), scores=tuple(values[is_alike][order].tolist()))
                )
            left = others[~is_alike].tolist()
    return groups


def _components(matches: Pairs) -> Iterator[list[int]]:
    """The sets of functions that matches connect, by their first."""
    parents: dict[int, int] = {}

    def root(place: int) -> int:
        while (parent := parents.setdefault(place, place)) != place:
            parents[place] = parents[parent]
            place = parent
        return place

    for first, second in matches.tolist():
        low, high = sorted((root(first), root(second)))
        parents[high] = low
    components: dict[int, list[int]] = defaultdict(list)
    for place in sorted(parents):
        components[root(place)].append(place)
    yield from components.values()
