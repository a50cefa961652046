"""Generations are feasible, new, replayable; and the screening finds more than plain NSGA-II."""

from __future__ import annotations

import numpy as np
import pytest

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.feasibility import Feasibility
from avatar_optuna.pareto import hypervolume
from avatar_optuna.sampler import Evolution
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER

DIRECTIONS = ("maximize", "minimize", "minimize")


@pytest.fixture(scope="module")
def feasibility() -> Feasibility:
    return Feasibility(space=SearchSpace.paper(), constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))


def _costs(columns: ConfigurationTable) -> np.ndarray:
    return np.column_stack([size_bytes(columns, TaskShape(arity=2)), flops(columns, TaskShape(arity=2))]).astype(
        np.float64
    )


def _values(students: list[Configuration]) -> np.ndarray:
    """A stand-in with diminishing returns in every size."""
    columns = ConfigurationTable.from_students(students, family=TRANSFORMER)
    effectiveness = 1 - 0.4 * np.exp(-columns.hidden_size / 50) - 0.2 * np.exp(-columns.num_hidden_layers / 3)
    effectiveness = effectiveness - 0.1 * np.exp(-columns.vocab_size / 5000) + 0.05 * (columns.learning_rate == 1e-3)
    return np.column_stack([effectiveness, _costs(columns)])


def _evolve(evolution: Evolution, generations: int) -> list[list[Configuration]]:
    asked = []
    for _ in range(generations):
        students = evolution.ask()
        evolution.tell(students, _values(students))
        asked.append(students)
    return asked


@pytest.mark.parametrize("screened", [True, False])
def test_every_student_is_feasible_and_new(feasibility: Feasibility, screened: bool) -> None:
    evolution = _evolution(feasibility, screened=screened)
    students = [student for generation in _evolve(evolution, 8) for student in generation]
    assert len(students) == 8 * 20 == len(set(students))
    assert all(feasibility.check(student.to_dict()).feasible for student in students)


def _evolution(feasibility: Feasibility, *, screened: bool = True, seed: int = 0) -> Evolution:
    return Evolution(
        feasibility=feasibility,
        directions=DIRECTIONS,
        population_size=20,
        seed=seed,
        costs=_costs if screened else None,
    )


@pytest.mark.parametrize("screened", [True, False])
def test_a_replayed_evolution_goes_on_as_if_never_stopped(feasibility: Feasibility, screened: bool) -> None:
    generations = _evolve(_evolution(feasibility, screened=screened), 6)
    resumed = _evolution(feasibility, screened=screened)
    for generation in generations[:3]:
        resumed.tell(generation, _values(generation))
    assert _evolve(resumed, 3) == generations[3:]
    assert _evolve(_evolution(feasibility, screened=screened, seed=1), 1)[0] != generations[0]


def test_the_given_students_come_first(feasibility: Feasibility) -> None:
    given = _evolution(feasibility, seed=5).ask()[:3]
    evolution = Evolution(
        feasibility=feasibility, directions=DIRECTIONS, population_size=10, seed=0, initial=given, costs=_costs
    )
    first = evolution.ask()
    assert first[:3] == given
    assert len(first) == 10


SMALL = {
    "tokenizer": ["BPE"], "vocab_size": [1000, 2000], "num_hidden_layers": [1, 2, 3], "hidden_size": [16, 32, 48],
    "hidden_act": ["gelu"], "hidden_dropout_prob": [0.2], "intermediate_size": [32], "num_attention_heads": [1, 3],
    "attention_probs_dropout_prob": [0.2], "max_sequence_length": [256], "batch_size": [16, 32],
    "position_embedding_type": ["absolute"], "learning_rate": [1e-3],
}  # fmt: skip


@pytest.mark.parametrize("screened", [True, False])
def test_a_small_space_is_searched_to_the_last_configuration(screened: bool) -> None:
    space = SearchSpace.from_mapping(SMALL)
    feasibility = Feasibility(
        space=space, constraints=["vocab_size < 2000 or hidden_size < 48"], task_shape=TaskShape(arity=2)
    )
    asked = _evolve(_evolution(feasibility, screened=screened), 6)
    # Batch sizes, layers; then vocabularies with one head at 3 widths, with three heads at 48, less 2000 at 48.
    feasible = 2 * 3 * (2 * 3 + 2 * 1 - (1 + 1))
    students = [student for generation in asked for student in generation]
    assert len(students) == len(set(students)) == feasible
    assert asked[-1] == []


def test_screening_finds_more_volume_than_breeding_alone(feasibility: Feasibility) -> None:
    volumes = {}
    for screened in (True, False):
        students = [s for g in _evolve(_evolution(feasibility, screened=screened), 10) for s in g]
        values = _values(students) * [-1, 1, 1] / [1, 3e6, 1e10]
        volumes[screened] = hypervolume(values, [0, 1, 1])
    assert volumes[True] > volumes[False]
