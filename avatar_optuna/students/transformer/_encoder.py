"""The encoder of a transformer student: embeddings and layers of attention, with one of three kinds of positions.

Shapes beside the lines: n functions in a batch, t tokens in the longest of them, w hidden_size, h heads of size
d = w / h, i intermediate_size.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.activations import ACT2FN

from avatar_optuna.exceptions import InputError
from avatar_optuna.students.dropout import Dropout
from avatar_optuna.students.packing import PackedTokens, runs_kernels
from avatar_optuna.students.transformer._config import PAD_TOKEN_ID, StudentConfig
from avatar_optuna.students.transformer._family import POSITION_EMBEDDING_TYPES, POSITION_OFFSET
from avatar_optuna.students.transformer._processor_attention import ProcessorAttention, skew

_WEIGHTS = ("weight", "bias")


def _words(table: nn.Embedding, ids: Tensor) -> Tensor:
    """Rows (..., w) of a table; packed ids are (t,)."""
    if ids.ndim > 1 or not runs_kernels(ids):
        return table(ids)  # type: ignore[no-any-return]
    from avatar_optuna.students._norm_kernels import RowsOf  # Triton is there on GPU machines alone

    return RowsOf.apply(table.weight, ids)  # type: ignore[no-any-return, no-untyped-call]


def _positions(table: nn.Embedding, tokens: PackedTokens) -> Tensor:
    """Rows (t, w) of a table for the positions of packed tokens."""
    if not runs_kernels(tokens.positions):
        return table(tokens.positions + POSITION_OFFSET)  # type: ignore[no-any-return]
    from avatar_optuna.students._norm_kernels import PositionsOf

    given = (table.weight, tokens.positions, tokens.starts, tokens.lengths, POSITION_OFFSET)
    return PositionsOf.apply(*given)  # type: ignore[no-any-return, no-untyped-call]


def _normed(norm: nn.LayerNorm, inner: Tensor, residual: Tensor | None, offset: Tensor | None = None) -> Tensor:
    """The normed sum of one or two tensors (..., w), packed ones (t, w), and an offset (w,) of each row."""
    if inner.ndim > 2 or not runs_kernels(inner):
        summed = inner if offset is None else inner + offset
        return norm(summed if residual is None else summed + residual)  # type: ignore[no-any-return]
    from avatar_optuna.students._norm_kernels import ResidualNorm

    return ResidualNorm.apply(inner, residual, offset, norm.weight, norm.bias, norm.eps)  # type: ignore[no-any-return, no-untyped-call]


class Embeddings(nn.Module):
    """Tokens (and absolute positions, where the student has them) to vectors."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = nn.Embedding(config.vocab_size, width, padding_idx=PAD_TOKEN_ID)
        if config.position_embedding_type == "absolute":
            self.position_embeddings = nn.Embedding(config.max_position_embeddings, width, padding_idx=PAD_TOKEN_ID)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, width)
        self.LayerNorm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.has_positions = config.position_embedding_type == "absolute"

    def forward(self, input_ids: Tensor, tokens: PackedTokens | None = None) -> Tensor:
        # input_ids (n, t), or (t,) of packed tokens
        vectors, kind = _words(self.word_embeddings, input_ids), self.token_type_embeddings.weight[0]  # (n, t, w), (w,)
        places = None
        if self.has_positions and tokens is not None:
            places = _positions(self.position_embeddings, tokens)  # (t, w)
        elif self.has_positions:
            # RoBERTa counts the tokens that are not padding, from 2; padding itself sits at row 1.
            real = (input_ids != PAD_TOKEN_ID).long()  # (n, t)
            places = self.position_embeddings(real.cumsum(dim=1) * real + PAD_TOKEN_ID)  # (n, t, w)
        return self.dropout(_normed(self.LayerNorm, vectors, places, kind))  # type: ignore[no-any-return]  # (n, t, w)


