"""What a step asks of the student: the teacher's probabilities at a temperature, the labels, or both."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

UNKNOWN = -1
"""The label of a pair that is not listed."""


def mixed_loss(
    logits: Tensor,
    *,
    labels: Tensor,
    teacher: Tensor | None,
    temperature: float,
    hard_label_weight: float,
    counted: Tensor | None = None,
) -> Tensor:
    """Soft cross-entropy with the teacher and cross-entropy with the labels, each balanced over its classes.

    The soft part is `T^2` times the cross-entropy of the teacher's and the student's probabilities at temperature T
    (Hinton et al., 2015), less the teacher's own entropy, so that 0 means agreement. A class weighs the same however
    many of the inputs are of it: the teacher's likelier class for the soft part, the label for the hard one.

    Args:
        logits: The student's, shape (m, l).
        labels: From 0 to l - 1, or `UNKNOWN`, shape (m,).
        teacher: The teacher's logits, shape (m, l), or None: labels alone.
        temperature: T.
        hard_label_weight: Share of the hard part, from 0 to 1.
        counted: Which inputs the soft part counts, shape (m,), or None: all.

    Returns:
        A scalar.
    """
    hard = functional.cross_entropy(logits, labels.clamp(min=0), reduction="none")  # (m,)
    hard_loss = (hard * _balanced(labels, logits.shape[-1])).sum()
    if teacher is None:
        return hard_loss
    expected = functional.log_softmax(teacher / temperature, dim=-1)  # (m, l)
    given = functional.log_softmax(logits / temperature, dim=-1)  # (m, l)
    divergence = functional.kl_div(given, expected, log_target=True, reduction="none").sum(-1)  # (m,)
    likelier = teacher.argmax(-1)  # (m,)
    if counted is not None:
        likelier = torch.where(counted, likelier, UNKNOWN)
    soft_loss = temperature**2 * (divergence * _balanced(likelier, logits.shape[-1])).sum()
    return (1.0 - hard_label_weight) * soft_loss + hard_label_weight * hard_loss


def _balanced(labels: Tensor, num_labels: int) -> Tensor:
    """Weights (m,) that sum to 1, the same sum for each label that occurs; 0 where the label is `UNKNOWN`."""
    classes = (labels == torch.arange(num_labels, device=labels.device)[:, None]).float()  # (l, m)
    counts = classes.sum(dim=1, keepdim=True)  # (l, 1)
    present = (counts > 0).sum().clamp(min=1)
    return (classes / counts.clamp(min=1)).sum(dim=0) / present


class ListedPairs:
    """Labels of listed pairs, looked up on the device for every pair of a batch.

    Args:
        inputs: Listed pairs of places of functions, shape (n, 2).
        labels: Shape (n,). A pair listed twice keeps its last label.
    """

    def __init__(
        self, inputs: npt.NDArray[np.int32], labels: npt.NDArray[np.int64], num_functions: int, device: torch.device
    ) -> None:
        self.num_functions = num_functions
        both = np.concatenate([inputs, inputs[:, ::-1]]).astype(np.int64)
        keys = both[:, 0] * num_functions + both[:, 1]
        # np.unique keeps the first of equals: reversed, that is the last listed.
        unique, places = np.unique(keys[::-1], return_index=True)
        self.keys = torch.from_numpy(unique).to(device)
        self.labels = torch.from_numpy(np.concatenate([labels, labels])[::-1][places].copy()).to(device)

    def of(self, pairs: Tensor) -> Tensor:
        """Labels (m,) of pairs (m, 2); `UNKNOWN` where a pair is not listed in either order."""
        keys = pairs[:, 0] * self.num_functions + pairs[:, 1]
        places = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        return torch.where(self.keys[places] == keys, self.labels[places], UNKNOWN)


def all_pairs(values: Tensor) -> Tensor:
    """Rows (n, k) joined with each other, shape (n n, 2 k): row i n + j holds values i and j."""
    count, width = values.shape
    first, second = values[:, None].expand(count, count, width), values[None].expand(count, count, width)
    return torch.cat([first, second], dim=-1).flatten(0, 1)
