"""Heads over function vectors that any family may use."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SymmetricHead(nn.Module):
    """Logits that do not depend on the order of an input's functions.

    A single function's vector goes in as it is; two vectors a and b go in as |a - b| and a b, component by component.

    Args:
        size: Components of a function's vector.
        arity: Functions an input, 1 or 2.
        num_labels: Logits.
        dropout: Probability, before each of the two matrices.
    """

    def __init__(self, size: int, arity: int, num_labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.arity = arity
        self.dense = nn.Linear(arity * size, size)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(size, num_labels)

    def forward(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, f k)."""
        if self.arity == 2:
            first, second = joined.chunk(2, dim=1)  # (m, k) each
            joined = torch.cat([(first - second).abs(), first * second], dim=1)  # (m, 2 k)
        inner = torch.relu(self.dense(self.dropout(joined)))  # (m, k)
        return self.out_proj(self.dropout(inner))  # type: ignore[no-any-return]
