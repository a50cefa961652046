"""Layer normalization and rows of tables over packed functions on a GPU: Triton kernels, forward and backward.

torch's own take a block of threads for each row of at most some hundred components, several kernels beside it for the
sum, the casts and the gradients of weights, and a sort of 64-bit keys for the gradient of a table: together more of a
small student's step than its products and its attention. Sums are in float32 and in a fixed order: the same inputs give
the same bits.

Shapes: T rows (tokens of all functions) of w components; a table of v rows.
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

_TILE = 2048  # components that a program holds at once
_PARTS = 256  # partial sums of the gradients of weights
_LARGEST_SHORT = 2**15 - 1


@triton.jit(do_not_specialize=["count", "width"])
def _norm_forward(  # type: ignore[no-untyped-def]
    inner, residual, offset, weight, bias, out, total, means, scales, count, width, epsilon, ROWS: tl.constexpr,
    BLOCK: tl.constexpr, HAS_RESIDUAL: tl.constexpr, HAS_OFFSET: tl.constexpr,
):  # fmt: skip
    rows, columns = tl.program_id(0) * ROWS + tl.arange(0, ROWS), tl.arange(0, BLOCK)
    places = rows[:, None] * width + columns[None, :]
    is_there = (rows < count)[:, None] & (columns < width)[None, :]
    x = tl.load(inner + places, mask=is_there, other=0.0).to(tl.float32)
    if HAS_RESIDUAL:
        x += tl.load(residual + places, mask=is_there, other=0.0).to(tl.float32)
    if HAS_OFFSET:
        x += tl.load(offset + columns, mask=columns < width, other=0.0).to(tl.float32)[None, :]
    tl.store(total + places, x.to(total.dtype.element_ty), mask=is_there)
    mean = tl.sum(x, axis=1) / width
    centred = tl.where(is_there, x - mean[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, axis=1) / width + epsilon)
    gain = tl.load(weight + columns, mask=columns < width, other=0.0).to(tl.float32)
    shift = tl.load(bias + columns, mask=columns < width, other=0.0).to(tl.float32)
    y = centred * scale[:, None] * gain[None, :] + shift[None, :]
    tl.store(out + places, y.to(out.dtype.element_ty), mask=is_there)
    tl.store(means + rows, mean, mask=rows < count)
    tl.store(scales + rows, scale, mask=rows < count)


@triton.jit(do_not_specialize=["count", "width"])
def _norm_backward(  # type: ignore[no-untyped-def]
    d_out, total, weight, means, scales, d_total, parts, count, width, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """The gradient of the sum, and a share of those of weight, bias and offset: parts (programs, 3, w)."""
    columns = tl.arange(0, BLOCK)
    gain = tl.load(weight + columns, mask=columns < width, other=0.0).to(tl.float32)
    d_gain = tl.zeros((BLOCK,), tl.float32)
    d_shift = tl.zeros((BLOCK,), tl.float32)
    d_offset = tl.zeros((BLOCK,), tl.float32)
    for first in range(tl.program_id(0) * ROWS, count, tl.num_programs(0) * ROWS):
        rows = first + tl.arange(0, ROWS)
        places = rows[:, None] * width + columns[None, :]
        is_there = (rows < count)[:, None] & (columns < width)[None, :]
        d_y = tl.load(d_out + places, mask=is_there, other=0.0).to(tl.float32)
        x = tl.load(total + places, mask=is_there, other=0.0).to(tl.float32)
        mean = tl.load(means + rows, mask=rows < count, other=0.0)
        scale = tl.load(scales + rows, mask=rows < count, other=0.0)
        normed = tl.where(is_there, (x - mean[:, None]) * scale[:, None], 0.0)
        d_gain += tl.sum(d_y * normed, axis=0)
        d_shift += tl.sum(d_y, axis=0)
        d_normed = d_y * gain[None, :]
        along = tl.sum(d_normed * normed, axis=1) / width
        across = tl.sum(d_normed, axis=1) / width
        d_x = (d_normed - across[:, None] - normed * along[:, None]) * scale[:, None]
        d_offset += tl.sum(tl.where(is_there, d_x, 0.0), axis=0)
        tl.store(d_total + places, d_x.to(d_total.dtype.element_ty), mask=is_there)
    place = tl.program_id(0) * 3 * width + columns
    tl.store(parts + place, d_gain, mask=columns < width)
    tl.store(parts + place + width, d_shift, mask=columns < width)
    tl.store(parts + place + 2 * width, d_offset, mask=columns < width)


@triton.jit(do_not_specialize=["programs", "width"])
def _sum_parts(  # type: ignore[no-untyped-def]
    parts, sums, programs, width, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums (3, w) of parts (programs, 3, w): a program for each of the three."""
    which, columns = tl.program_id(0), tl.arange(0, BLOCK)
    found = tl.zeros((BLOCK,), tl.float32)
    for first in range(0, programs, ROWS):
        rows = first + tl.arange(0, ROWS)
        is_there = (rows < programs)[:, None] & (columns < width)[None, :]
        found += tl.sum(
            tl.load(parts + (rows[:, None] * 3 + which) * width + columns[None, :], mask=is_there, other=0.0), axis=0
        )
    tl.store(sums + which * width + columns, found.to(sums.dtype.element_ty), mask=columns < width)


