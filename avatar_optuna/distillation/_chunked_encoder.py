"""Functions of a step that are read in chunks of like length, halved where the device's memory runs out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint as recompute

from avatar_optuna.distillation._batches import Indices
from avatar_optuna.distillation._processor import PACKED_ROWS, PACKED_TOKENS, is_trained_packed, packed_training
from avatar_optuna.distillation._tokens import Tokens, chunks_by_tokens
from avatar_optuna.exceptions import AvatarError

logger = logging.getLogger(__name__)

# Functions in one forward pass: on a CPU few of one length beat many padded ones; a GPU wants them all at once.
_CPU_CHUNK, _CUDA_CHUNK = 16, 256


class ChunkedEncoder:
    """Encodes training functions, each distinct one once.

    Args:
        network: In training, on the tokens' device (see `Network`).
        tokens: Of the training functions.
        token_dropout_prob: See `Recipe`.

    Attributes:
        size: Functions in one forward pass at most, where they are padded.
        is_recomputing: Whether activations are computed anew backward: since the memory first ran out.
        is_packed: Whether functions are read end to end, on a processor (see `is_trained_packed`).
    """

    def __init__(self, network: Any, tokens: Tokens, *, token_dropout_prob: float) -> None:
        self.network, self.tokens, self.token_dropout_prob = network, tokens, token_dropout_prob
        self.encode = network.encode
        self.device = tokens.ids.device
        self.size = _CUDA_CHUNK if self.device.type == "cuda" else _CPU_CHUNK
        self.is_recomputing = False
        self.is_packed = is_trained_packed(network, tokens)
        config = getattr(network, "config", None) if self.device.type == "cpu" else None
        self.heads = int(getattr(config, "num_attention_heads", None) or 0)  # whose scores are to stay in the cache

    def __call__(self, texts: Tensor) -> Tensor:
        """Vectors (n, k) of texts (n,), with gradients."""
        functions, places = np.unique(texts.cpu().numpy(), return_inverse=True)
        parts, order = [], []
        for chunk in self._chunks(functions):
            parts.append(self._encoded(functions[chunk]))
            order.append(chunk)
        inverse = torch.from_numpy(np.argsort(np.concatenate(order))[places]).to(self.device)
        return torch.cat(parts)[inverse]

    def computing(self) -> AbstractContextManager[None]:
        """Within which vectors and their gradients are computed (see `packed_training`)."""
        return packed_training() if self.is_packed else nullcontext()

    def halve(self, error: torch.OutOfMemoryError) -> None:
        """Read half as many functions at once from now on.

        Raises:
            AvatarError: It was one function.
        """
        if self.size == 1:
            raise AvatarError("the device's memory must hold the training step of one function, it does not") from error
        self.size, self.is_recomputing = self.size // 2, True
        torch.cuda.empty_cache()
        logger.warning("out of memory: going on with at most %d functions at a time", self.size)

    def _chunks(self, functions: Indices) -> Iterator[Indices]:
        """Places in `functions` (n,) that are encoded at once, by length."""
        if self.is_packed:
            return chunks_by_tokens(self.tokens.host_lengths[functions], PACKED_TOKENS)
        return self.tokens.chunks(functions, self.size, heads=self.heads)

    def _encoded(self, functions: Indices) -> Tensor:
        """Vectors (n, k) of functions (n,), in one forward pass."""
        probability = self.token_dropout_prob
        if self.is_packed:
            count = int(self.tokens.host_lengths[functions].sum())
            size = -(-count // PACKED_ROWS) * PACKED_ROWS
            packed = self.tokens.packed(torch.from_numpy(functions), size, dropout=probability)
            return self.network.encode_packed(packed)  # type: ignore[no-any-return]
        ids, mask = self.tokens.batch(functions)
        if probability:
            is_first = torch.arange(ids.shape[1], device=self.device) == 0
            ids = self.tokens.with_dropout(ids, is_first, probability)
        if self.is_recomputing:
            return recompute(self.encode, ids, mask, use_reentrant=False)  # type: ignore[no-any-return]
        return self.encode(ids, mask)  # type: ignore[no-any-return]
