"""What the runtimes of all families share: the files of a student read with NumPy alone, and a command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_TYPES = {"F32": "<f4", "F16": "<f2", "I8": "<i1", "U8": "<u1"}
_GROUP_SIZE = 32  # weights of a row that share a scale, at int4


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
    scales = np.repeat(scale.astype(np.float32), _GROUP_SIZE, axis=1)[:, :columns]
    return (halves.astype(np.float32) - np.float32(8)) * scales


class NumpyStudent:
    """A student of any family, read from its directory. A family's class has the four methods that say so."""

    def __init__(self, directory: str | Path) -> None:
        folder = Path(directory)
        manifest = json.loads((folder / "avatar.json").read_text(encoding="utf-8"))
        self.weights = read_weights(folder / "model.safetensors")
        self.config: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.arity = 2 if manifest["form"] == "pair" else 1  # functions an input
        self.label_names = tuple(manifest["label_names"])
        self.language = str(manifest.get("language", ""))
        self.window = int(manifest["max_sequence_length"])  # tokens of a function that are read at most
        self.threshold = float(manifest.get("threshold", 0.5))  # of two labels, the second from this probability on
        if {name: tensor.shape for name, tensor in self.weights.items()} != self.shapes():
            raise ValueError(f"{folder}: model.safetensors must hold the weights that config.json describes")

    def encode(self, functions: Sequence[str]) -> Floats:
        """Vectors (functions, k)."""
        raise NotImplementedError  # by the family

    def classify(self, joined: Floats) -> Floats:
        """Logits (inputs, labels) of the vectors of each input, one after the other: (inputs, arity k)."""
        raise NotImplementedError  # by the family

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        """Of each function, whether it is longer than the window: only its beginning is read."""
        raise NotImplementedError  # by the family

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of each tensor that the configuration describes."""
        raise NotImplementedError  # by the family

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

    def predict(self, inputs: Sequence[str | Sequence[str]]) -> npt.NDArray[np.float64]:
        """Probabilities (inputs, labels) of functions, or of pairs of them; each function is encoded once."""
        rows = [(entry,) if isinstance(entry, str) else tuple(entry) for entry in inputs]
        if any(len(row) != self.arity for row in rows):
            raise ValueError(f"each input must hold {self.arity} functions")
        places = {text: place for place, text in enumerate(dict.fromkeys(text for row in rows for text in row))}
        if not rows:
            return np.zeros((0, len(self.label_names)))
        vectors = self.encode(list(places))
        joined = vectors[[places[text] for row in rows for text in row]].reshape(len(rows), -1)
        logits = self.classify(joined).astype(np.float64)
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def label(self, probabilities: npt.NDArray[np.float64]) -> int:
        """Number of the label that one input's probabilities give."""
        return int(probabilities[1] >= self.threshold) if len(probabilities) == 2 else int(probabilities.argmax())


def run(student: NumpyStudent, arguments: Sequence[str]) -> int:
    """The command line: a line for each file, or for two of them as a pair; "-" is standard input."""
    if not arguments or len(arguments) % student.arity:
        sys.stderr.write(f"usage: python student.py {'FILE' if student.arity == 1 else 'FILE FILE'} ...\n")
        return 2
    texts = [sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig") for name in arguments]
    inputs = [texts[at : at + student.arity] for at in range(0, len(texts), student.arity)]
    for place, probabilities in enumerate(student.predict(inputs)):
        label = student.label(probabilities)
        shown = probabilities[1 if len(probabilities) == 2 else label]
        files = " ".join(arguments[place * student.arity : (place + 1) * student.arity])
        sys.stdout.write(f"{label} {student.label_names[label]}  {shown:.3f}  {files}\n")
    if number := sum(student.is_truncated(texts)):
        sys.stderr.write(f"of {number} of {len(texts)} functions only the first {student.window} tokens were read\n")
    return 0