@triton.jit(do_not_specialize=["functions", "width", "offset"])
def _sum_positions(  # type: ignore[no-untyped-def]
    d_rows, starts, lengths, d_table, functions, width, offset, FUNCTIONS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A row of the gradient of a table of positions: the sum over the functions that are so long."""
    position = tl.zeros((FUNCTIONS,), tl.int32) + tl.program_id(0) - offset
    columns, found = tl.arange(0, BLOCK), tl.zeros((BLOCK,), tl.float32)
    for first in range(0, functions, FUNCTIONS):
        which = first + tl.arange(0, FUNCTIONS)
        start = tl.load(starts + which, mask=which < functions, other=0)
        length = tl.load(lengths + which, mask=which < functions, other=0)
        is_there = ((position >= 0) & (position < length))[:, None] & (columns < width)[None, :]
        values = tl.load(d_rows + (start + position)[:, None] * width + columns[None, :], mask=is_there, other=0.0)
        found += tl.sum(values.to(tl.float32), axis=0)
    tl.store(d_table + tl.program_id(0) * width + columns, found.to(d_table.dtype.element_ty), mask=columns < width)


@triton.jit(do_not_specialize=["width"])
def _sum_rows(  # type: ignore[no-untyped-def]
    d_rows, order, ends, d_table, width, ROWS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """A row of a table's gradient: the sum of the gradients of the places that read it."""
    which, columns = tl.program_id(0), tl.arange(0, BLOCK)
    begin, end = tl.load(ends + which), tl.load(ends + which + 1)
    found = tl.zeros((BLOCK,), tl.float32)
    for first in range(begin, end, ROWS):
        places = first + tl.arange(0, ROWS)
        rows = tl.load(order + places, mask=places < end, other=0)
        is_there = (places < end)[:, None] & (columns < width)[None, :]
        values = tl.load(d_rows + rows[:, None] * width + columns[None, :], mask=is_there, other=0.0)
        found += tl.sum(values.to(tl.float32), axis=0)
    tl.store(d_table + which * width + columns, found.to(d_table.dtype.element_ty), mask=columns < width)


class ResidualNorm(torch.autograd.Function):
    """Layer normalization of a sum: a matrix, another one where there is one, and an offset of each row."""

    @staticmethod
    def forward(
        ctx: Any,
        inner: Tensor,
        residual: Tensor | None,
        offset: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        epsilon: float,
    ) -> Tensor:
        """(T, w) of `inner` and `residual`, (T, w) each, and the others, (w,) each; in the wider type of the first two.

        An offset is the bias of the product that gave `inner`: its gradient is a sum that is at hand here.
        """
        inner = inner.contiguous()
        added = inner if residual is None else residual.contiguous()
        count, width = inner.shape
        out = torch.empty(count, width, dtype=torch.result_type(inner, added), device=inner.device)
        total = torch.empty_like(out)
        means, scales = (torch.empty(count, dtype=torch.float32, device=inner.device) for _ in range(2))
        block, rows = _tile(width)
        options = {"ROWS": rows, "BLOCK": block, "HAS_RESIDUAL": residual is not None, "HAS_OFFSET": offset is not None}
        tensors = (inner, added, bias if offset is None else offset, weight, bias, out, total, means, scales)
        _norm_forward[(triton.cdiv(count, rows),)](*tensors, count, width, epsilon, **options)
        ctx.save_for_backward(total, weight, means, scales)
        ctx.types = [None if given is None else given.dtype for given in (inner, residual, offset, weight, bias)]
        return out

    @staticmethod
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the two matrices, which are the same, and of the others."""
        total, weight, means, scales = ctx.saved_tensors
        count, width = total.shape
        block, rows = _tile(width)
        d_total = torch.empty_like(total)
        programs = min(_PARTS, triton.cdiv(count, rows))
        parts = torch.empty(programs, 3, width, dtype=torch.float32, device=total.device)
        _norm_backward[(programs,)](
            d_out.contiguous(), total, weight, means, scales, d_total, parts, count, width, ROWS=rows, BLOCK=block
        )
        sums = torch.empty(3, width, dtype=weight.dtype, device=total.device)
        _sum_parts[(3,)](parts, sums, programs, width, ROWS=rows, BLOCK=block)
        d_weight, d_bias, d_offset = sums.unbind()
        gradients = (d_total, d_total, d_offset, d_weight, d_bias)
        wanted = zip(gradients, ctx.types, strict=True)
        return *(None if dtype is None else gradient.to(dtype) for gradient, dtype in wanted), None


class RowsOf(torch.autograd.Function):
    """Rows of a table, whose gradient is summed in the order of the places that read them."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor) -> Tensor:
        """(T, w) of a table (v, w) and the numbers (T,) of the rows that are read."""
        ctx.save_for_backward(rows)
        ctx.about = table.shape, table.dtype
        return table.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, d_rows: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the table, 0 in rows that are not read."""
        (rows,) = ctx.saved_tensors
        (count, width), dtype = ctx.about
        narrow = torch.int16 if count <= _LARGEST_SHORT else torch.int32  # a sort takes a pass for each byte
        found, order = rows.to(narrow).sort(stable=True)
        ends = torch.searchsorted(found, torch.arange(count + 1, dtype=narrow, device=rows.device))
        d_table = torch.empty(count, width, dtype=dtype, device=rows.device)
        block, tile = _tile(width)
        _sum_rows[(count,)](d_rows.contiguous(), order, ends, d_table, width, ROWS=min(tile, 32), BLOCK=block)
        return d_table, None


class PositionsOf(torch.autograd.Function):
    """Rows of a table of positions; its gradient needs no sort: a position has one place in each function."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, positions: Tensor, starts: Tensor, lengths: Tensor, offset: int) -> Tensor:
        """(T, w) of a table (v, w).

        Args:
            positions: Of each token in its function, (T,).
            starts: Of each function, (n,).
            lengths: Of each function, (n,).
            offset: The row of position 0.
        """
        ctx.save_for_backward(starts, lengths)
        ctx.about = table.shape, table.dtype, offset
        return table.index_select(0, positions + offset)

    @staticmethod
    def backward(ctx: Any, d_rows: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of the table; places of no function have none."""
        starts, lengths = ctx.saved_tensors
        (count, width), dtype, offset = ctx.about
        d_table = torch.empty(count, width, dtype=dtype, device=d_rows.device)
        block, tile = _tile(width)
        _sum_positions[(count,)](
            d_rows.contiguous(), starts, lengths, d_table, len(starts), width, offset, FUNCTIONS=tile, BLOCK=block
        )
        return d_table, None, None, None, None


def _tile(width: int) -> tuple[int, int]:
    """Components and rows that a program holds at once."""
    block = max(16, triton.next_power_of_2(width))
    return block, max(1, min(64, _TILE // block))
