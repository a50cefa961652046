"""An evolution for each family of a union: children have parents of one family, and a generation has all of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.feasibility import Feasibility, StudyFeasibility
from avatar_optuna.sampler._evolution import Evolution
from avatar_optuna.students import Configuration


class EvolutionUnion:
    """Asks for generations of students of several families, in equal parts, and is told what they are worth.

    The front of the union is made of points of the families' fronts, each of which is searched by an evolution of its
    own; so it does not matter here which family the whole front is of.

    Args:
        members: One evolution for each family, by its name.
    """

    def __init__(self, members: dict[str, Evolution]) -> None:
        self._members = members

    def tell(self, students: Sequence[Configuration], values: npt.ArrayLike) -> None:
        """Values of a generation, shape (students, objectives), in the directions of the study."""
        table = np.asarray(values, dtype=np.float64)
        for name, evolution in self._members.items():
            rows = [index for index, student in enumerate(students) if student.family.name == name]
            evolution.tell([students[index] for index in rows], table[rows] if rows else [])

    def skip(self, students: Sequence[Configuration]) -> None:
        """Never ask for these again, though they have no values."""
        for name, evolution in self._members.items():
            evolution.skip([student for student in students if student.family.name == name])

    def ask(self) -> list[Configuration]:
        """The next generation, the families by turns; of one alone where the other's space has run out."""
        turns = itertools.zip_longest(*(evolution.ask() for evolution in self._members.values()))
        return [student for turn in turns for student in turn if student is not None]


def evolution_of(
    feasibility: StudyFeasibility,
    *,
    population_size: int,
    seed: int,
    initial: Sequence[Configuration] = (),
    **options: Any,
) -> Evolution | EvolutionUnion:
    """The evolution of a study: of one family, or of several, which share the population.

    Args:
        feasibility: Of the study.
        population_size: Students a generation, all families together.
        seed: Everything is a function of it and of what is told.
        initial: Students that the first generations begin with.
        options: As of `Evolution`.
    """
    if isinstance(feasibility, Feasibility):
        return Evolution(
            feasibility=feasibility, population_size=population_size, seed=seed, initial=initial, **options
        )
    size = -(-population_size // len(feasibility.members))
    members = {}
    for index, judge in enumerate(feasibility.members):
        members[judge.family.name] = Evolution(
            feasibility=judge,
            population_size=size,
            seed=int(np.random.SeedSequence([seed, index]).generate_state(1)[0]),
            initial=[student for student in initial if student.family is judge.family],
            **options,
        )
    return EvolutionUnion(members)
