"""The network of a `hashed` student."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from avatar_optuna.exceptions import InputError
from avatar_optuna.students._precision import FULL_PRECISION
from avatar_optuna.students.hashed.grams import FIRST_ID, MAX_COUNT
from avatar_optuna.students.heads import SymmetricHead
from avatar_optuna.students.weights import load_weights, save_weights

_OF_TRANSFORMERS = ("auto_map", "id2label", "label2id")  # what `export --format hf` adds


@dataclass(frozen=True, kw_only=True)
class HashedConfig:
    """What `config.json` of a hashed student says, beside its `model_type`.

    Args:
        grams: Kind of n-grams (see `grams.GRAMS`).
        buckets: Rows of the table.
        width: Columns of the table.
        pooling: mean, or mean+max: the mean and the highest of each column.
        num_hidden_layers: Residual layers over the pooled vector.
        intermediate_size: Units of each.
        hidden_dropout_prob: On the pooled vector and within residual layers.
        max_sequence_length: Distinct buckets of a function that are read at most.
        arity: Functions an input.
        label_names: In their order.
        precision: Of the weights on disk (see `quantization`).
    """

    grams: str
    buckets: int
    width: int
    pooling: str
    num_hidden_layers: int
    intermediate_size: int
    hidden_dropout_prob: float
    max_sequence_length: int
    arity: int
    label_names: tuple[str, ...]
    precision: str = FULL_PRECISION

    @property
    def vector_size(self) -> int:
        """Components of a function's vector."""
        return self.width * (2 if self.pooling == "mean+max" else 1)


class ResidualLayer(nn.Module):
    """`x + output(relu(dense(norm(x))))`."""

    def __init__(self, size: int, units: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(size)
        self.dense = nn.Linear(size, units)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(units, size)

    def forward(self, vectors: Tensor) -> Tensor:
        """Vectors (n, k) to vectors (n, k)."""
        return vectors + self.output(self.dropout(torch.relu(self.dense(self.norm(vectors)))))  # type: ignore[no-any-return]


class HashedNetwork(nn.Module):
    """A table of buckets, pooled over a function, residual layers, and a head.

    A bucket weighs the logarithm of one more than its occurrences in the function.
    """

    def __init__(self, config: HashedConfig) -> None:
        super().__init__()
        self.config = config
        self.weights: Tensor
        self.table = nn.Embedding(config.buckets, config.width)
        nn.init.normal_(self.table.weight, std=config.width**-0.5)
        size = config.vector_size
        self.norm = nn.LayerNorm(size)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(
            ResidualLayer(size, config.intermediate_size, config.hidden_dropout_prob)
            for _ in range(config.num_hidden_layers)
        )
        self.classifier = SymmetricHead(size, config.arity, len(config.label_names), config.hidden_dropout_prob)
        self.register_buffer("weights", torch.log1p(torch.arange(1.0, MAX_COUNT + 1)), persistent=False)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, k) of functions given as ids (n, t), see `grams.gram_ids`; padding and masks count nothing."""
        is_gram = input_ids >= FIRST_ID  # (n, t)
        places = (input_ids - FIRST_ID).clamp_min(0)  # (n, t)
        weights = self.weights[places % MAX_COUNT] * is_gram  # (n, t)
        rows = self.table(places // MAX_COUNT)  # (n, t, w)
        total = weights.sum(dim=1, keepdim=True).clamp_min(1e-6)  # (n, 1)
        pooled = torch.bmm(weights.to(rows.dtype).unsqueeze(1), rows).squeeze(1) / total  # (n, w)
        if self.config.pooling == "mean+max":
            highest = rows.masked_fill(~is_gram.unsqueeze(-1), -torch.inf).amax(dim=1)  # (n, w)
            pooled = torch.cat([pooled, highest.nan_to_num(neginf=0.0)], dim=1)  # (n, 2 w)
        vectors = self.dropout(self.norm(pooled))  # (n, k)
        for layer in self.layers:
            vectors = layer(vectors)
        return vectors  # type: ignore[no-any-return]

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, f k)."""
        return self.classifier(joined)  # type: ignore[no-any-return]


def save_network(network: HashedNetwork, directory: Path) -> None:
    """Write `config.json` and `model.safetensors`."""
    config = {"model_type": "avatar-hashed", **asdict(network.config)}
    (directory / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    save_weights(network, directory / "model.safetensors", network.config.precision)


def load_config(directory: Path) -> HashedConfig:
    """What `save_network` wrote.

    Raises:
        InputError: It is not the configuration of a hashed student.
    """
    try:
        values = json.loads((directory / "config.json").read_text(encoding="utf-8"))
        del values["model_type"]
        values = {name: value for name, value in values.items() if name not in _OF_TRANSFORMERS}
        return HashedConfig(**{**values, "label_names": tuple(values["label_names"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{directory}: config.json must describe a hashed student: {error}") from error


def load_network(directory: Path) -> HashedNetwork:
    """What `save_network` wrote, in evaluation mode.

    Raises:
        InputError: The weights are not those of the configuration.
    """
    network = HashedNetwork(load_config(directory))
    try:
        load_weights(network, directory / "model.safetensors")
    except Exception as error:
        raise InputError(f"{directory}: model.safetensors must hold the weights of config.json: {error}") from error
    return network.eval()
