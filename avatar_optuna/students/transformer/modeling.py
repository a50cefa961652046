"""A transformer student that stock RoBERTa is not, self-contained once joined with what it imports of `runtimes`.

`export --format hf` writes it beside the weights; `trust_remote_code=True` runs it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.hub import cached_file

from avatar_optuna.runtimes.weights import read_weights

PAD_ID, POSITION_OFFSET = 1, 2


class ExportedConfig(PretrainedConfig):
    """What `config.json` says."""

    model_type = "avatar_transformer_student"


class SelfAttention(nn.Module):
    """Attention; relative kinds add products with a table of distance vectors to the scores."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, self.heads = config.hidden_size, config.num_attention_heads
        self.positions = config.position_embedding_type
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)
        if self.positions != "absolute":
            distances = 2 * (config.max_position_embeddings - POSITION_OFFSET) - 1
            self.distance_embedding = nn.Embedding(distances, width // self.heads)

    def forward(self, vectors: Tensor, hidden: Tensor) -> Tensor:
        """Vectors (n, t, w), and which tokens are padding (n, 1, 1, t), to vectors (n, t, w)."""
        query, key, value = (
            part(vectors).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)
        )  # (n, h, t, d) each
        scores = query @ key.transpose(-1, -2)  # (n, h, t, t)
        if self.positions != "absolute":
            places = torch.arange(vectors.shape[1], device=vectors.device)
            distances = places[:, None] - places + self.distance_embedding.num_embeddings // 2  # (t, t)
            table = self.distance_embedding(distances)  # (t, t, d)
            scores = scores + torch.einsum("nhld,lrd->nhlr", query, table)
            if self.positions == "relative_key_query":
                scores = scores + torch.einsum("nhrd,lrd->nhlr", key, table)
        scores = (scores * query.shape[-1] ** -0.5).masked_fill(hidden, torch.finfo(scores.dtype).min)
        mixed: Tensor = self.dropout(scores.softmax(dim=-1)) @ value  # (n, h, t, d)
        return mixed.transpose(1, 2).flatten(2)


class Residual(nn.Module):
    """A projection back to the width, added to what went in, then normed."""

    def __init__(self, inner: int, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(inner, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)

    def forward(self, inner: Tensor, vectors: Tensor) -> Tensor:
        normed: Tensor = self.LayerNorm(self.dropout(self.dense(inner)) + vectors)
        return normed


class Layer(nn.Module):
    """Attention and a feed-forward network, under the names of RoBERTa."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, units = config.hidden_size, config.intermediate_size
        self.attention = nn.ModuleDict({"self": SelfAttention(config), "output": Residual(width, config)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, units)})
        self.output, self.activation = Residual(units, config), ACT2FN[config.hidden_act]

    def forward(self, vectors: Tensor, hidden: Tensor) -> Tensor:
        vectors = self.attention["output"](self.attention["self"](vectors, hidden), vectors)
        mixed: Tensor = self.output(self.activation(self.intermediate["dense"](vectors)), vectors)
        return mixed


class Encoder(nn.Module):
    """Embeddings and layers."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        width, self.positions = config.hidden_size, config.position_embedding_type
        tables = {
            "word_embeddings": nn.Embedding(config.vocab_size, width),
            "token_type_embeddings": nn.Embedding(1, width),
            "LayerNorm": nn.LayerNorm(width, eps=config.layer_norm_eps),
        }
        if self.positions == "absolute":
            tables["position_embeddings"] = nn.Embedding(config.max_position_embeddings, width)
        self.embeddings, self.dropout = nn.ModuleDict(tables), nn.Dropout(config.hidden_dropout_prob)
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList([Layer(config) for _ in range(config.num_hidden_layers)])})

    def forward(self, input_ids: Tensor) -> Tensor:
        """Vectors (n, t, w) of ids (n, t)."""
        real = input_ids != PAD_ID
        types: Any = self.embeddings["token_type_embeddings"]
        vectors = self.embeddings["word_embeddings"](input_ids) + types.weight[0]
        if self.positions == "absolute":
            vectors = vectors + self.embeddings["position_embeddings"](real.long().cumsum(dim=1) * real + PAD_ID)
        vectors = self.dropout(self.embeddings["LayerNorm"](vectors))
        for layer in self.encoder["layer"]:  # type: ignore[attr-defined]
            vectors = layer(vectors, ~real[:, None, None, :])
        return vectors  # type: ignore[no-any-return]


class Head(nn.Module):
    """RoBERTa's head over the vectors of an input's functions, one after the other."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.num_functions * config.hidden_size, config.hidden_size)
        self.out_proj = nn.Linear(config.hidden_size, config.num_labels)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.is_symmetric = config.num_functions == 2 and getattr(config, "pair_head", "") == "symmetric"

    def forward(self, joined: Tensor) -> Tensor:
        if self.is_symmetric:
            first, second = joined.chunk(2, dim=1)
            joined = torch.cat([(first - second).abs(), first * second], dim=1)
        inner = self.dense(joined)
        inner = torch.relu(inner) if self.is_symmetric else torch.tanh(inner)
        logits: Tensor = self.out_proj(self.dropout(inner))
        return logits


class ExportedStudent(PreTrainedModel):
    """The student; for pairs, rows 2k and 2k + 1 of `input_ids` are the two functions of input k."""

    config_class = ExportedConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.roberta, self.classifier = Encoder(config), Head(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def encode(self, input_ids: Tensor) -> Tensor:
        """Vectors (functions, w) of the first tokens of ids (functions, tokens)."""
        vectors: Tensor = self.roberta(input_ids)[:, 0]
        return vectors

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, **_: Any) -> SequenceClassifierOutput:
        """Logits (inputs, labels), and the cross-entropy with `labels` where given."""
        config: Any = self.config
        vectors = self.encode(input_ids)
        logits: Tensor = self.classifier(vectors.reshape(-1, config.num_functions * vectors.shape[-1]))
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, source: Any, *_: Any, config: Any = None, **__: Any
    ) -> ExportedStudent:
        """The student of a directory or of a repository of the hub, in float32 whatever its precision on disk."""
        student = cls(config if config is not None else ExportedConfig.from_pretrained(source))
        weights = read_weights(Path(str(cached_file(source, "model.safetensors"))))
        student.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in weights.items()})
        student.eval()  # type: ignore[no-untyped-call]
        return student
