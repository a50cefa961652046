"""What intervals say of a box, against every point of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import Boxes, Feasibility, judged
from avatar_optuna.feasibility._boxes import shaved, whole_space
from avatar_optuna.space import SearchSpace

CONSTRAINTS = (
    "size_mb <= 3",
    "flops <= 4e9 and not intermediate_size / hidden_size > 20",
    "tokenizer != 'Word' or vocab_size >= 2000",
    "(vocab_size - 40) // num_attention_heads % 5 != 0",
    "head_size >= 3 or 2 * num_hidden_layers == 4",
)


@pytest.fixture(scope="module")
def feasibility() -> Feasibility:
    return Feasibility(space=SearchSpace.paper(), constraints=CONSTRAINTS, task_shape=TaskShape(arity=2))


def _random_boxes(feasibility: Feasibility, count: int, rng: np.random.Generator) -> Boxes:
    sizes = feasibility.lattice.sizes
    low = (rng.random((count, len(sizes))) ** 2 * sizes).astype(np.int64)
    extent = np.rint(rng.random((count, len(sizes))) ** 6 * sizes).astype(np.int64)
    numeric = feasibility.lattice.is_numeric
    return Boxes(low=low, high=np.minimum(low + np.where(numeric, extent, 0), sizes - 1))


@given(seed=st.integers(0, 10**6))
def test_no_point_contradicts_its_box(feasibility: Feasibility, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = _random_boxes(feasibility, 64, rng)
    can, must = judged(feasibility, boxes)
    assert (can | ~must).all()
    thinner = shaved(feasibility, boxes, np.flatnonzero(feasibility.lattice.is_numeric))
    for _ in range(8):
        codes = boxes.low + rng.integers(0, boxes.high - boxes.low + 1)
        held = feasibility.holds(feasibility.lattice.decode(codes))
        assert not (held & ~can).any()
        assert not (~held & must).any()
        inside = ((codes >= thinner.low) & (codes <= thinner.high)).all(axis=1)
        assert not (held & ~inside).any()


def test_halves_make_the_box_again(feasibility: Feasibility) -> None:
    boxes = whole_space(feasibility)
    assert len(boxes) == 4 * 3  # tokenizers and kinds of positions
    vocab_size, layers = (feasibility.lattice.names.index(name) for name in ("vocab_size", "num_hidden_layers"))
    assert boxes.halved(np.asarray([vocab_size, layers])).volumes().sum() == boxes.volumes().sum()
    point = Boxes(low=boxes.low[:1], high=boxes.low[:1])
    assert len(point.halved(np.asarray([vocab_size]))) == 1
