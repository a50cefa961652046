"""A student as `inference` runs it, by torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.distillation._classifier import Classifier, classify_all


class TorchStudent:
    """A classifier, asked in arrays.

    Args:
        classifier: Its network and tokenizer.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.label_names, self.arity = classifier.label_names, classifier.task_shape.arity
        self.language = classifier.language
        self.threshold, self.temperature = classifier.threshold, classifier.temperature
        self.window = classifier.max_sequence_length

    @classmethod
    def load(cls, directory: Path, *, device: str = "cpu", threads: int | None = None) -> TorchStudent:
        """A student or a fine-tuned checkpoint (see `Classifier.load`)."""
        return cls(Classifier.load(directory, device=device, threads=threads))

    def encode(self, functions: Sequence[str]) -> npt.NDArray[np.float32]:
        """Vectors (functions, k)."""
        return self.classifier.encode(functions)

    def classify(self, joined: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (inputs, labels) of joined vectors (inputs, arity k)."""
        vectors = torch.from_numpy(joined).to(self.classifier.device)
        rows = np.arange(len(joined))[:, None]
        return classify_all(self.classifier.network, vectors, rows).cpu().numpy()

    def is_truncated(self, functions: Sequence[str]) -> list[bool]:
        """Of each function, whether it is longer than the window."""
        return [bool(is_long) for is_long in self.classifier.is_truncated(functions)]
