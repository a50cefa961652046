"""The weights of a student, read and multiplied with NumPy alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.runtimes.student import Floats, Student

_TYPES = {"F32": "<f4", "F16": "<f2", "I8": "<i1", "U8": "<u1"}
GROUP_SIZE = 32  # weights of a row that share a scale, at int4


def read_tensors(path: Path) -> tuple[dict[str, npt.NDArray[Any]], dict[str, int]]:
    """The tensors of a safetensors file as they are stored, and the columns of those in int4."""
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    columns = json.loads(header.pop("__metadata__", {}).get("columns", "{}"))
    tensors: dict[str, npt.NDArray[Any]] = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        tensor = np.frombuffer(data[start + first : start + last], dtype=_TYPES[entry["dtype"]])
        tensors[name] = tensor.reshape(entry["shape"])
    return tensors, columns


def read_weights(path: Path) -> dict[str, Floats]:
    """The tensors of a safetensors file in float32, those of int8 and int4 multiplied by their scales."""
    tensors, columns = read_tensors(path)
    return {
        name: _unpacked(tensor, tensors.get(f"{name}.scale"), columns.get(name))
        for name, tensor in tensors.items()
        if not (name.endswith(".scale") and name.removesuffix(".scale") in tensors)
    }


def _unpacked(tensor: npt.NDArray[Any], scale: npt.NDArray[Any] | None, columns: int | None) -> Floats:
    if scale is None:
        return tensor.astype(np.float32)
    if columns is None:  # int8: a scale for each row
        return tensor.astype(np.float32) * scale.astype(np.float32)[:, None]
    halves = np.stack([tensor & 15, tensor >> 4], axis=2).reshape(len(tensor), -1)[:, :columns]
    scales = np.repeat(scale.astype(np.float32), GROUP_SIZE, axis=1)[:, :columns]
    return (halves.astype(np.float32) - np.float32(8)) * scales


class NumpyStudent(Student):
    """A student whose weights NumPy multiplies."""

    def __init__(self, directory: str | Path) -> None:
        super().__init__(directory)
        self.weights = read_weights(self.directory / "model.safetensors")
        if {name: tensor.shape for name, tensor in self.weights.items()} != self.shapes():
            raise ValueError(f"{directory}: model.safetensors must hold the weights that config.json describes")

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor that the configuration describes."""
        raise NotImplementedError  # by a subclass

    def linear(self, vectors: Floats, name: str) -> Floats:
        """Vectors (..., k) times a layer's matrix, and its bias added."""
        product: Floats = vectors @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]
        return product

    def norm(self, vectors: Floats, name: str, epsilon: float = 1e-5) -> Floats:
        """Layer normalisation of vectors (..., k)."""
        centred = vectors - vectors.mean(axis=-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(epsilon))
        normed: Floats = scaled * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]
        return normed
