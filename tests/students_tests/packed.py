"""Attention over packed functions, held to that over padded ones."""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest
import torch

from avatar_optuna.students.packing import PackedTokens
from avatar_optuna.students.transformer._config import StudentConfig
from avatar_optuna.students.transformer._encoder import SelfAttention
from avatar_optuna.students.transformer._family import POSITION_OFFSET

NEEDS_TRITON = [
    pytest.mark.skipif(find_spec("triton") is None, reason="it needs Triton"),
    pytest.mark.skipif(
        not torch.cuda.is_available() and not os.environ.get("TRITON_INTERPRET"),
        reason="it needs a CUDA device, or TRITON_INTERPRET=1",
    ),
]
LENGTHS = (5, 37, 1, 70)
LONGEST = 71


def hold_to_padded(
    kind: str,
    width: int,
    heads: int,
    device: str,
    dtype: torch.dtype,
    *,
    rtol: float,
    atol: float,
    is_first: bool = False,
) -> None:
    """Values and all gradients, of all tokens or of first ones; `atol` is relative to the largest value of a tensor."""
    torch.manual_seed(0)
    config = StudentConfig(
        hidden_size=width,
        num_attention_heads=heads,
        position_embedding_type=kind,
        max_position_embeddings=LONGEST + POSITION_OFFSET,
        attention_probs_dropout_prob=0.0,
    )
    attention = SelfAttention(config).to(device, dtype)
    lengths = torch.tensor(LENGTHS, dtype=torch.int32, device=device)
    starts = (lengths.cumsum(0) - lengths).int()
    count, longest = int(lengths.sum()), int(lengths.max())
    vectors = torch.randn(count + 6, width, device=device, dtype=dtype)  # the last six are of no function
    weights = torch.randn(len(LENGTHS) if is_first else count, width, device=device, dtype=dtype)
    nothing = torch.zeros(0, dtype=torch.int64, device=device)
    tokens = PackedTokens(ids=nothing, positions=nothing, starts=starts, lengths=lengths, longest=LONGEST)

    is_token = torch.arange(longest, device=device) < lengths[:, None]  # (n, t)
    padded = torch.zeros(len(LENGTHS), longest, width, device=device, dtype=dtype)
    padded[is_token] = vectors[:count]
    bias = torch.zeros(is_token.shape, device=device, dtype=dtype).masked_fill(~is_token, -1e9)[:, None, None]

    by_padded = attention(padded, bias)
    expected = by_padded[:, 0] if is_first else by_padded[is_token]
    got = attention.first(vectors, tokens) if is_first else attention(vectors, tokens)[:count]
    found = []
    for mixed, given in ((expected, padded), (got, vectors)):
        attention.zero_grad()
        (mixed * weights).sum().backward()
        assert torch.isfinite(given).all()
        found.append([mixed.detach(), *(parameter.grad.clone() for parameter in attention.parameters())])
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=rtol, atol=atol * (0.1 + float(expected.abs().max())))
