"""Functions read end to end, without padding: what they are, for which networks, and where."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

LARGEST_HEAD = 256
"""Width of the widest head that a block of the kernels holds."""


@dataclass(frozen=True, kw_only=True)
class PackedTokens:
    """A batch of n functions end to end in T places; what is behind the last one is padding, of no function.

    Args:
        ids: Shape (T,).
        positions: Of each token in its function, from 0, shape (T,).
        starts: Place of each function's first token, shape (n,), int32.
        lengths: Tokens of each function, shape (n,), int32.
        longest: No function is longer.
    """

    ids: Tensor
    positions: Tensor
    starts: Tensor
    lengths: Tensor
    longest: int


def is_packed(network: Any, device: torch.device) -> bool:
    """Whether a network reads packed functions on this device: it can (`encode_packed`), and Triton is there for it."""
    return device.type == "cuda" and _has_triton() and bool(getattr(network, "can_pack", False))


def runs_kernels(packed: Tensor) -> bool:
    """Whether Triton's kernels serve these: they are packed, and on a GPU."""
    return packed.is_cuda and _has_triton()


@lru_cache(maxsize=1)
def _has_triton() -> bool:
    return find_spec("triton") is not None
