"""Runs a `hashed` student with NumPy alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avatar_optuna.runtimes.grams import FIRST_ID, MAX_COUNT, gram_ids
from avatar_optuna.runtimes.student import Floats, run
from avatar_optuna.runtimes.weights import NumpyStudent

FILES = ("config.json", "model.safetensors")
REQUIRES = ("numpy",)


class HashedStudent(NumpyStudent):
    """A table of buckets, pooled over a function, residual layers, and a head."""

    def encode(self, functions: Sequence[str]) -> Floats:
        vectors = self.norm(np.stack([self._pooled(function) for function in functions]), "norm")
        for layer in range(self.config["num_hidden_layers"]):
            inner = self.linear(self.norm(vectors, f"layers.{layer}.norm"), f"layers.{layer}.dense")
            vectors = vectors + self.linear(np.maximum(inner, 0), f"layers.{layer}.output")
        return vectors

    def classify(self, joined: Floats) -> Floats:
        if self.arity == 2:
            first, second = np.split(joined, 2, axis=1)
            joined = np.concatenate([np.abs(first - second), first * second], axis=1)
        inner = self.linear(joined, "classifier.dense")
        return self.linear(np.maximum(inner, 0), "classifier.out_proj")

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        return [len(self._ids(function, self.window + 1)) > self.window for function in functions]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        config = self.config
        units, size = config["intermediate_size"], config["width"] * {"mean": 1, "mean+max": 2}[config["pooling"]]
        layers = [f"layers.{layer}" for layer in range(config["num_hidden_layers"])]
        linears = {"classifier.dense": (size, self.arity * size), "classifier.out_proj": (len(self.label_names), size)}
        linears |= {f"{layer}.dense": (units, size) for layer in layers}
        linears |= {f"{layer}.output": (size, units) for layer in layers}
        norms = ["norm", *(f"{layer}.norm" for layer in layers)]
        return {
            "table.weight": (config["buckets"], config["width"]),
            **{f"{name}.{part}": (size,) for name in norms for part in ("weight", "bias")},
            **{f"{name}.weight": shape for name, shape in linears.items()},
            **{f"{name}.bias": shape[:1] for name, shape in linears.items()},
        }

    def _ids(self, function: str, longest: int) -> list[int]:
        return gram_ids(function, self.config["grams"], self.config["buckets"], longest)

    def _pooled(self, function: str) -> Floats:
        """The weighted mean of a function's rows of the table, and the highest of each column."""
        places = np.asarray(self._ids(function, self.window), dtype=np.int64) - FIRST_ID
        rows = self.weights["table.weight"][places // MAX_COUNT]
        weights = np.log1p(places % MAX_COUNT + 1).astype(np.float32)
        mean = weights @ rows / max(weights.sum(), np.float32(1e-6))
        if self.config["pooling"] == "mean":
            return np.asarray(mean)
        return np.concatenate([mean, rows.max(axis=0) if len(rows) else np.zeros_like(mean)])


def load(directory: str | Path = Path(__file__).parent) -> HashedStudent:
    """The student of a directory, by default that of this file."""
    return HashedStudent(directory)


if __name__ == "__main__":
    sys.exit(run(load(), sys.argv[1:]))
