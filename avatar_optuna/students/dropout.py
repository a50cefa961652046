"""Dropout that a processor can afford: weights of many places from few random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch
from torch import Tensor, nn
from torch.nn import functional

_POOL_SIZE = 2**20
_POOL_USES = 32  # how often a pool is dealt out before it is drawn anew


class WeightPools:
    """For each probability some million weights, 0 or 1 / (1 - p), of which every use reads another stretch.

    A small student's step drops millions of places, and drawing them takes as long as its products. Here a place of a
    pool serves `_POOL_USES` times, each time beside other neighbours and for other values, before it is drawn anew.
    """

    def __init__(self) -> None:
        self._pools: dict[float, Tensor] = {}
        self._left: dict[float, int] = {}

    def weights(self, count: int, probability: float) -> Tensor:
        """Weights (count,) of torch's default generator, whose state alone decides what they are."""
        if self._left.get(probability, 0) < count or len(self._pools[probability]) < count:
            size = max(_POOL_SIZE, 2 * count)
            self._pools[probability] = drawn_weights(size, probability)
            self._left[probability] = _POOL_USES * size
        self._left[probability] -= count
        pool = self._pools[probability]
        start = int(torch.randint(len(pool) - count + 1, ()))
        return pool[start : start + count]


_pools: ContextVar[WeightPools | None] = ContextVar("pools", default=None)


@contextmanager
def pooled_dropout() -> Iterator[None]:
    """Let dropout on a processor read its weights from pools, drawn within this block."""
    token = _pools.set(WeightPools())
    try:
        yield
    finally:
        _pools.reset(token)


def dropout_weights(shape: torch.Size | tuple[int, ...], probability: float) -> Tensor:
    """What values of this shape are multiplied by on a processor: 0 or 1 / (1 - p), p met to 1/256."""
    count = torch.Size(shape).numel()
    pools = _pools.get()
    weights = drawn_weights(count, probability) if pools is None else pools.weights(count, probability)
    return weights.view(shape)


def drawn_weights(count: int, probability: float) -> Tensor:
    """Weights (count,), each drawn on its own.

    torch's own dropout draws one number an element on a CPU, a third of a small student's training step; here eight
    elements share the bytes of one draw, so a probability is met to 1/256 (and scaled by what was met).
    """
    dropped = round(256 * probability)
    draws = torch.empty((count + 7) // 8, dtype=torch.int64).random_(-(2**63), None)
    return (draws.view(torch.uint8)[:count] >= dropped).float().mul_(256 / (256 - dropped))


class Dropout(nn.Module):
    """torch's dropout on a GPU, and `dropout_weights` on a processor."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    @property
    def is_active(self) -> bool:
        """Whether anything is dropped now."""
        return self.training and self.probability > 0.0

    def forward(self, values: Tensor) -> Tensor:
        if not self.is_active:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, self.probability)
        return values * dropout_weights(values.shape, self.probability).to(values.dtype)
