"""Attention over packed functions on a processor, one function after the other, forward and backward.

The scores of one function stay in the processor's cache, and nothing is computed for padding. oneDNN, which makes the
products where the engine asks for it, compiles a kernel for each size it meets and keeps a thousand of them: functions
are therefore read in one of `_SIZES` numbers of rows, whose surplus counts as nothing.

Shapes: T tokens of all functions end to end, h heads of size d, w = h d, r rows of a function, its tokens and some
surplus. L is the longest sequence that the table of distances allows; the table is (2 L - 1, d), row
l - r + L - 1 for a query at l and a key at r.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from avatar_optuna.students.dropout import dropout_weights

_SIZES = 64
_LEAST_STEP = 8


def skew(products: Tensor) -> Tensor:
    """Read row r of a (..., t, 2t-1) table of products from column t-1-r on: out[..., r, c] = in[..., r, t-1-r+c].

    Flat, the element lies at (t - 1) + r (2t - 2) + c, so that a slice, a view and a cut do it without a gather.
    """
    tokens = products.shape[-2]
    if tokens == 1:
        return products
    leading = products.shape[:-2]
    flat = products.reshape(*leading, tokens * (2 * tokens - 1))  # (..., t (2t-1))
    rows = flat[..., tokens - 1 : -1].reshape(*leading, tokens, 2 * tokens - 2)
    return rows[..., :tokens]  # (..., t, t)


def unskewed(scores: Tensor) -> Tensor:
    """The gradient of what `skew` reads, (..., t, 2t-1), from that of what it gives, (..., t, t), t above 1."""
    tokens = scores.shape[-1]
    products = scores.new_zeros(*scores.shape[:-1], 2 * tokens - 1)  # (..., t, 2t-1)
    flat = products.view(*scores.shape[:-2], tokens * (2 * tokens - 1))  # (..., t (2t-1))
    flat[..., tokens - 1 : -1].view(*scores.shape[:-1], 2 * tokens - 2)[..., :tokens] = scores
    return products


class _Distances:
    """The vectors of distances as functions of r rows read them.

    Args:
        table: Shape (2 L - 1, d).
        longest: L.
        surplus: Rows that a function may have beyond L tokens: no table holds their distances.
    """

    def __init__(self, table: Tensor, longest: int, surplus: int) -> None:
        self.middle, self.surplus = longest - 1 + surplus, surplus
        self.vectors = functional.pad(table, (0, 0, surplus, surplus))  # (2 L - 1 + 2 surplus, d)

    def places(self, rows: int) -> slice:
        """Of the distances from 1 - r to r - 1, in `vectors`."""
        return slice(self.middle - rows + 1, self.middle + rows)

    def table_of(self, vectors: Tensor) -> Tensor:
        """The part (2 L - 1, d) of vectors, or of their gradient, that is the table's."""
        return vectors[self.surplus : len(vectors) - self.surplus]


