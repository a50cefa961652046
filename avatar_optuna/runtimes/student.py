"""What the runtimes of all families share: inputs, answers, and a command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Student:
    """A student of any family. Subclasses say how functions become vectors, and vectors logits."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        manifest = json.loads((self.directory / "avatar.json").read_text(encoding="utf-8"))
        self.config: dict[str, Any] = json.loads((self.directory / "config.json").read_text(encoding="utf-8"))
        self.arity = 2 if manifest["form"] == "pair" else 1  # functions an input
        self.label_names = tuple(manifest["label_names"])
        self.language = str(manifest.get("language", ""))
        self.window = int(manifest["max_sequence_length"])  # tokens of a function that are read at most
        self.threshold = float(manifest.get("threshold", 0.5))  # of two labels, the second from this probability on
        self.temperature = float(manifest.get("temperature", 1.0))  # logits are divided by it before the softmax

    def encode(self, functions: Sequence[str]) -> Floats:
        """Vectors (functions, k)."""
        raise NotImplementedError  # by a subclass

    def classify(self, joined: Floats) -> Floats:
        """Logits (inputs, labels) of the vectors of each input, one after the other: (inputs, arity k)."""
        raise NotImplementedError  # by a subclass

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        """Of each function, whether it is longer than the window: only its beginning is read."""
        raise NotImplementedError  # by a subclass

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
        logits = self.classify(joined).astype(np.float64) / self.temperature
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def label(self, probabilities: npt.NDArray[np.float64]) -> int:
        """Number of the label that one input's probabilities give."""
        return int(probabilities[1] >= self.threshold) if len(probabilities) == 2 else int(probabilities.argmax())


def run(student: Student, arguments: Sequence[str]) -> int:
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
