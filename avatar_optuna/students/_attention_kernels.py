"""Attention over packed functions on a GPU: Triton kernels, forward and backward.

One program holds a block of queries (or keys) of one head of one function and walks over the blocks of its partners, so
that no tensor of pairs of positions is ever stored, whatever the kind of positions, and padding costs nothing (Dao et
al., FlashAttention, 2022). Distance vectors enter by blocks: a tile of B queries and B keys meets 2 B - 1 distances, so
the products of the tile with these are one (B, 2 B) matrix, of which each row is read from another column on.

No sum depends on the order in which programs finish, and dropout is a hash of a seed and the place of the weight: the
same inputs give the same bits.

The first tokens of functions alone may be asked for: then only their queries are read, and what is mixed has a row a
function.

Shapes: T tokens of all functions end to end, h heads of size d, w = h d. `projected` holds queries, keys and values
side by side, (T, 3 w), so that one product makes them and one takes their gradient. L is the longest sequence that the
table of distances allows; the table is (2 L - 1, d), row l - r + L - 1 for a query at l and a key at r.
"""

# Triton writes compile-time constants in capitals, and its decorator has no types.
# ruff: noqa: N803
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from avatar_optuna.students._random_kernels import drawn

# Triton would compile a kernel anew for sizes that are 1 or multiples of 16: minutes, where students differ in shape.
_SIZES = ["heads", "size", "longest", "threshold", "is_first"]
_TABLE_SPLITS = 64  # partial sums of the table's gradient


@triton.jit
def _load(base, rows, row_stride, dims, size, limit):  # type: ignore[no-untyped-def]
    """Rows (b, d) of a matrix; 0 where a row is not below the limit, or a column not below the size."""
    return tl.load(
        base + rows[:, None] * row_stride + dims[None, :],
        mask=((rows >= 0) & (rows < limit))[:, None] & (dims < size)[None, :],
        other=0.0,
    )


@triton.jit
def _function(which, starts, lengths, is_first):  # type: ignore[no-untyped-def]
    """Its first token, its length, its queries that are asked for, and the first row of their results."""
    start, length = tl.load(starts + which), tl.load(lengths + which)
    return start, length, tl.where(is_first != 0, 1, length), tl.where(is_first != 0, which, start)


