"""What a step reads and what it is told: texts, labels and the teacher's answers, all on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avatar_optuna.distillation._losses import UNKNOWN, ListedPairs, all_pairs
from avatar_optuna.distillation._recipe import Examples, SoftLabels


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the logits of a step are held to.

    Args:
        labels: Places of labels, or `UNKNOWN`, shape (m,).
        teacher: The teacher's logits, shape (m, labels), or None.
        counted: Which inputs count for the teacher's part, shape (m,), or None: all.
    """

    labels: Tensor
    teacher: Tensor | None
    counted: Tensor | None = None


class Lesson:
    """Turns what a step was dealt (functions, or listed inputs) into texts, joined vectors and targets.

    Args:
        soft_labels: The teacher's, or None. With its function vectors, pairs are learnt from all at once.
        num_functions: Functions of the split, views not counted.
    """

    def __init__(self, train: Examples, soft_labels: SoftLabels | None, *, num_functions: int) -> None:
        device = train.tokens.ids.device
        self.soft_labels, self.num_functions = soft_labels, num_functions
        self.arity = train.inputs.shape[1]
        self.has_views = len(train.tokens) > num_functions
        self.learns_all_pairs = self.arity == 2 and soft_labels is not None and soft_labels.vectors is not None
        self.listed = ListedPairs(train.inputs, train.labels, len(train.tokens), device) if self.arity == 2 else None
        self.host_inputs = train.inputs
        self.inputs = torch.from_numpy(train.inputs.astype(np.int64)).to(device)
        self.labels = torch.from_numpy(train.labels).to(device)
        self.reading = torch.arange(num_functions, device=device)

    def read(self, reading: npt.NDArray[np.int64]) -> None:
        """Take a text for each function, shape (functions,), until the next call (see `plan_reading`)."""
        self.reading.copy_(torch.from_numpy(reading))

    def texts(self, dealt: Tensor) -> Tensor:
        """Texts to encode: (n,) of n functions where all pairs are learnt from, else (m f,) of m inputs."""
        return self.reading[dealt if self.learns_all_pairs else self.inputs[dealt]].flatten()

    def joined(self, vectors: Tensor) -> Tensor:
        """Vectors of the texts, joined for the head: (n n, 2 k) of all ordered pairs, or (m, f k) of inputs."""
        return all_pairs(vectors) if self.learns_all_pairs else vectors.reshape(-1, self.arity * vectors.shape[1])

    def targets(self, dealt: Tensor, texts: Tensor) -> Targets:
        """Labels and the teacher's answers, in the order of `joined`; a function is no partner of its own."""
        if self.learns_all_pairs and self.listed is not None:
            is_other = ~torch.eye(len(texts), dtype=torch.bool, device=texts.device).flatten()  # (n n,)
            labels = torch.where(is_other, self.listed.of(all_pairs(texts[:, None])), UNKNOWN)
            return Targets(labels=labels, teacher=self._asked(texts), counted=is_other)
        labels = self.labels[dealt]
        if not self.has_views:
            return Targets(labels=labels, teacher=None if self.soft_labels is None else self.soft_labels.logits[dealt])
        is_own = (texts < self.num_functions).view(-1, self.arity).all(dim=1)
        return Targets(labels=torch.where(is_own, labels, UNKNOWN), teacher=self._asked(texts))

    @torch.no_grad()
    def _asked(self, texts: Tensor) -> Tensor:
        """What the teacher says of joined texts, logits (m, labels)."""
        soft = self.soft_labels
        if soft is None or soft.vectors is None or soft.classify is None:
            raise ValueError("inputs that are not listed need the teacher's function vectors")
        return soft.classify(self.joined(soft.vectors[texts]))
