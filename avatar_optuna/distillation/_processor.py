"""How packed functions are computed on a processor while a student is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.students.dropout import pooled_dropout

PACKED_TOKENS = 2048
"""Tokens that are encoded at once: few enough for the cache, enough to keep the interpreter's share small."""
PACKED_ROWS = 128
"""Packed functions are filled up to a multiple of so many places: oneDNN compiles its kernels for each size."""

_LEAST_SCORES = 50_000
"""Scores of attention of a function, in the mean, from which on one function at a time is faster than padded ones."""


def is_trained_packed(network: Any, tokens: Tokens) -> bool:
    """Whether a network's training on these functions reads them packed: on a processor, where that is faster."""
    if tokens.ids.device.type != "cpu" or not getattr(network, "can_pack", False):
        return False
    mean_square = float(np.mean(np.square(tokens.host_lengths)))
    return mean_square * int(network.config.num_attention_heads) >= _LEAST_SCORES


@contextmanager
def packed_training() -> Iterator[None]:
    """Let oneDNN make the products of float32, and dropout read its weights from pools.

    torch leaves products of float32 to MKL, unless they may be made of bf16. oneDNN then makes them: of bf16 where the
    processor has units for it (AMX), and else of float32, on an AMD EPYC twice as fast as MKL. Without AVX-512 nothing
    changes. It is a setting of the process, and of training alone: attention of transformers' models, which makes many
    small products, is slower with it, and what is evaluated is computed as whoever loads the student computes it.
    """
    matmul = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        with pooled_dropout():
            yield
    finally:
        matmul.fp32_precision = before
