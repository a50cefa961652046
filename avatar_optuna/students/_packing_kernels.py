"""Functions put end to end on a GPU by one Triton kernel, their dropped tokens included: torch takes some thirty."""

# Triton writes compile-time constants in capitals, and its decorator has no types.
# ruff: noqa: N803
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from avatar_optuna.students._random_kernels import drawn

_BLOCK = 512  # places that a program writes at once


@triton.jit(do_not_specialize=["count", "size", "pad", "mask", "threshold"])
def _pack(  # type: ignore[no-untyped-def]
    ids, starts, lengths, functions, seeds, out_ids, out_positions, out_starts, out_lengths, count, size, pad, mask,
    threshold, FUNCTIONS: tl.constexpr, BLOCK: tl.constexpr, DROPOUT: tl.constexpr,
):  # fmt: skip
    """A program a function; the last one fills the places behind all of them."""
    which, others = tl.program_id(0), tl.arange(0, FUNCTIONS)
    numbers = tl.load(functions + others, mask=others < count, other=0)
    before = tl.load(lengths + numbers, mask=others < tl.minimum(which, count), other=0)
    begin = tl.sum(before, axis=0)
    if which == count:
        for first in range(begin, size, BLOCK):
            places = first + tl.arange(0, BLOCK)
            tl.store(out_ids + places, tl.full((BLOCK,), 0, tl.int64) + pad, mask=places < size)
            tl.store(out_positions + places, tl.full((BLOCK,), 0, tl.int64), mask=places < size)
        return
    number = tl.load(functions + which)
    source, length = tl.load(starts + number), tl.load(lengths + number)
    tl.store(out_starts + which, begin.to(tl.int32))
    tl.store(out_lengths + which, length.to(tl.int32))
    for first in range(0, length, BLOCK):
        positions = first + tl.arange(0, BLOCK)
        is_there = positions < length
        found = tl.load(ids + source + positions, mask=is_there, other=0)
        if DROPOUT:
            is_dropped = drawn(tl.load(seeds), begin + positions) < threshold
            found = tl.where(is_dropped & (positions > 0) & (found != pad), mask, found)
        tl.store(out_ids + begin + positions, found.to(tl.int64), mask=is_there)
        tl.store(out_positions + begin + positions, positions.to(tl.int64), mask=is_there)


def pack(
    ids: Tensor,
    starts: Tensor,
    lengths: Tensor,
    functions: Tensor,
    size: int,
    *,
    pad_token_id: int,
    mask_token_id: int,
    dropout: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Functions (n,) out of many, end to end in `size` places.

    Args:
        ids: Of all functions end to end.
        starts: Of each in `ids`, int64.
        lengths: Of each, int64.
        functions: Numbers of those that are put together, shape (n,).
        pad_token_id: What stands behind the last one.
        mask_token_id: What stands for a token that is dropped.
        dropout: Probability, of each token but the first of a function; drawn by torch's generator.

    Returns:
        Ids and positions (size,), starts and lengths (n,), these two in int32.
    """
    device, count = ids.device, len(functions)
    out_ids, positions = (torch.empty(size, dtype=torch.int64, device=device) for _ in range(2))
    out_starts, out_lengths = (torch.empty(count, dtype=torch.int32, device=device) for _ in range(2))
    seed = torch.randint(2**31, (1,), device=device) if dropout else starts
    _pack[(count + 1,)](
        ids, starts, lengths, functions, seed, out_ids, positions, out_starts, out_lengths,
        count, size, pad_token_id, mask_token_id, round(dropout * 2**24),
        FUNCTIONS=max(16, triton.next_power_of_2(count)), BLOCK=_BLOCK, DROPOUT=dropout > 0,
    )  # fmt: skip
    return out_ids, positions, out_starts, out_lengths
