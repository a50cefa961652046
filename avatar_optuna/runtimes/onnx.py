"""What students in ONNX share, of any family: onnxruntime computes vectors and logits."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime

from avatar_optuna.runtimes.student import Floats, Student

_BATCH = 32  # functions of like length that are encoded at once


class OnnxStudent(Student):
    """A student of `encode.onnx` and `classify.onnx`. A subclass says how functions become ids."""

    pad_id = 0

    def __init__(self, directory: str | Path) -> None:
        super().__init__(directory)
        self._encoder, self._head = (
            onnxruntime.InferenceSession(str(self.directory / f"{name}.onnx"), providers=["CPUExecutionProvider"])
            for name in ("encode", "classify")
        )

    def ids(self, functions: Sequence[str]) -> list[list[int]]:
        """Of each function."""
        raise NotImplementedError  # by a subclass

    def encode(self, functions: Sequence[str]) -> Floats:
        rows = self.ids(functions)
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        vectors: dict[int, Floats] = {}
        for start in range(0, len(order), _BATCH):
            places = order[start : start + _BATCH]
            longest = max(len(rows[place]) for place in places)
            padded = [rows[place] + [self.pad_id] * (longest - len(rows[place])) for place in places]
            (encoded,) = self._encoder.run(["vectors"], {"input_ids": np.asarray(padded, dtype=np.int64)})
            vectors |= dict(zip(places, encoded, strict=True))
        return np.stack([vectors[place] for place in range(len(rows))])

    def classify(self, joined: Floats) -> Floats:
        (logits,) = self._head.run(["logits"], {"joined": joined})
        return np.asarray(logits)