class _Scores:
    """Scores of queries, already scaled, and keys, and their gradients.

    Args:
        scale: Of the queries.
        distances: What positions add to the scores, or None.
        kind: Products with distance vectors: 0, 1 (the queries') or 2 (the keys' as well).
    """

    def __init__(self, scale: float, distances: _Distances | None, kind: int) -> None:
        self.scale, self.distances, self.kind = scale, distances, kind

    def of(self, query: Tensor, key: Tensor) -> Tensor:
        """Scores (h, r, r) of queries and keys (h, r, d)."""
        scores = torch.bmm(query, key.transpose(1, 2))  # (h, r, r)
        if self.distances is not None:
            vectors = self.distances.vectors[self.distances.places(query.shape[1])]  # (2r-1, d)
            # Row l of the queries wants distance l - r in column r: the table backwards, skewed.
            scores += skew(torch.matmul(query, vectors.flip(0).T))
            if self.kind == 2:
                # Row r of the keys wants distance l - r in column l: the table forwards, skewed, then transposed.
                scores += skew(torch.matmul(key * self.scale, vectors.T)).transpose(1, 2)
        return scores

    def gradients(
        self, d_scores: Tensor, query: Tensor, key: Tensor, d_vectors: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Gradients (h, r, d) of queries and keys; that of the distance vectors is added to `d_vectors`."""
        d_query = torch.bmm(d_scores, key)  # (h, r, d)
        d_key = torch.bmm(d_scores.transpose(1, 2), query)  # (h, r, d)
        if self.distances is not None and d_vectors is not None:
            places = self.distances.places(query.shape[1])
            vectors = self.distances.vectors[places]  # (2r-1, d)
            d_products = unskewed(d_scores)  # (h, r, 2r-1)
            d_query += torch.matmul(d_products, vectors.flip(0))
            d_vectors[places] += torch.bmm(d_products.transpose(1, 2), query).sum(0).flip(0)
            if self.kind == 2:
                d_products = unskewed(d_scores.transpose(1, 2))  # (h, r, 2r-1)
                d_key += torch.matmul(d_products, vectors) * self.scale
                d_vectors[places] += torch.bmm(d_products.transpose(1, 2), key).sum(0) * self.scale
        return d_query, d_key


class ProcessorAttention(torch.autograd.Function):
    """Attention of each function's tokens among themselves, with its gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        table: Tensor | None,
        starts: Tensor,
        lengths: Tensor,
        longest: int,
        heads: int,
        kind: int,
        dropout: float,
    ) -> Tensor:
        """Values mixed, (T, w).

        Args:
            projected: Queries, keys and values side by side, each with its heads side by side, shape (T, 3 w).
            table: Distance vectors (2 L - 1, d) for kinds 1 and 2, else None.
            starts: First token of each function, shape (n,).
            lengths: Tokens of each function, shape (n,).
            longest: L, which no function's length exceeds.
            heads: Of attention.
            kind: Products with distance vectors: 0, 1 (the queries') or 2 (the keys' as well).
            dropout: Probability.
        """
        count, size = len(projected), projected.shape[1] // 3 // heads
        step = _LEAST_STEP * -(-longest // (_LEAST_STEP * _SIZES))
        distances = None if table is None else _Distances(table, longest, step)
        ctx.scores = _Scores(size**-0.5, distances, kind)
        split = projected.new_zeros(3, heads, count + step, size)
        split[:, :, :count] = projected.view(count, 3, heads, size).permute(1, 2, 0, 3)
        split[0] *= ctx.scores.scale
        mixed = projected.new_zeros(count, heads, size)
        ctx.functions = []
        for start, length in zip(starts.tolist(), lengths.tolist(), strict=True):
            rows = slice(start, start + -(-length // step) * step)
            query, key, value = split[:, :, rows]  # (h, r, d) each
            scores = ctx.scores.of(query, key)  # (h, r, r)
            scores[:, :, length:] = -torch.inf
            weights = torch.softmax(scores, dim=-1)  # (h, r, r)
            weights[:, length:] = 0.0
            kept = dropout_weights(weights.shape, dropout) if dropout else None  # (h, r, r)
            product = torch.bmm(weights if kept is None else weights * kept, value)  # (h, r, d)
            mixed[start : start + length] = product[:, :length].transpose(0, 1)
            ctx.functions.append((rows, length, weights, kept))
        ctx.save_for_backward(split)
        return mixed.view(count, heads * size)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of the projections and the table."""
        (split,) = ctx.saved_tensors
        count, (heads, padded, size) = len(gradients[0]), split.shape[1:]
        d_mixed = split.new_zeros(heads, padded, size)
        d_mixed[:, :count] = gradients[0].view(count, heads, size).transpose(0, 1)
        d_split = split.new_zeros(count, 3, heads, size)
        distances = ctx.scores.distances
        d_vectors = None if distances is None else torch.zeros_like(distances.vectors)
        for rows, length, weights, kept in ctx.functions:
            query, key, value = split[:, :, rows]  # (h, r, d) each
            d_weights = torch.bmm(d_mixed[:, rows], value.transpose(1, 2))  # (h, r, r)
            if kept is not None:
                d_weights *= kept
            d_scores = torch._softmax_backward_data(d_weights, weights, -1, weights.dtype)  # (h, r, r)
            dropped = weights if kept is None else weights * kept  # (h, r, r)
            d_value = torch.bmm(dropped.transpose(1, 2), d_mixed[:, rows])  # (h, r, d)
            d_query, d_key = ctx.scores.gradients(d_scores, query, key, d_vectors)  # (h, r, d) each
            for place, gradient in enumerate((d_query, d_key, d_value)):
                d_split[rows.start : rows.start + length, place] = gradient[:, :length].transpose(0, 1)
        d_split[:, 0] *= ctx.scores.scale
        d_table = None if distances is None else distances.table_of(d_vectors)
        return d_split.view(count, 3 * heads * size), d_table, None, None, None, None, None, None