@triton.jit
def _tile_scores(  # type: ignore[no-untyped-def]
    q, k, table, first_row, first_column, size, longest, dims, BLOCK: tl.constexpr, KIND: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Scores (B, B) of a tile before scaling, and its distance vectors (2 B, d), or the queries."""
    scores = tl.dot(q, tl.trans(k), input_precision=PRECISION)
    distances = q
    if KIND > 0:
        rows = first_row - first_column - (BLOCK - 1) + longest - 1 + tl.arange(0, 2 * BLOCK)
        distances = _load(table, rows, size, dims, size, 2 * longest - 1)
        places = tl.arange(0, BLOCK)[:, None] - tl.arange(0, BLOCK)[None, :] + BLOCK - 1  # (B, B), of l - r
        scores += tl.gather(tl.dot(q, tl.trans(distances), input_precision=PRECISION), places, 1)
        if KIND > 1:
            scores += tl.gather(tl.dot(distances, tl.trans(k), input_precision=PRECISION), places, 0)
    return scores, distances


@triton.jit
def _kept(seed, rows, columns, head, heads, threshold):  # type: ignore[no-untyped-def]
    """Which weights (b, c) dropout keeps."""
    return drawn(seed, (rows[:, None] * heads + head) * 1024 + columns[None, :]) >= threshold


@triton.jit
def _by_distance(values, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Row i of (B, B), of columns r, as a row of (B, 2 B), of distances i - r + B - 1."""
    columns = tl.arange(0, BLOCK)[:, None] - tl.arange(0, 2 * BLOCK)[None, :] + BLOCK - 1
    is_there = (columns >= 0) & (columns < BLOCK)
    return tl.where(is_there, tl.gather(values, tl.where(is_there, columns, 0), 1), 0.0)


@triton.jit
def _by_distance_of_keys(values, BLOCK: tl.constexpr):  # type: ignore[no-untyped-def]
    """Row r of (B, B), of queries l, as a row of (B, 2 B), of distances l - r + B - 1."""
    queries = tl.arange(0, BLOCK)[:, None] + tl.arange(0, 2 * BLOCK)[None, :] - (BLOCK - 1)
    is_there = (queries >= 0) & (queries < BLOCK)
    return tl.where(is_there, tl.gather(values, tl.where(is_there, queries, 0), 1), 0.0)


@triton.jit
def _gradient_of_tile(  # type: ignore[no-untyped-def]
    q, k, v, o, d_o, lse, table, seed, start, rows, columns, first_row, first_column, asked, length, head, heads,
    size, longest, dims, scale, threshold, keep_scale, BLOCK: tl.constexpr, KIND: tl.constexpr, DROPOUT: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Of a tile: weights after dropout (B, B), gradient of the products before scaling (B, B), distance vectors."""
    scores, distances = _tile_scores(q, k, table, first_row, first_column, size, longest, dims, BLOCK, KIND, PRECISION)
    is_real = (rows < asked)[:, None] & (columns < length)[None, :]
    weights = tl.where(is_real, tl.exp(scores * scale - lse[:, None]), 0.0)
    d_weights = tl.dot(d_o, tl.trans(v), input_precision=PRECISION)
    dropped = weights
    if DROPOUT:
        kept = tl.where(_kept(seed, start + rows, columns, head, heads, threshold), keep_scale, 0.0)
        dropped = weights * kept
        d_weights = d_weights * kept
    delta = tl.sum(o.to(tl.float32) * d_o.to(tl.float32), axis=1)
    d_scores = weights * (d_weights - delta[:, None]) * scale
    return dropped, d_scores, distances


@triton.jit(do_not_specialize=_SIZES)
def _forward(  # type: ignore[no-untyped-def]
    projected, table, out, lses, starts, lengths, seeds, heads, size, longest, scale, threshold,
    keep_scale, is_first, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, KIND: tl.constexpr, DROPOUT: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    function, head = tl.program_id(1) // heads, tl.program_id(1) % heads
    start, length, asked, place = _function(function, starts, lengths, is_first)
    first_row = tl.program_id(0) * BLOCK
    if first_row >= asked:
        return
    seed = tl.load(seeds)
    dims, rows = tl.arange(0, BLOCK_D), first_row + tl.arange(0, BLOCK)
    width = heads * size
    mixed_at, queries = place * width + head * size, projected + 3 * start * width + head * size
    q = _load(queries, rows, 3 * width, dims, size, asked)
    highest = tl.full((BLOCK,), float("-inf"), tl.float32)
    total = tl.zeros((BLOCK,), tl.float32)
    mixed = tl.zeros((BLOCK, BLOCK_D), tl.float32)
    for first_column in range(0, length, BLOCK):
        columns = first_column + tl.arange(0, BLOCK)
        k = _load(queries + width, columns, 3 * width, dims, size, length)
        v = _load(queries + 2 * width, columns, 3 * width, dims, size, length)
        scores, _ = _tile_scores(q, k, table, first_row, first_column, size, longest, dims, BLOCK, KIND, PRECISION)
        scores = tl.where((columns < length)[None, :], scores * scale, float("-inf"))
        higher = tl.maximum(highest, tl.max(scores, axis=1))
        weights = tl.exp(scores - higher[:, None])
        shrunk = tl.exp(highest - higher)
        total = total * shrunk + tl.sum(weights, axis=1)
        if DROPOUT:
            weights = tl.where(_kept(seed, start + rows, columns, head, heads, threshold), weights * keep_scale, 0.0)
        mixed = mixed * shrunk[:, None] + tl.dot(weights.to(v.dtype), v, input_precision=PRECISION)
        highest = higher
    is_row = rows < asked
    tl.store(
        out + mixed_at + rows[:, None] * width + dims[None, :],
        (mixed / total[:, None]).to(out.dtype.element_ty),
        mask=is_row[:, None] & (dims < size)[None, :],
    )
    tl.store(lses + (place + rows) * heads + head, highest + tl.log(total), mask=is_row)


@triton.jit(do_not_specialize=_SIZES)
def _backward_queries(  # type: ignore[no-untyped-def]
    projected, table, out, lses, d_out, d_projected, starts, lengths, seeds, heads, size, longest,
    scale, threshold, keep_scale, is_first, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, KIND: tl.constexpr,
    DROPOUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    function, head = tl.program_id(1) // heads, tl.program_id(1) % heads
    start, length, asked, place = _function(function, starts, lengths, is_first)
    first_row = tl.program_id(0) * BLOCK
    if first_row >= asked:
        return
    seed = tl.load(seeds)
    dims, rows = tl.arange(0, BLOCK_D), first_row + tl.arange(0, BLOCK)
    width = heads * size
    mixed_at, queries = place * width + head * size, projected + 3 * start * width + head * size
    q = _load(queries, rows, 3 * width, dims, size, asked)
    o = _load(out + mixed_at, rows, width, dims, size, asked)
    d_o = _load(d_out + mixed_at, rows, width, dims, size, asked)
    lse = tl.load(lses + (place + rows) * heads + head, mask=rows < asked, other=0.0)
    d_q = tl.zeros((BLOCK, BLOCK_D), tl.float32)
    for first_column in range(0, length, BLOCK):
        columns = first_column + tl.arange(0, BLOCK)
        k = _load(queries + width, columns, 3 * width, dims, size, length)
        v = _load(queries + 2 * width, columns, 3 * width, dims, size, length)
        _, d_scores, distances = _gradient_of_tile(
            q, k, v, o, d_o, lse, table, seed, start, rows, columns, first_row, first_column, asked, length, head,
            heads, size, longest, dims, scale, threshold, keep_scale, BLOCK, KIND, DROPOUT, PRECISION,
        )  # fmt: skip
        d_q += tl.dot(d_scores.to(k.dtype), k, input_precision=PRECISION)
        if KIND > 0:
            d_q += tl.dot(_by_distance(d_scores, BLOCK).to(k.dtype), distances, input_precision=PRECISION)
    tl.store(
        d_projected + 3 * start * width + head * size + rows[:, None] * 3 * width + dims[None, :],
        d_q.to(d_projected.dtype.element_ty),
        mask=(rows < asked)[:, None] & (dims < size)[None, :],
    )


@triton.jit(do_not_specialize=_SIZES)
def _backward_keys(  # type: ignore[no-untyped-def]
    projected, table, out, lses, d_out, d_projected, starts, lengths, seeds, heads, size,
    longest, scale, threshold, keep_scale, is_first, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, KIND: tl.constexpr,
    DROPOUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    function, head = tl.program_id(1) // heads, tl.program_id(1) % heads
    start, length, asked, place = _function(function, starts, lengths, is_first)
    first_column = tl.program_id(0) * BLOCK
    if first_column >= length:
        return
    seed = tl.load(seeds)
    dims, columns = tl.arange(0, BLOCK_D), first_column + tl.arange(0, BLOCK)
    width = heads * size
    mixed_at, queries = place * width + head * size, projected + 3 * start * width + head * size
    k = _load(queries + width, columns, 3 * width, dims, size, length)
    v = _load(queries + 2 * width, columns, 3 * width, dims, size, length)
    d_k = tl.zeros((BLOCK, BLOCK_D), tl.float32)
    d_v = tl.zeros((BLOCK, BLOCK_D), tl.float32)
    for first_row in range(0, asked, BLOCK):
        rows = first_row + tl.arange(0, BLOCK)
        q = _load(queries, rows, 3 * width, dims, size, asked)
        o = _load(out + mixed_at, rows, width, dims, size, asked)
        d_o = _load(d_out + mixed_at, rows, width, dims, size, asked)
        lse = tl.load(lses + (place + rows) * heads + head, mask=rows < asked, other=0.0)
        dropped, d_scores, distances = _gradient_of_tile(
            q, k, v, o, d_o, lse, table, seed, start, rows, columns, first_row, first_column, asked, length, head,
            heads, size, longest, dims, scale, threshold, keep_scale, BLOCK, KIND, DROPOUT, PRECISION,
        )  # fmt: skip
        d_v += tl.dot(tl.trans(dropped).to(v.dtype), d_o, input_precision=PRECISION)
        by_key = tl.trans(d_scores)
        d_k += tl.dot(by_key.to(q.dtype), q, input_precision=PRECISION)
        if KIND > 1:
            d_k += tl.dot(_by_distance_of_keys(by_key, BLOCK).to(q.dtype), distances, input_precision=PRECISION)
    key_at = 3 * start * width + head * size + columns[:, None] * 3 * width + dims[None, :]
    is_there = (columns < length)[:, None] & (dims < size)[None, :]
    tl.store(d_projected + width + key_at, d_k.to(d_projected.dtype.element_ty), mask=is_there)
    tl.store(d_projected + 2 * width + key_at, d_v.to(d_projected.dtype.element_ty), mask=is_there)


@triton.jit(do_not_specialize=[*_SIZES, "functions"])
def _backward_table(  # type: ignore[no-untyped-def]
    projected, table, out, lses, d_out, parts, starts, lengths, seeds, functions, heads, size,
    longest, scale, threshold, keep_scale, is_first, BLOCK: tl.constexpr, BLOCK_D: tl.constexpr, KIND: tl.constexpr,
    DROPOUT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The tiles of one diagonal, which meet the same distances, summed over a share of functions and heads."""
    diagonals, splits = tl.num_programs(0), tl.num_programs(1)
    blocks_below = tl.program_id(0) - diagonals // 2  # block of queries less block of keys
    seed = tl.load(seeds)
    dims = tl.arange(0, BLOCK_D)
    d_distances = tl.zeros((2 * BLOCK, BLOCK_D), tl.float32)
    for which in range(tl.program_id(1), functions * heads, splits):
        function, head = which // heads, which % heads
        start, length, asked, place = _function(function, starts, lengths, is_first)
        width = heads * size
        mixed_at, queries = place * width + head * size, projected + 3 * start * width + head * size
        for first_column in range(
            tl.maximum(0, -blocks_below) * BLOCK, tl.minimum(length, asked - blocks_below * BLOCK), BLOCK
        ):
            first_row = first_column + blocks_below * BLOCK
            rows, columns = first_row + tl.arange(0, BLOCK), first_column + tl.arange(0, BLOCK)
            q = _load(queries, rows, 3 * width, dims, size, asked)
            o = _load(out + mixed_at, rows, width, dims, size, asked)
            d_o = _load(d_out + mixed_at, rows, width, dims, size, asked)
            k = _load(queries + width, columns, 3 * width, dims, size, length)
            v = _load(queries + 2 * width, columns, 3 * width, dims, size, length)
            lse = tl.load(lses + (place + rows) * heads + head, mask=rows < asked, other=0.0)
            _, d_scores, _ = _gradient_of_tile(
                q, k, v, o, d_o, lse, table, seed, start, rows, columns, first_row, first_column, asked, length, head,
                heads, size, longest, dims, scale, threshold, keep_scale, BLOCK, KIND, DROPOUT, PRECISION,
            )  # fmt: skip
            by_row = tl.trans(_by_distance(d_scores, BLOCK))  # (2 B, B)
            d_distances += tl.dot(by_row.to(q.dtype), q, input_precision=PRECISION)
            if KIND > 1:
                by_key = tl.trans(_by_distance_of_keys(tl.trans(d_scores), BLOCK))  # (2 B, B)
                d_distances += tl.dot(by_key.to(k.dtype), k, input_precision=PRECISION)
    part = (tl.program_id(1) * diagonals + tl.program_id(0)) * 2 * BLOCK
    tl.store(
        parts + (part + tl.arange(0, 2 * BLOCK))[:, None] * size + dims[None, :],
        d_distances,
        mask=(dims < size)[None, :],
    )


class PackedAttention(torch.autograd.Function):
    """Attention of each function's tokens among themselves, with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        table: Tensor | None,
        starts: Tensor,
        lengths: Tensor,
        seed: Tensor,
        longest: int,
        heads: int,
        kind: int,
        dropout: float,
        is_first: bool = False,
    ) -> Tensor:
        """Values mixed, (T, w); of each function's first token alone, (n, w), where that is asked for.

        Args:
            projected: Queries, keys and values side by side, each with its heads side by side, shape (T, 3 w).
            table: Distance vectors (2 L - 1, d) for kinds 1 and 2, else None.
            starts: First token of each function, shape (n,), int32.
            lengths: Tokens of each function, shape (n,), int32.
            seed: Of dropout, one int64 on the device.
            longest: L, which no function's length exceeds.
            kind: Products with distance vectors: 0, 1 (the queries') or 2 (the keys' as well).
            dropout: Probability.
            is_first: Whether only the first tokens are asked for.
        """
        projected = projected.contiguous()
        distances = projected if table is None else table.to(projected.dtype).contiguous()
        width = projected.shape[1] // 3
        size = width // heads
        block_d = max(16, triton.next_power_of_2(size))
        block = 64 if kind == 0 and block_d <= 64 else 32 if block_d <= 128 else 16
        threshold = round(dropout * 2**24)
        ctx.sizes = heads, size, longest, size**-0.5, threshold, 2**24 / (2**24 - threshold), int(is_first)
        precision = "ieee" if projected.dtype == torch.float32 else "tf32"
        ctx.options = {"BLOCK": block, "BLOCK_D": block_d, "KIND": kind, "PRECISION": precision}
        ctx.options["DROPOUT"] = threshold > 0
        out = projected.new_zeros(len(starts) if is_first else len(projected), width)
        lses = torch.empty(len(out), heads, dtype=torch.float32, device=projected.device)
        ctx.asked = 1 if is_first else longest
        grid = (triton.cdiv(ctx.asked, block), len(starts) * heads)
        ctx.warps = 2 if kind and block_d <= 32 else 4
        tensors = (projected, distances, out, lses, starts, lengths, seed)
        _forward[grid](*tensors, *ctx.sizes, num_warps=ctx.warps, num_stages=2, **ctx.options)
        ctx.table_dtype = None if table is None else table.dtype
        ctx.save_for_backward(*tensors)
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the projections and the table."""
        projected, distances, out, lses, starts, lengths, seed = ctx.saved_tensors
        d_out = d_out.contiguous()
        d_projected = torch.zeros_like(projected)
        given = projected, distances, out, lses, d_out
        heads, size, longest = ctx.sizes[:3]
        block = ctx.options["BLOCK"]
        blocks, functions_and_heads = triton.cdiv(longest, block), len(starts) * heads
        last = {"num_warps": ctx.warps, "num_stages": 1, **ctx.options}
        _backward_queries[(triton.cdiv(ctx.asked, block), functions_and_heads)](
            *given, d_projected, starts, lengths, seed, *ctx.sizes, **last
        )
        _backward_keys[(blocks, functions_and_heads)](*given, d_projected, starts, lengths, seed, *ctx.sizes, **last)
        d_table = None
        if ctx.table_dtype is not None:
            splits = min(_TABLE_SPLITS, functions_and_heads)
            parts = torch.empty(splits, 2 * blocks - 1, 2 * block, size, dtype=torch.float32, device=d_out.device)
            _backward_table[(2 * blocks - 1, splits)](
                *given, parts, starts, lengths, seed, len(starts), *ctx.sizes, **{**last, "num_warps": 4}
            )
            d_table = _joined_diagonals(parts.sum(0), longest).to(ctx.table_dtype)
        return d_projected, d_table, None, None, None, None, None, None, None, None


def _joined_diagonals(bands: Tensor, longest: int) -> Tensor:
    """The table's gradient (2 L - 1, d) from those of each diagonal (k, 2 B, d), whose halves overlap."""
    diagonals, both, size = bands.shape
    block = both // 2
    joined = torch.zeros((diagonals + 1) * block, size, dtype=bands.dtype, device=bands.device)
    joined[: diagonals * block] += bands[:, :block].reshape(-1, size)
    joined[block:] += bands[:, block:].reshape(-1, size)
    skipped = (diagonals + 1) // 2 * block - longest  # row 0 holds the distance 1 - blocks * block
    return joined[skipped : skipped + 2 * longest - 1]
