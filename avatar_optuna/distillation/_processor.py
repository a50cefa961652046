"""How packed functions are computed on a processor while a student is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from avatar_optuna.students.dropout import pooled_dropout

PACKED_TOKENS = 2048
"""Tokens that are encoded at once: few enough for the cache, enough to keep the interpreter's share small."""
PACKED_ROWS = 128
"""Packed functions are filled up to a multiple of so many places: oneDNN compiles its kernels for each size."""


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
