"""Z3's verdicts against plain arithmetic, its bounds against brute force, its reasons against what is wrong."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape, size_bytes
from avatar_optuna.exceptions import InfeasibleSpaceError
from avatar_optuna.feasibility import Feasibility, Repairer, draw, tighten, uniform_codes
from avatar_optuna.space import SearchSpace
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.students.transformer import TRANSFORMER

PAPER = SearchSpace.paper()
CONSTRAINTS = ("size_mb <= 3.2", "flops <= 4e9", "tokenizer != 'Word' or vocab_size >= 2000")


@pytest.fixture(scope="module")
def paper() -> Feasibility:
    return Feasibility(space=PAPER, constraints=CONSTRAINTS, task_shape=TaskShape(arity=2))


@given(seed=st.integers(0, 10**6), small=st.booleans())
def test_the_solver_the_arrays_and_arithmetic_agree(paper: Feasibility, seed: int, small: bool) -> None:
    codes = uniform_codes(paper, 4, np.random.default_rng(seed))
    if small:  # most draws are far too large: these sit around the border
        codes[:, [TRANSFORMER.names.index("hidden_size"), TRANSFORMER.names.index("vocab_size")]] //= 8
    columns = paper.lattice.decode(Repairer(paper).aligned(codes))
    for index, held in enumerate(paper.holds(columns)):
        values = {name: columns.values[name][index].item() for name in columns.values}
        verdict = paper.check(values)
        assert verdict.feasible == held
        assert verdict.feasible == (not verdict.violated) == (verdict.reason is None)
        assert all(amount > 0 for amount in verdict.violated.values())


def test_a_verdict_says_what_is_broken_and_by_how_much(paper: Feasibility, student_values: dict[str, Any]) -> None:
    assert paper.check(student_values).feasible
    verdict = paper.check({**student_values, "vocab_size": 20_000, "hidden_size": 97})
    assert set(verdict.violated) == {"hidden_size % num_attention_heads == 0", "size_mb <= 3.2"}
    assert verdict.violated["hidden_size % num_attention_heads == 0"] == 1.0
    assert verdict.reason is not None
    assert "hidden_size % num_attention_heads == 0 is broken: hidden_size is 97" in verdict.reason or (
        "size_mb <= 3.2 is broken: size_mb is" in verdict.reason
    )


def _small_space() -> SearchSpace:
    return PAPER.replace(
        tokenizer=CategoricalDistribution(("BPE",)),
        vocab_size=IntDistribution(1000, 3000, step=500),
        num_hidden_layers=IntDistribution(1, 3),
        hidden_size=IntDistribution(16, 64, step=8),
        hidden_act=CategoricalDistribution(("gelu",)),
        intermediate_size=CategoricalDistribution((32, 64, 256)),
        num_attention_heads=IntDistribution(1, 5),
        max_sequence_length=IntDistribution(256, 512, step=128),
    )


@pytest.mark.parametrize("constraints", [["size_mb <= 0.4"], ["size_mb >= 0.6", "flops < 4e8"]])
def test_bounds_are_exact(constraints: list[str]) -> None:
    space = _small_space()
    feasibility = Feasibility(space=space, constraints=constraints, task_shape=TaskShape(arity=1))
    found = tighten(feasibility, draws=20_000)
    assert found.exact
    grids = itertools.product(*(range(size) for size in feasibility.lattice.sizes[[1, 2, 3, 6, 7, 9, 10]]))
    codes = np.zeros((int(np.prod(feasibility.lattice.sizes[[1, 2, 3, 6, 7, 9, 10]])), 13), dtype=np.int64)
    codes[:, [1, 2, 3, 6, 7, 9, 10]] = list(grids)
    columns = feasibility.lattice.decode(codes)
    feasible = feasibility.holds(columns)
    for name in ("vocab_size", "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads"):
        values = columns.values[name][feasible]
        assert found.ranges[name] == (values.min(), values.max()), name
    kinds = columns.values["position_embedding_type"][feasible]
    assert set(found.ranges["position_embedding_type"]) == set(kinds.tolist())
    assert found.share_interval[0] <= feasible.mean() <= found.share_interval[1]
    assert found.binding in (*constraints, "hidden_size % num_attention_heads == 0")


def test_a_conflict_is_refused_with_the_constraints_at_fault() -> None:
    with pytest.raises(InfeasibleSpaceError) as caught:
        Feasibility(
            space=PAPER,
            constraints=["size_mb <= 3", "hidden_size >= 500", "flops <= 1e12"],
            task_shape=TaskShape(arity=2),
        )
    assert set(caught.value.conflict) == {"size_mb <= 3", "hidden_size >= 500"}


def test_draws_are_feasible_spread_and_decided_by_the_seed(paper: Feasibility) -> None:
    students = draw(paper, 12, seed=3)
    assert students == draw(paper, 12, seed=3) != draw(paper, 12, seed=4)
    assert len(set(students)) == 12
    assert all(size_bytes(student, TaskShape(arity=2)) <= 3_200_000 for student in students)
    assert {student.tokenizer for student in students} == {"BPE", "WordPiece", "Unigram", "Word"}
    layers = [student.num_hidden_layers for student in students]
    assert max(layers) - min(layers) >= 6


@given(seed=st.integers(0, 10**6))
def test_a_repaired_configuration_is_feasible_and_a_feasible_one_is_left_alone(paper: Feasibility, seed: int) -> None:
    rng = np.random.default_rng(seed)
    anchors = paper.lattice.encode(ConfigurationTable.from_students(draw(paper, 4, seed=0, pool=500)))
    repairer = Repairer(paper)
    moved = repairer.toward(uniform_codes(paper, 4, rng), anchors, rng)
    assert paper.holds(paper.lattice.decode(moved)).all()
    assert (repairer.toward(moved, anchors, rng) == moved).all()


def test_a_space_without_constraints_is_feasible_throughout() -> None:
    """Hashed students imply none: nothing is tightened, and nothing binds."""
    feasibility = Feasibility(space=SearchSpace.default(HASHED), constraints=[], task_shape=TaskShape(arity=1))
    found = tighten(feasibility, draws=2_000)
    assert found.ranges == found.asked
    assert (found.share, found.binding, found.broken) == (1.0, None, {})
    assert len(draw(feasibility, 5, seed=0)) == 5
