"""Triton's kernels of norms and rows beside torch's own: on a GPU, or by its interpreter on a CPU."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from avatar_optuna.students.packing import PackedTokens
from avatar_optuna.students.transformer import POSITION_EMBEDDING_TYPES, _encoder
from avatar_optuna.students.transformer._config import StudentConfig
from tests.students_tests.packed import NEEDS_TRITON

pytestmark = NEEDS_TRITON
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def _leaf(*shape: int) -> Tensor:
    return torch.randn(*shape, device=DEVICE, requires_grad=True)


@pytest.mark.parametrize(("has_residual", "has_offset"), [(True, True), (True, False), (False, False)])
@pytest.mark.parametrize(("count", "width"), [(1, 16), (37, 20), (300, 96), (70, 768)])
def test_the_normed_sum_and_its_gradients_are_torchs(
    count: int, width: int, *, has_residual: bool, has_offset: bool
) -> None:
    from avatar_optuna.students._norm_kernels import ResidualNorm

    torch.manual_seed(0)
    inner, residual, weight, bias = _leaf(count, width), _leaf(count, width), _leaf(width), _leaf(width)
    offset = _leaf(width)
    weights = torch.randn(count, width, device=DEVICE)
    added = [residual] * has_residual + [offset] * has_offset
    expected = functional.layer_norm(sum(added, start=inner), (width,), weight, bias, 1e-5)
    got = ResidualNorm.apply(
        inner, residual if has_residual else None, offset if has_offset else None, weight, bias, 1e-5
    )
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
    given = [inner, *added, weight, bias]
    gradients = torch.autograd.grad((got * weights).sum(), given)
    for found, right in zip(gradients, torch.autograd.grad((expected * weights).sum(), given), strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [5, 1000, 40_000])
def test_rows_and_the_gradient_of_their_table_are_torchs(size: int) -> None:
    from avatar_optuna.students._norm_kernels import RowsOf

    torch.manual_seed(0)
    table = torch.randn(size, 12, device=DEVICE, requires_grad=True)
    numbers = torch.cat([torch.randint(size, (80,)), torch.full((70,), size - 1)]).to(DEVICE)
    weights = torch.randn(150, 12, device=DEVICE)
    got, expected = RowsOf.apply(table, numbers), functional.embedding(numbers, table)
    assert torch.equal(got, expected)
    (found,) = torch.autograd.grad((got * weights).sum(), table)
    (right,) = torch.autograd.grad((expected * weights).sum(), table)
    torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
def test_a_packed_encoder_with_the_kernels_is_the_one_without(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = StudentConfig(
        vocab_size=50,
        hidden_size=20,
        num_attention_heads=2,
        num_hidden_layers=2,
        intermediate_size=24,
        position_embedding_type=kind,
        max_position_embeddings=34,
    )
    encoder = _encoder.Encoder(config).to(DEVICE).eval()
    lengths = torch.tensor([5, 32, 1], device=DEVICE)
    tokens = PackedTokens(
        ids=torch.randint(2, 50, (40,), device=DEVICE),
        positions=torch.cat([*(torch.arange(n) for n in lengths.tolist()), torch.zeros(2, dtype=torch.long)]).to(
            DEVICE
        ),
        starts=(lengths.cumsum(0) - lengths).int(),
        lengths=lengths.int(),
        longest=32,
    )
    found = []
    for runs_kernels in (False, True):
        monkeypatch.setattr(_encoder, "runs_kernels", lambda _, chosen=runs_kernels: chosen)
        encoder.zero_grad()
        vectors = encoder.packed(tokens)
        vectors.square().sum().backward()
        gradients = [parameter.grad.clone() for parameter in encoder.parameters() if parameter.grad is not None]
        found.append([vectors.detach(), *gradients])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-4 * (1.0 + float(expected.abs().max())))
