"""The loss over logits, in two halves: what does not depend on the student, and the sum that is left for a step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from avatar_optuna.distillation._recipe import UNKNOWN


@dataclass(frozen=True, kw_only=True)
class Targets:
    """What the logits of s steps of m inputs each are held to.

    Args:
        labels: From 0 to l - 1, or `UNKNOWN`, shape (s, m).
        teacher: The teacher's logits, shape (s, m, l), or None: labels alone.
        counted: Which inputs of a step count for the teacher's part, shape (m,), or None: all.
    """

    labels: Tensor
    teacher: Tensor | None
    counted: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Coefficients:
    """The loss of s steps as a sum over the student's log-probabilities, which is all that a step has to compute.

    Args:
        of_logs: What each log-probability counts, shape (s, m, l); or (s, m, 2 l), those at the temperature last.
        least: What the least sum is, shape (s,): the teacher's own entropy, so that a loss of 0 means agreement.
    """

    of_logs: Tensor
    least: Tensor


def coefficients(
    targets: Targets,
    *,
    num_labels: int,
    temperature: float,
    hard_label_weight: float,
    label_weights: Tensor | None = None,
) -> Coefficients:
    """Soft cross-entropy with the teacher and cross-entropy with the labels.

    The soft part is `T^2` times the cross-entropy of the teacher's and the student's probabilities at temperature T
    (Hinton et al., 2015), less the teacher's own entropy, so that 0 means agreement. In it a class weighs the same
    however many of the inputs the teacher finds likelier of it; so do the labels in the hard part, unless they have
    weights. The soft part has none: it asks for the teacher's probabilities at each input whatever that weighs, so
    weights would only say which inputs are fitted first, while those of labels move the probabilities that are learnt.

    Args:
        num_labels: l.
        temperature: T.
        hard_label_weight: Share of the hard part, from 0 to 1; without a teacher it is 1.
        label_weights: What an input of each label weighs in the hard part, the mean of all inputs with a label, shape
            (l,); or None: each label that occurs weighs the same.
    """
    labels, teacher = targets.labels, targets.teacher
    weights = _balanced(labels, num_labels) if label_weights is None else _weighted(labels, label_weights)
    hard = functional.one_hot(labels.clamp(min=0), num_labels) * weights[..., None]  # (s, m, l)
    if teacher is None:
        return Coefficients(of_logs=hard, least=torch.zeros_like(weights[:, 0]))
    logs = functional.log_softmax(teacher / temperature, dim=-1)  # (s, m, l)
    likelier = teacher.argmax(-1)  # (s, m)
    if targets.counted is not None:
        likelier = torch.where(targets.counted, likelier, UNKNOWN)
    share = (1.0 - hard_label_weight) * temperature**2 * _balanced(likelier, num_labels)  # (s, m)
    soft = share[..., None] * logs.exp()  # (s, m, l)
    least = -(soft * logs).sum(dim=(1, 2))  # (s,)
    hard = hard_label_weight * hard
    of_logs = soft + hard if temperature == 1 else torch.cat([hard, soft], dim=-1)
    return Coefficients(of_logs=of_logs, least=least)


def mixed_loss(logits: Tensor, of_logs: Tensor, least: Tensor, temperature: float) -> Tensor:
    """The loss of one step, a scalar.

    Args:
        logits: The student's, shape (m, l).
        of_logs: Of the step (see `Coefficients`), shape (m, l) or (m, 2 l).
        least: Of the step, a scalar.
    """
    logs = functional.log_softmax(logits, dim=-1)  # (m, l)
    if of_logs.shape[1] > logs.shape[1]:
        logs = torch.cat([logs, functional.log_softmax(logits / temperature, dim=-1)], dim=-1)  # (m, 2 l)
    return -(of_logs * logs).sum() - least


def _balanced(labels: Tensor, num_labels: int) -> Tensor:
    """Weights (s, m) that sum to 1 in a step, the same sum for each label that occurs; 0 where it is `UNKNOWN`."""
    classes = (labels[:, None] == torch.arange(num_labels, device=labels.device)[:, None]).float()  # (s, l, m)
    counts = classes.sum(dim=2, keepdim=True)  # (s, l, 1)
    present = (counts > 0).sum(dim=1).clamp(min=1)  # (s, 1)
    return (classes / counts.clamp(min=1)).sum(dim=1) / present


def _weighted(labels: Tensor, label_weights: Tensor) -> Tensor:
    """The weight (s, m) of each input's label over how many of its step have one; 0 where the label is `UNKNOWN`."""
    is_known = labels != UNKNOWN  # (s, m)
    weights = torch.where(is_known, label_weights[labels.clamp(min=0)], 0.0)
    return weights / is_known.sum(dim=1, keepdim=True).clamp(min=1)
