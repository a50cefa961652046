"""The judges of a study's families: one of them, or one for each family of a union."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from avatar_optuna.constraints import concerning
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InfeasibleSpaceError
from avatar_optuna.feasibility import _bounds, _repair
from avatar_optuna.feasibility._bounds import TightenedSpace, wilson
from avatar_optuna.feasibility._feasibility import Feasibility, Verdict
from avatar_optuna.space import FAMILY_KEY
from avatar_optuna.space_union import SpaceUnion, StudySpace
from avatar_optuna.students import Configuration


@dataclass(frozen=True, kw_only=True, eq=False)
class FeasibilityUnion:
    """What is feasible in each of several families.

    Args:
        space: The union of their spaces.
        members: The judge of each, in the order of the space.
    """

    space: SpaceUnion
    members: tuple[Feasibility, ...]

    @property
    def task_shape(self) -> TaskShape:
        """Single functions or pairs."""
        return self.members[0].task_shape

    def check(self, values: Mapping[str, Any]) -> Verdict:
        """Judge the parameters of a trial (see `SpaceUnion`)."""
        space, own = self.space.split(values)
        return self.members[self.space.members.index(space)].check(own)


StudyFeasibility = Feasibility | FeasibilityUnion


def feasibility_of(
    space: StudySpace,
    *,
    constraints: Sequence[str],
    task_shape: TaskShape,
    predicted: Mapping[str, Callable[[Any], Any]] | None = None,
) -> StudyFeasibility:
    """The judge of a study's space. Of several families, each is bound by the constraints of whose names it has all.

    Raises:
        InputError: As `Feasibility` raises it.
        InfeasibleSpaceError: No configuration of a family satisfies all of its constraints.
    """
    members = []
    for member in space.members:
        own = concerning(constraints, member.family) if len(space.members) > 1 else constraints
        try:
            judge = Feasibility(space=member, constraints=own, task_shape=task_shape, predicted=predicted)
        except InfeasibleSpaceError as error:
            if len(space.members) == 1:
                raise
            raise InfeasibleSpaceError(error.conflict, family=member.family.name) from error
        members.append(judge)
    return FeasibilityUnion(space=space, members=tuple(members)) if isinstance(space, SpaceUnion) else members[0]


def draw(feasibility: StudyFeasibility, count: int, *, seed: int, pool: int = 20_000) -> list[Configuration]:
    """Feasible configurations spread over the space, each confirmed by the solver; of several families by turns.

    Args:
        feasibility: What is feasible.
        count: How many, all families together; fewer come back only where fewer different ones are found.
        seed: Everything is a function of it.
        pool: Candidates to choose from, of each family.

    Raises:
        StudyError: The solver judges a candidate infeasible that arithmetic found feasible.
    """
    judges = feasibility.members
    shares = [len(range(index, count, len(judges))) for index in range(len(judges))]
    drawn = [_repair.draw(judge, share, seed=seed, pool=pool) for judge, share in zip(judges, shares, strict=True)]
    turns = itertools.zip_longest(*drawn)
    return [student for turn in turns for student in turn if student is not None]


def tighten(feasibility: StudyFeasibility, *, draws: int = 400_000, seed: int = 0) -> TightenedSpace:
    """Ask the solver for the exact range of every hyperparameter; count the feasible share by drawing.

    Of several families the ranges have the names that the parameters of trials have, and a family is drawn as often as
    another.
    """
    if isinstance(feasibility, Feasibility):
        return _bounds.tighten(feasibility, draws=draws, seed=seed)
    judges = feasibility.members
    each = [_bounds.tighten(judge, draws=draws // len(judges), seed=seed) for judge in judges]
    families = tuple(judge.family.name for judge in judges)
    feasible = round(sum(one.share * one.draws for one in each))
    total = sum(one.draws for one in each)
    texts = dict.fromkeys(text for one in each for text in one.broken)
    return TightenedSpace(
        ranges=_named(families, [one.ranges for one in each]),
        asked=_named(families, [one.asked for one in each]),
        exact=all(one.exact for one in each),
        share=feasible / total,
        share_interval=wilson(feasible, total),
        draws=total,
        broken={text: float(np.mean([one.broken.get(text, 0.0) for one in each])) for text in texts},
        broken_alone={text: float(np.mean([one.broken_alone.get(text, 0.0) for one in each])) for text in texts},
        seconds=sum(one.seconds for one in each),
    )


def _named(families: Sequence[str], ranges: Sequence[Mapping[str, tuple[Any, ...]]]) -> dict[str, tuple[Any, ...]]:
    """Ranges of each family under the names of a trial's parameters."""
    each = zip(families, ranges, strict=True)
    return {FAMILY_KEY: tuple(families), **{f"{family}.{k}": v for family, own in each for k, v in own.items()}}