class SelfAttention(nn.Module):
    """Attention over one function's tokens; relative kinds add products with a table of distance vectors.

    A query at position l and a key at r lie at distance l - r, row l - r + L - 1 of the table (L the longest
    sequence). relative_key adds q_l . e(l - r) to the score q_l . k_r, relative_key_query adds k_r . e(l - r) as well
    (Huang et al., 2020, methods 2 and 4, as BERT had them in transformers 4), all divided by the root of d.
    """

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.num_heads = config.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.joined: nn.Linear | None = None
        self.dropout = Dropout(config.attention_probs_dropout_prob)
        self.num_distance_products = POSITION_EMBEDDING_TYPES.index(config.position_embedding_type)
        self.longest = config.max_sequence_length
        if self.num_distance_products:
            self.distance_embedding = nn.Embedding(2 * self.longest - 1, width // self.num_heads)

    @torch.no_grad()
    def join(self) -> None:
        """Let the three projections lie in one, which packed tokens are then read by: no step puts them together.

        It receives their gradients until `split_gradients`.
        """
        weight = self.query.weight
        # Without weights of its own: drawing them would take from what another thread's captured steps draw from.
        self.joined = nn.utils.skip_init(
            nn.Linear, weight.shape[1], 3 * len(weight), device=weight.device, dtype=weight.dtype
        )
        for name, parameters in self._projections():
            for parameter, share in zip(parameters, getattr(self.joined, name).data.chunk(3), strict=True):
                parameter.data = share.copy_(parameter)

    def split_gradients(self) -> None:
        """Give each of the three projections its share of the gradient of the joined one, where that has one."""
        for name, parameters in self._projections():
            joined = getattr(self.joined, name)
            if joined.grad is None:
                continue
            for parameter, share in zip(parameters, joined.grad.chunk(3), strict=True):
                parameter.grad = share
            joined.grad = None

    def _projections(self) -> list[tuple[str, list[Tensor]]]:
        """Weights and biases of queries, keys and values, by name."""
        return [(name, [getattr(part, name) for part in (self.query, self.key, self.value)]) for name in _WEIGHTS]

    def forward(self, vectors: Tensor, bias: Tensor | PackedTokens | None) -> Tensor:
        # vectors (n, t, w), bias (n, 1, 1, t) or None; or (t, w), with the functions that these tokens are of
        if isinstance(bias, PackedTokens):
            return self._packed(vectors, bias)
        query = self._split(self.query(vectors))  # (n, h, t, d)
        key = self._split(self.key(vectors))  # (n, h, t, d)
        value = self._split(self.value(vectors))  # (n, h, t, d)
        if self.num_distance_products:
            scores = self._distance_scores(query, key)  # (n, h, t, t)
            bias = scores if bias is None else scores + bias  # (n, h, t, t)
        if bias is not None:
            bias = bias.to(query.dtype)  # under autocast the queries are narrower than the bias
        if self.dropout.is_active and query.device.type == "cpu":
            # Here scaled_dot_product_attention has no fused kernel, and would draw torch's slow dropout.
            products = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)  # (n, h, t, t)
            weights = (products if bias is None else products + bias).softmax(dim=-1)  # (n, h, t, t)
            mixed = self.dropout(weights) @ value  # (n, h, t, d)
        else:
            dropout = self.dropout.probability if self.training else 0.0
            mixed = functional.scaled_dot_product_attention(query, key, value, bias, dropout)  # (n, h, t, d)
        return mixed.transpose(1, 2).reshape(vectors.shape)  # type: ignore[no-any-return]  # (n, t, w)

    def _packed(self, vectors: Tensor, tokens: PackedTokens, *, is_first: bool = False) -> Tensor:
        """Attention of each function's tokens among themselves, (t, w), or of its first one alone, (n, w)."""
        if self.joined is not None:
            projected = self.joined(vectors)  # (t, 3 w): one product instead of three
        else:
            projected = functional.linear(vectors, *(torch.cat(parameters) for _, parameters in self._projections()))
        table = self.distance_embedding.weight if self.num_distance_products else None
        given = (projected, table, tokens.starts, tokens.lengths)
        dropout = self.dropout.probability if self.dropout.is_active else 0.0
        options = (self.longest, self.num_heads, self.num_distance_products, dropout)
        if not runs_kernels(vectors):
            return ProcessorAttention.apply(*given, *options)  # type: ignore[no-any-return, no-untyped-call]
        from avatar_optuna.students._attention_kernels import PackedAttention  # Triton is there on GPU machines alone

        seed = torch.randint(2**31, (1,), device=vectors.device) if dropout else tokens.starts
        return PackedAttention.apply(*given, seed, *options, is_first)  # type: ignore[no-any-return, no-untyped-call]

    def first(self, vectors: Tensor, tokens: PackedTokens) -> Tensor:
        """What `forward` gives the first token of each packed function, (n, w), of their tokens (t, w)."""
        if runs_kernels(vectors):
            return self._packed(vectors, tokens, is_first=True)
        weight, bias = (torch.cat(parameters[1:]) for _, parameters in self._projections())
        columns = torch.arange(int(tokens.lengths.max()), device=vectors.device)  # (l,)
        places = (tokens.starts[:, None] + columns).clamp_(max=len(vectors) - 1)  # (n, l)
        both = functional.embedding(places, functional.linear(vectors, weight, bias))  # (n, l, 2 w)
        key, value = (self._split(part) for part in both.chunk(2, dim=-1))  # (n, h, l, d) each
        query = self._split(self.query(vectors.index_select(0, tokens.starts))[:, None])  # (n, h, 1, d)
        scores = query @ key.transpose(-1, -2)  # (n, h, 1, l)
        if self.num_distance_products:
            # The first token lies at distance -r from the key at r, row L - 1 - r of the table.
            table = self.distance_embedding.weight[self.longest - len(columns) : self.longest].flip(0)  # (l, d)
            scores = scores + query @ table.T
            if self.num_distance_products == 2:
                scores = scores + (key * table).sum(dim=-1)[:, :, None]
        hidden = columns >= tokens.lengths[:, None]  # (n, l)
        scores = (scores * query.shape[-1] ** -0.5).masked_fill(hidden[:, None, None], -torch.inf)
        mixed = self.dropout(scores.softmax(dim=-1)) @ value  # (n, h, 1, d)
        return mixed.flatten(1)  # type: ignore[no-any-return]  # (n, w)

    def _split(self, vectors: Tensor) -> Tensor:
        heads = vectors.unflatten(-1, (self.num_heads, -1))  # (n, t, h, d)
        return heads.transpose(1, 2)  # type: ignore[no-any-return]  # (n, h, t, d)

    def _distance_scores(self, query: Tensor, key: Tensor) -> Tensor:
        tokens, size = query.shape[-2:]
        if tokens > self.longest:
            raise InputError(f"a sequence may hold at most {self.longest} tokens, got {tokens}")
        # Row c holds distance c - (t - 1).
        table = self.distance_embedding.weight[self.longest - tokens : self.longest + tokens - 1]  # (2t-1, d)
        # Row l of the queries wants distance l - r in column r: the table backwards, skewed.
        scores = skew(query @ table.flip(0).T)  # (n, h, t, t)
        if self.num_distance_products == 2:
            # Row r of the keys wants distance l - r in column l: the table forwards, skewed, then transposed.
            scores = scores + skew(key @ table.T).transpose(-1, -2)  # (n, h, t, t)
        return scores * float(size) ** -0.5  # type: ignore[no-any-return]


