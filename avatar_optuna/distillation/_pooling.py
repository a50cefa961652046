"""One vector of the hidden states of a function's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, MODEL_FOR_MASKED_LM_MAPPING_NAMES

_SMALLEST = 1e-9


def _first(hidden: Tensor, mask: Tensor) -> Tensor:
    places = mask.argmax(dim=1)  # (n,), of the first real token: padding may stand before it
    return hidden[torch.arange(len(hidden), device=hidden.device), places]


def _last(hidden: Tensor, mask: Tensor) -> Tensor:
    columns = torch.arange(mask.shape[1], device=mask.device)  # (t,)
    places = (columns * mask).argmax(dim=1)  # (n,)
    return hidden[torch.arange(len(hidden), device=hidden.device), places]


def _sum(hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Sums (n, w) of the real tokens, and how many there are, (n, 1)."""
    weights = mask[:, :, None].to(hidden.dtype)  # (n, t, 1)
    return (hidden * weights).sum(dim=1), weights.sum(dim=1).clamp_min(_SMALLEST)


def _mean(hidden: Tensor, mask: Tensor) -> Tensor:
    total, count = _sum(hidden, mask)
    return total / count


def _sqrt_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    total, count = _sum(hidden, mask)
    return total / count.sqrt()


def _weighted_mean(hidden: Tensor, mask: Tensor) -> Tensor:
    places = torch.arange(1, mask.shape[1] + 1, device=mask.device)  # (t,)
    weights = (mask * places)[:, :, None].to(hidden.dtype)  # (n, t, 1)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp_min(_SMALLEST)


def _max(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.masked_fill(mask[:, :, None] == 0, -torch.inf).amax(dim=1)


_POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "first": _first,
    "mean": _mean,
    "last": _last,
    "max": _max,
    "sqrt_mean": _sqrt_mean,
    "weighted_mean": _weighted_mean,
}
POOLINGS = tuple(_POOLINGS)
"""`sqrt_mean` divides the sum by the root of the number of tokens, `weighted_mean` weighs a token by its place."""


def pooled(hidden: Tensor, mask: Tensor, poolings: Sequence[str]) -> Tensor:
    """Vectors (n, k w) of hidden states (n, t, w), by each of k ways of pooling; `mask` (n, t) is 1 for real tokens."""
    return torch.cat([_POOLINGS[name](hidden, mask) for name in poolings], dim=-1)


def is_decoder_only(config: Any) -> bool:
    """Whether a model reads from left to right, so that only its last token has read all of a function."""
    kind = config.model_type
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and kind not in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def default_pooling(config: Any) -> str:
    """The pooling for a model that does not say its own: by its last token, its mean, or its first token."""
    if getattr(config, "is_encoder_decoder", False):
        return "mean"
    return "last" if is_decoder_only(config) else "first"
