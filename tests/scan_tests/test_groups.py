"""Groups of clones hold functions that are alike, not chains of them."""

from __future__ import annotations

import numpy as np

from avatar_optuna.scan import clone_groups
from avatar_optuna.scan._groups import Group
from avatar_optuna.scan._scores import Pairs, Scores

PLACES = np.asarray([0.0, 1.0, 2.0, 3.0, 10.0, 10.5, 50.0])


def _score(pairs: Pairs) -> Scores:
    return (-np.abs(PLACES[pairs[:, 0]] - PLACES[pairs[:, 1]])).astype(np.float32)


def _groups(least: float) -> list[Group]:
    pairs = np.stack(np.triu_indices(len(PLACES), 1), axis=1)
    return clone_groups(pairs[_score(pairs) >= least], _score, least)


def test_a_chain_is_not_one_group() -> None:
    assert _groups(-1) == [
        Group(members=(1, 0, 2), scores=(-1.0, -1.0)),
        Group(members=(4, 5), scores=(-0.5,)),
    ]
    assert [group.members for group in _groups(-1.9)] == [(1, 0, 2), (4, 5)]


def test_members_are_looked_for_among_all_that_are_connected() -> None:
    """Even where the search gave no such pair."""
    matches = np.asarray([[0, 1], [1, 2]])
    assert [group.members for group in clone_groups(matches, _score, -2)] == [(1, 0, 2)]
    matches = np.asarray([[0, 3], [0, 2], [1, 2]])
    assert [group.members for group in clone_groups(matches, _score, -3)] == [(0, 1, 2, 3)]


def test_without_matches_there_is_no_group() -> None:
    assert clone_groups(np.zeros((0, 2), dtype=np.int64), _score, 0) == []
