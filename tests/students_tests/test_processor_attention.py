"""Attention over packed functions on a processor, and the weights of its dropout."""

from __future__ import annotations

import pytest
import torch

from avatar_optuna.students import dropout
from avatar_optuna.students.dropout import Dropout, dropout_weights, pooled_dropout
from avatar_optuna.students.packing import PackedTokens
from avatar_optuna.students.transformer._config import StudentConfig
from avatar_optuna.students.transformer._encoder import SelfAttention
from avatar_optuna.students.transformer._family import POSITION_EMBEDDING_TYPES
from avatar_optuna.students.transformer._processor_attention import ProcessorAttention, skew, unskewed
from tests.students_tests.packed import hold_to_padded


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize("is_first", [False, True])
@pytest.mark.parametrize(("width", "heads"), [(24, 2), (20, 1), (96, 4)])
def test_attention_and_its_gradients_are_those_of_padded_functions(
    kind: str, width: int, heads: int, *, is_first: bool
) -> None:
    hold_to_padded(kind, width, heads, "cpu", torch.float64, rtol=1e-9, atol=1e-12, is_first=is_first)


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_gradients_with_dropout_are_those_of_differences(kind: int) -> None:
    """Of one draw: its weights are the same at each call from the same state of the generator."""
    torch.manual_seed(1)
    projected = torch.randn(12, 3 * 4, dtype=torch.float64, requires_grad=True)
    table = torch.randn(2 * 9 - 1, 2, dtype=torch.float64, requires_grad=True) if kind else None
    starts, lengths = torch.tensor([0, 3]), torch.tensor([3, 9])

    def attention(*given: torch.Tensor) -> torch.Tensor:
        torch.manual_seed(2)
        distances = given[1] if kind else None
        return ProcessorAttention.apply(given[0], distances, starts, lengths, 9, 2, kind, 0.25)  # type: ignore[no-any-return, no-untyped-call]

    assert torch.autograd.gradcheck(attention, (projected, *(() if table is None else (table,))))
    dropped = attention(projected, *(() if table is None else (table,)))
    kept = ProcessorAttention.apply(projected, table, starts, lengths, 9, 2, kind, 0.0)  # type: ignore[no-untyped-call]
    assert not torch.allclose(dropped, kept)


def test_unskewed_is_the_adjoint_of_skew() -> None:
    torch.manual_seed(0)
    products, scores = torch.randn(2, 3, 6, 11), torch.randn(2, 3, 6, 6)
    torch.testing.assert_close((skew(products) * scores).sum(), (products * unskewed(scores)).sum())


def test_pools_give_the_same_weights_for_a_seed_and_others_for_each_use() -> None:
    def drawn() -> list[torch.Tensor]:
        torch.manual_seed(3)
        with pooled_dropout():
            return [dropout_weights((100, 1000), 0.2) for _ in range(3)]

    first, again = drawn(), drawn()
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[1])
    for weights in first:
        assert (weights == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)
        assert weights.mean().item() == pytest.approx(1.0, abs=0.02)


def test_a_pool_is_drawn_anew_after_some_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dropout, "_POOL_SIZE", 1000)
    monkeypatch.setattr(dropout, "_POOL_USES", 2)
    drawn: list[int] = []
    draw = dropout.drawn_weights
    monkeypatch.setattr(dropout, "drawn_weights", lambda count, p: drawn.append(count) or draw(count, p))
    with pooled_dropout():
        for _ in range(5):
            dropout_weights((500,), 0.5)
        assert drawn == [1000, 1000]  # four uses of 500 are two of all
        assert dropout_weights((1100,), 0.5).shape == (1100,)
        assert drawn[-1] == 2200  # a pool is twice as long as what is read of it
        dropout_weights((10,), 0.1)
        assert len(drawn) == 4
    dropout_weights((10,), 0.1)
    assert drawn[-1] == 10  # outside, each weight is drawn


def test_dropout_reads_its_weights_from_pools() -> None:
    layer = Dropout(0.5).train()
    torch.manual_seed(4)
    with pooled_dropout():
        values = torch.ones(50, 40, requires_grad=True)
        dropped = layer(values)
        dropped.sum().backward()
    torch.testing.assert_close(values.grad, dropped.detach())
    assert set(dropped.unique().tolist()) == {0.0, 2.0}


def test_joined_projections_compute_and_learn_what_three_do() -> None:
    torch.manual_seed(0)
    config = StudentConfig(hidden_size=24, num_attention_heads=2, attention_probs_dropout_prob=0.0)
    attention = SelfAttention(config)
    nothing, lengths = torch.zeros(0, dtype=torch.int64), torch.tensor([5, 30, 1], dtype=torch.int32)
    starts = (lengths.cumsum(0) - lengths).int()
    tokens = PackedTokens(ids=nothing, positions=nothing, starts=starts, lengths=lengths, longest=30)
    vectors, weights = torch.randn(36, 24), torch.randn(36, 24)
    parameters = list(attention.parameters())
    found = []
    for is_joined in (False, True):
        if is_joined:
            attention.join()
        mixed = attention(vectors, tokens)
        (mixed * weights).sum().backward()
        if is_joined:
            attention.split_gradients()
        found.append([mixed.detach(), *(parameter.grad for parameter in parameters)])
        attention.zero_grad()
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected)
    with torch.no_grad():
        attention.query.weight.zero_()  # what updates one of the three updates the joined one
    assert not attention.joined.weight[:24].any()


def test_joining_draws_no_random_number() -> None:
    attention = SelfAttention(StudentConfig(hidden_size=24, num_attention_heads=2))
    before = torch.get_rng_state()
    attention.join()
    assert torch.equal(torch.get_rng_state(), before)