class Residual(nn.Module):
    """A projection back to the width, added to what went in, then normed."""

    def __init__(self, inner: int, config: StudentConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(self, inner: Tensor, vectors: Tensor) -> Tensor:
        # inner (n, t, inner), vectors (n, t, w)
        if inner.ndim == 2 and runs_kernels(inner) and not self.dropout.is_active:
            product = functional.linear(inner, self.dense.weight)  # (t, w)
            return _normed(self.LayerNorm, product, vectors, self.dense.bias)  # (t, w)
        return _normed(self.LayerNorm, self.dropout(self.dense(inner)), vectors)  # (n, t, w)


class Attention(nn.Module):
    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.self = SelfAttention(config)
        self.output = Residual(config.hidden_size, config)

    def forward(self, vectors: Tensor, bias: Tensor | PackedTokens | None) -> Tensor:
        return self.output(self.self(vectors, bias), vectors)  # type: ignore[no-any-return]  # (n, t, w)

    def first(self, vectors: Tensor, tokens: PackedTokens) -> Tensor:
        """What `forward` gives the first token of each packed function, (n, w)."""
        return self.output(self.self.first(vectors, tokens), vectors.index_select(0, tokens.starts))  # type: ignore[no-any-return]


class Intermediate(nn.Module):
    """The wide half of the feed-forward."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]

    def forward(self, vectors: Tensor) -> Tensor:
        return self.activation(self.dense(vectors))  # type: ignore[no-any-return]  # (n, t, i)


class Layer(nn.Module):
    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.attention = Attention(config)
        self.intermediate = Intermediate(config)
        self.output = Residual(config.intermediate_size, config)

    def forward(self, vectors: Tensor, bias: Tensor | PackedTokens | None) -> Tensor:
        return self._fed_forward(self.attention(vectors, bias))  # (n, t, w)

    def first(self, vectors: Tensor, tokens: PackedTokens) -> Tensor:
        """What `forward` gives the first token of each packed function, (n, w)."""
        return self._fed_forward(self.attention.first(vectors, tokens))

    def _fed_forward(self, vectors: Tensor) -> Tensor:
        return self.output(self.intermediate(vectors), vectors)  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """Embeddings and layers, under the names of transformers' RobertaModel."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.embeddings = Embeddings(config)
        layers = nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])
        self.encoder = nn.ModuleDict({"layer": layers})

    def packed(self, tokens: PackedTokens) -> Tensor:
        """Vectors (n, w) of the first tokens of packed functions: the last layer computes no others."""
        vectors = self.embeddings(tokens.ids, tokens)  # (t, w)
        layers: list[Any] = list(self.encoder["layer"])  # type: ignore[call-overload]
        for layer in layers[:-1]:
            vectors = layer(vectors, tokens)  # (t, w)
        return layers[-1].first(vectors, tokens)  # type: ignore[no-any-return]

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        # input_ids (n, t), attention_mask (n, t) or None where no token is padding
        vectors = self.embeddings(input_ids)  # (n, t, w)
        bias = None
        if attention_mask is not None:
            hidden = ~attention_mask.bool()[:, None, None, :]  # (n, 1, 1, t)
            bias = torch.zeros_like(hidden, dtype=vectors.dtype).masked_fill(hidden, torch.finfo(vectors.dtype).min)
        for layer in self.encoder["layer"]:  # type: ignore[attr-defined]
            vectors = layer(vectors, bias)  # (n, t, w)
        return vectors  # type: ignore[no-any-return]
