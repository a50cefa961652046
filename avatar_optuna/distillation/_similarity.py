"""A pair head that starts as a similarity.

The head sees two vectors joined, and has to find out by itself that what counts is how they differ: from random weights
that takes thousands of pairs (seen here: 3,000 pairs and five epochs at chance). Its weights can say so from the start.
Half of its units compute tanh(d + 1), the other half tanh(d - 1), for differences d in units of their spread; their
difference is high where d is near 0. Those of a symmetric head, which is given |d|, compute max(1 - |d|, 0). Fisher's
linear discriminant of their sum, fitted on the training labels, is the first guess; with more than two labels, the mean
of the discriminants between a label and each of the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avatar_optuna.distillation._randomness import seeded
from avatar_optuna.distillation._recipe import Examples
from avatar_optuna.students.transformer.network import StudentForSequenceClassification

Indices = npt.NDArray[np.int64]

_PAIRS = 256
_NOISE = 0.1
_BATCH = 32


@torch.no_grad()
def start_as_similarity(student: StudentForSequenceClassification, train: Examples, *, seed: int) -> None:
    """Set the weights of an untrained pair head; the encoder stays as it is."""
    rows = np.random.default_rng(seed).permutation(len(train.labels))[:_PAIRS]
    functions, places = np.unique(train.inputs[rows].astype(np.int64), return_inverse=True)
    vectors = _encoded(student, train, functions, seed)  # (functions, w)
    pairs = torch.from_numpy(places.reshape(len(rows), 2)).to(vectors.device)
    difference = vectors[pairs[:, 0]] - vectors[pairs[:, 1]]  # (m, w)
    labels = torch.from_numpy(train.labels[rows]).to(vectors.device)
    if student.config.is_symmetric:
        _set_symmetric_head(student, difference, labels)
        return
    half = student.classifier.dense.out_features // 2
    spread = difference[:, :half].std(dim=0).clamp_min(1e-6)  # (k,)
    scaled = difference[:, :half] / spread  # (m, k)
    likeness = (torch.tanh(scaled + 1) - torch.tanh(scaled - 1)).mean(dim=1)  # (m,)
    _set_head(student, spread, likeness, labels)


def _encoded(student: StudentForSequenceClassification, train: Examples, functions: Indices, seed: int) -> Tensor:
    """Vectors (n, w) of functions, under dropout: the start must hold under the noise of training."""
    chunks = list(train.tokens.chunks(functions, _BATCH))
    was_training = student.training
    student.train()
    with seeded(seed, train.tokens.ids.device):
        parts = torch.cat([student.encode(*train.tokens.batch(functions[chunk])) for chunk in chunks])
    student.train(was_training)
    order = torch.from_numpy(np.concatenate(chunks)).to(parts.device)
    return torch.empty_like(parts).index_copy_(0, order, parts)


def _discriminant(likeness: Tensor, labels: Tensor, label: int, other: int) -> tuple[float, float]:
    """Slope and middle of Fisher's linear discriminant of one feature, as log-odds of a label against another."""
    classes = [likeness[labels == one] for one in (other, label)]
    if any(len(members) < 2 for members in classes):
        return 0.0, float(likeness.mean())
    means = [float(members.mean()) for members in classes]
    variance = sum(float(members.var()) for members in classes) / 2
    return (means[1] - means[0]) / max(variance, 1e-6), (means[0] + means[1]) / 2


def _set_head(student: StudentForSequenceClassification, spread: Tensor, likeness: Tensor, labels: Tensor) -> None:
    head, half = student.classifier, len(spread)
    width = student.config.hidden_size
    head.dense.weight.mul_(_NOISE)
    head.out_proj.weight.mul_(_NOISE)
    units = torch.arange(half, device=spread.device)
    for first, shift in ((0, 1.0), (half, -1.0)):
        head.dense.weight[first + units, units] += 1 / spread
        head.dense.weight[first + units, width + units] -= 1 / spread
        head.dense.bias[first : first + half] = shift
    for label, (slope, bias) in enumerate(_logits(likeness, labels, head.out_proj.out_features)):
        head.out_proj.weight[label, :half] += slope / half
        head.out_proj.weight[label, half : 2 * half] -= slope / half
        head.out_proj.bias[label] = bias


def _set_symmetric_head(student: StudentForSequenceClassification, difference: Tensor, labels: Tensor) -> None:
    head, width = student.classifier, student.config.hidden_size
    spread = difference.std(dim=0).clamp_min(1e-6)  # (w,)
    likeness = torch.relu(1 - (difference / spread).abs()).mean(dim=1)  # (m,)
    head.dense.weight.mul_(_NOISE)
    head.out_proj.weight.mul_(_NOISE)
    units = torch.arange(width, device=spread.device)
    head.dense.weight[units, units] -= 1 / spread
    head.dense.bias.fill_(1.0)
    for label, (slope, bias) in enumerate(_logits(likeness, labels, head.out_proj.out_features)):
        head.out_proj.weight[label] += slope / width
        head.out_proj.bias[label] = bias


def _logits(likeness: Tensor, labels: Tensor, num_labels: int) -> list[tuple[float, float]]:
    """Slope and bias of each label's logit in the likeness."""
    logits = []
    for label in range(num_labels):
        others = [other for other in range(num_labels) if other != label]
        lines = [_discriminant(likeness, labels, label, other) for other in others]
        slope = sum(slope for slope, _ in lines) / num_labels
        logits.append((slope, -sum(slope * middle for slope, middle in lines) / num_labels))
    return logits
