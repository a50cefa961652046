"""A hashed student for transformers, self-contained once it is joined with what it imports of `runtimes`.

`export --format hf` writes it beside the weights; `trust_remote_code=True` runs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput
from transformers.utils.hub import cached_file

from avatar_optuna.runtimes.grams import FIRST_ID, MAX_COUNT, PAD_ID, gram_ids
from avatar_optuna.runtimes.weights import read_weights


class ExportedConfig(PretrainedConfig):
    """What `config.json` says."""

    model_type = "avatar-hashed"


class Layer(nn.Module):
    """`x + output(relu(dense(norm(x))))`."""

    def __init__(self, size: int, units: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.dropout = nn.LayerNorm(size), nn.Dropout(dropout)
        self.dense, self.output = nn.Linear(size, units), nn.Linear(units, size)

    def forward(self, vectors: Tensor) -> Tensor:
        added: Tensor = self.output(self.dropout(torch.relu(self.dense(self.norm(vectors)))))
        return vectors + added


class Head(nn.Module):
    """The classifier; what it says of two functions does not depend on their order."""

    def __init__(self, size: int, arity: int, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.dense, self.out_proj = nn.Linear(arity * size, size), nn.Linear(size, num_labels)
        self.arity, self.dropout = arity, nn.Dropout(dropout)

    def forward(self, joined: Tensor) -> Tensor:
        if self.arity == 2:
            first, second = joined.chunk(2, dim=1)
            joined = torch.cat([(first - second).abs(), first * second], dim=1)
        logits: Tensor = self.out_proj(self.dropout(torch.relu(self.dense(self.dropout(joined)))))
        return logits


class ExportedStudent(PreTrainedModel):
    """A table of hashed n-grams, pooled over a function, residual layers, and a head."""

    config_class = ExportedConfig

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        size, dropout = config.width * (2 if config.pooling == "mean+max" else 1), config.hidden_dropout_prob
        self.table, self.norm = nn.Embedding(config.buckets, config.width), nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)
        layers = range(config.num_hidden_layers)
        self.layers = nn.ModuleList([Layer(size, config.intermediate_size, dropout) for _ in layers])
        self.classifier = Head(size, config.arity, len(config.label_names), dropout)
        self.post_init()  # type: ignore[no-untyped-call]

    def prepare(self, functions: Sequence[str]) -> dict[str, Tensor]:
        """What `forward` takes, of functions: for pairs the two functions of an input one after the other."""
        config: Any = self.config
        longest = config.max_sequence_length
        rows = [gram_ids(function, config.grams, config.buckets, longest) or [PAD_ID] for function in functions]
        width = max(map(len, rows))
        return {"input_ids": torch.tensor([row + [PAD_ID] * (width - len(row)) for row in rows])}

    def encode(self, input_ids: Tensor) -> Tensor:
        """Vectors (functions, k) of ids (functions, n-grams)."""
        config: Any = self.config
        is_gram = input_ids >= FIRST_ID
        places = (input_ids - FIRST_ID).clamp_min(0)
        weights = torch.log1p(places % MAX_COUNT + 1.0) * is_gram
        rows = self.table(places // MAX_COUNT)
        pooled = (weights.unsqueeze(1) @ rows).squeeze(1) / weights.sum(dim=1, keepdim=True).clamp_min(1e-6)
        if config.pooling == "mean+max":
            highest = rows.masked_fill(~is_gram.unsqueeze(-1), -torch.inf).amax(dim=1).nan_to_num(neginf=0.0)
            pooled = torch.cat([pooled, highest], dim=1)
        vectors: Tensor = self.dropout(self.norm(pooled))
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors

    def forward(self, input_ids: Tensor, labels: Tensor | None = None, **_: Any) -> SequenceClassifierOutput:
        """Logits (inputs, labels), and the cross-entropy with `labels` where given."""
        config: Any = self.config
        vectors = self.encode(input_ids)
        logits: Tensor = self.classifier(vectors.reshape(-1, config.arity * vectors.shape[-1]))
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
