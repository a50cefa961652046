"""Runs a `transformer` student with NumPy and tokenizers."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avatar_optuna.runtimes.student import Floats, run
from avatar_optuna.runtimes.tokens import TokenReader
from avatar_optuna.runtimes.weights import NumpyStudent

FILES = ("config.json", "model.safetensors", "tokenizer.json")
REQUIRES = ("numpy", "tokenizers")
_POSITIONS = ("absolute", "relative_key", "relative_key_query")
_POSITION_OFFSET = 2  # rows of the position table before the first token's


class TransformerStudent(NumpyStudent):
    """An encoder like RoBERTa's, one function at a time, and a head over the vectors of the first tokens."""

    def __init__(self, directory: str | Path) -> None:
        super().__init__(directory)
        self.reader = TokenReader(self.directory, self.window)
        config = self.config
        if config["hidden_size"] % config["num_attention_heads"] or config["hidden_act"] not in _ACTIVATIONS:
            raise ValueError(f"{directory}: config.json must describe a student of the family transformer")
        if self.positions not in _POSITIONS or self.window + _POSITION_OFFSET > config["max_position_embeddings"]:
            raise ValueError(
                f"{directory}: config.json must have known positions, and one for each token of the window"
            )
        if config.get("pair_head", "concatenation") not in ("concatenation", "symmetric"):
            raise ValueError(f"{directory}: config.json must have a known pair_head")
        if self.reader.largest_id >= config["vocab_size"]:
            raise ValueError(f"{directory}: tokenizer.json must have ids below the vocab_size of config.json")

    @property
    def positions(self) -> str:
        """absolute, relative_key or relative_key_query."""
        return str(self.config.get("position_embedding_type", "absolute"))

    def encode(self, functions: Sequence[str]) -> Floats:
        return np.stack([self._vector(np.asarray(ids)) for ids in self.reader.ids(functions)])

    def classify(self, joined: Floats) -> Floats:
        if self.arity == 2 and self.config.get("pair_head") == "symmetric":
            first, second = np.split(joined, 2, axis=1)
            joined = np.concatenate([np.abs(first - second), first * second], axis=1)
            inner = np.maximum(self.linear(joined, "classifier.dense"), 0)
        else:
            inner = np.tanh(self.linear(joined, "classifier.dense"))
        return self.linear(inner, "classifier.out_proj")

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        return self.reader.is_truncated(functions)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        config = self.config
        width, inner, positions = config["hidden_size"], config["intermediate_size"], config["max_position_embeddings"]
        layers = [f"roberta.encoder.layer.{layer}" for layer in range(config["num_hidden_layers"])]
        linears = {
            "classifier.dense": (width, self.arity * width),
            "classifier.out_proj": (len(self.label_names), width),
        }
        tables = {"word_embeddings": config["vocab_size"], "token_type_embeddings": 1}
        tables |= {"position_embeddings": positions} if self.positions == "absolute" else {}
        norms, distances = ["roberta.embeddings.LayerNorm"], {}
        for layer in layers:
            square = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
            linears |= dict.fromkeys([*square, f"{layer}.attention.output.dense"], (width, width))
            linears |= {f"{layer}.intermediate.dense": (inner, width), f"{layer}.output.dense": (width, inner)}
            norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
            if self.positions != "absolute":
                shape = (2 * (positions - _POSITION_OFFSET) - 1, width // config["num_attention_heads"])
                distances[f"{layer}.attention.self.distance_embedding.weight"] = shape
        return {
            **{f"roberta.embeddings.{name}.weight": (rows, width) for name, rows in tables.items()},
            **{f"{name}.{part}": (width,) for name in norms for part in ("weight", "bias")},
            **distances,
            **{f"{name}.weight": shape for name, shape in linears.items()},
            **{f"{name}.bias": shape[:1] for name, shape in linears.items()},
        }

    def _vector(self, ids: npt.NDArray[np.int64]) -> Floats:
        """The first token's vector (w,) of a function's ids (t,)."""
        prefix, epsilon = "roberta.embeddings", self.config["layer_norm_eps"]
        vectors = self.weights[f"{prefix}.word_embeddings.weight"][ids]
        vectors = vectors + self.weights[f"{prefix}.token_type_embeddings.weight"][0]
        if self.positions == "absolute":
            positions = np.arange(len(ids)) + _POSITION_OFFSET
            vectors = vectors + self.weights[f"{prefix}.position_embeddings.weight"][positions]
        vectors = self.norm(vectors, f"{prefix}.LayerNorm", epsilon)
        for layer in range(self.config["num_hidden_layers"]):
            name = f"roberta.encoder.layer.{layer}"
            mixed = self.linear(self._attention(vectors, f"{name}.attention.self"), f"{name}.attention.output.dense")
            vectors = self.norm(mixed + vectors, f"{name}.attention.output.LayerNorm", epsilon)
            inner = _ACTIVATIONS[self.config["hidden_act"]](self.linear(vectors, f"{name}.intermediate.dense"))
            mixed = self.linear(inner, f"{name}.output.dense")
            vectors = self.norm(mixed + vectors, f"{name}.output.LayerNorm", epsilon)
        return np.asarray(vectors[0])

    def _attention(self, vectors: Floats, name: str) -> Floats:
        tokens, width = vectors.shape
        heads = self.config["num_attention_heads"]
        query, key, value = (
            self.linear(vectors, f"{name}.{part}").reshape(tokens, heads, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )  # (h, t, d) each
        scores = query @ key.transpose(0, 2, 1)  # (h, t, t)
        if self.positions != "absolute":
            table = self.weights[f"{name}.distance_embedding.weight"]
            middle, places = len(table) // 2, np.arange(tokens)
            table = table[middle - tokens + 1 : middle + tokens]  # (2 t - 1, d), row t - 1 is distance 0
            distances = places[:, None] - places + tokens - 1  # (t, t)
            scores = scores + (query @ table.T)[:, places[:, None], distances]
            if self.positions == "relative_key_query":
                scores = scores + (key @ table.T)[:, places, distances]
        scores = scores * np.float32(query.shape[-1] ** -0.5)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights = weights / weights.sum(axis=-1, keepdims=True)
        return np.asarray((weights @ value).transpose(1, 0, 2).reshape(tokens, width))


def _gelu(values: Floats) -> Floats:
    """The exact one: the error function as by Abramowitz and Stegun, 7.1.26, to 1.5e-7."""
    size = np.abs(values) * np.float32(math.sqrt(0.5))
    step = 1 / (1 + 0.3275911 * size)
    series = step * np.polyval([1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592], step)
    return np.asarray(values * 0.5 * (1 + np.sign(values) * (1 - series * np.exp(-size * size))), dtype=np.float32)


_ACTIVATIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "gelu": _gelu,
    "relu": lambda values: np.maximum(values, 0),
    "silu": lambda values: values * 0.5 * (1 + np.tanh(0.5 * values)),
    "gelu_new": lambda values: values * 0.5 * (1 + np.tanh(0.7978845608 * (values + 0.044715 * values**3))),
}


def load(directory: str | Path = Path(__file__).parent) -> TransformerStudent:
    """The student of a directory, by default that of this file."""
    return TransformerStudent(directory)


if __name__ == "__main__":
    sys.exit(run(load(), sys.argv[1:]))
