"""Attention over packed functions beside that over padded ones: on a GPU, or by Triton's interpreter on a CPU."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

from avatar_optuna.students.packing import PackedTokens
from avatar_optuna.students.transformer._config import StudentConfig
from avatar_optuna.students.transformer._encoder import SelfAttention
from avatar_optuna.students.transformer._family import POSITION_EMBEDDING_TYPES, POSITION_OFFSET

pytestmark = [
    pytest.mark.skipif(find_spec("triton") is None, reason="it needs Triton"),
    pytest.mark.skipif(
        not torch.cuda.is_available() and not os.environ.get("TRITON_INTERPRET"),
        reason="it needs a CUDA device, or TRITON_INTERPRET=1",
    ),
]
LENGTHS = (5, 37, 1, 70)


@pytest.mark.parametrize("kind", POSITION_EMBEDDING_TYPES)
@pytest.mark.parametrize(("width", "heads"), [(24, 2), (20, 1), (96, 4)])
def test_packed_attention_and_its_gradients_are_those_of_padded_functions(kind: str, width: int, heads: int) -> None:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    config = StudentConfig(
        hidden_size=width,
        num_attention_heads=heads,
        position_embedding_type=kind,
        max_position_embeddings=80 + POSITION_OFFSET,
        attention_probs_dropout_prob=0.0,
    )
    attention = SelfAttention(config).to(device)
    lengths = torch.tensor(LENGTHS, dtype=torch.int32, device=device)
    starts = (lengths.cumsum(0) - lengths).int()
    count, longest = int(lengths.sum()), int(lengths.max())
    vectors = torch.randn(count + 6, width, device=device)  # the last six are of no function
    weights = torch.randn(count, width, device=device)
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    tokens = PackedTokens(ids=nothing, positions=nothing, starts=starts, lengths=lengths, longest=80)

    is_token = torch.arange(longest, device=device) < lengths[:, None]  # (n, t)
    padded = torch.zeros(len(LENGTHS), longest, width, device=device)
    padded[is_token] = vectors[:count]
    bias = torch.zeros(is_token.shape, device=device).masked_fill(~is_token, -1e9)[:, None, None]

    found = []
    for mixed in (attention(padded, bias)[is_token], attention(vectors, tokens)[:count]):
        attention.zero_grad()
        (mixed * weights).sum().backward()
        found.append([mixed.detach(), *(parameter.grad.clone() for parameter in attention.parameters())])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-5 + 1e-4 * float(expected.abs().max()))
