"""What a step reads and what it asks of the student: texts, labels, the teacher's answers, and the loss over them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from avatar_optuna.distillation._contrastive import contrastive_loss
from avatar_optuna.distillation._recipe import UNKNOWN, Examples, Recipe, SoftLabels
from avatar_optuna.distillation._representation import representation_loss


def mixed_loss(
    logits: Tensor,
    *,
    labels: Tensor,
    teacher: Tensor | None,
    temperature: float,
    hard_label_weight: float,
    counted: Tensor | None = None,
    label_weights: Tensor | None = None,
) -> Tensor:
    """Soft cross-entropy with the teacher and cross-entropy with the labels.

    The soft part is `T^2` times the cross-entropy of the teacher's and the student's probabilities at temperature T
    (Hinton et al., 2015), less the teacher's own entropy, so that 0 means agreement. In it a class weighs the same
    however many of the inputs the teacher finds likelier of it; so do the labels in the hard part, unless they have
    weights. The soft part has none: it asks for the teacher's probabilities at each input whatever that weighs, so
    weights would only say which inputs are fitted first, while those of labels move the probabilities that are learnt.

    Args:
        logits: The student's, shape (m, l).
        labels: From 0 to l - 1, or `UNKNOWN`, shape (m,).
        teacher: The teacher's logits, shape (m, l), or None: labels alone.
        temperature: T.
        hard_label_weight: Share of the hard part, from 0 to 1.
        counted: Which inputs the soft part counts, shape (m,), or None: all.
        label_weights: What an input of each label weighs in the hard part, the mean of all inputs with a label, shape
            (l,); or None: each label that occurs weighs the same.

    Returns:
        A scalar.
    """
    hard = functional.cross_entropy(logits, labels.clamp(min=0), reduction="none")  # (m,)
    weights = _balanced(labels, logits.shape[-1]) if label_weights is None else _weighted(labels, label_weights)
    hard_loss = (hard * weights).sum()
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


def _weighted(labels: Tensor, label_weights: Tensor) -> Tensor:
    """The weight (m,) of each input's label over how many inputs have one; 0 where the label is `UNKNOWN`."""
    is_known = labels != UNKNOWN  # (m,)
    weights = torch.where(is_known, label_weights[labels.clamp(min=0)], 0.0)
    return weights / is_known.sum().clamp(min=1)


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


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 on a GPU that has it."""
    is_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
    return torch.autocast("cuda", torch.bfloat16) if is_bf16 else nullcontext()


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
        soft_labels: The teacher's, or None. With its function vectors, or with groups, pairs are learnt from all at
            once; those of known groups have labels.
        num_functions: Functions of the split, their other texts not counted.
        views: Of each function; texts behind those of the functions and their views are edited ones, which mean what
            their function means.
        label_weights: Of the hard part of the loss (see `mixed_loss`), or None.
        projection: From the network's vectors to the teacher's (see `new_projection`), or None where these are not
            learnt.
    """

    def __init__(
        self,
        train: Examples,
        soft_labels: SoftLabels | None,
        *,
        num_functions: int,
        views: int = 0,
        label_weights: Sequence[float] | None = None,
        projection: nn.Linear | None = None,
    ) -> None:
        device = train.tokens.ids.device
        self.soft_labels, self.num_functions, self.projection = soft_labels, num_functions, projection
        self.arity = train.inputs.shape[1]
        self.num_unlike = num_functions * (1 + views)
        self.has_views, self.has_edits = views > 0, len(train.tokens) > self.num_unlike
        self.groups: Tensor | None = None
        if train.groups is not None:  # views have none
            known = np.append(train.groups, np.full(self.num_unlike - num_functions, UNKNOWN))
            self.groups = torch.from_numpy(known).to(device)
        has_vectors = soft_labels is not None and soft_labels.vectors is not None
        self.learns_all_pairs = self.arity == 2 and (has_vectors or self.groups is not None)
        self.listed = ListedPairs(train.inputs, train.labels, len(train.tokens), device) if self.arity == 2 else None
        self.host_inputs = train.inputs
        self.inputs = torch.from_numpy(train.inputs.astype(np.int64)).to(device)
        self.labels = torch.from_numpy(train.labels).to(device)
        self.reading = torch.arange(num_functions, device=device)
        self.label_weights = torch.tensor(label_weights, device=device) if label_weights is not None else None

    def read(self, reading: npt.NDArray[np.int64]) -> None:
        """Take a text for each function, shape (functions,), until the next call (see `plan_reading`)."""
        self.reading.copy_(torch.from_numpy(reading))

    def texts(self, dealt: Tensor) -> Tensor:
        """Texts to encode: (n,) of n functions where all pairs are learnt from, else (m f,) of m inputs."""
        return self.reading[dealt if self.learns_all_pairs else self.inputs[dealt]].flatten()

    def joined(self, vectors: Tensor) -> Tensor:
        """Vectors of the texts, joined for the head: (n n, 2 k) of all ordered pairs, or (m, f k) of inputs."""
        return all_pairs(vectors) if self.learns_all_pairs else vectors.reshape(-1, self.arity * vectors.shape[1])

    def meanings(self, texts: Tensor) -> Tensor:
        """For each text the one whose label and teacher's answer it has, shape (n,): of an edited one its function."""
        if not self.has_edits:
            return texts
        return torch.where(texts < self.num_unlike, texts, texts % self.num_functions)

    def targets(self, dealt: Tensor, texts: Tensor) -> Targets:
        """Labels and the teacher's answers, in the order of `joined`; a function is no partner of its own."""
        texts = self.meanings(texts)
        if self.learns_all_pairs and self.listed is not None:
            is_other = ~torch.eye(len(texts), dtype=torch.bool, device=texts.device).flatten()  # (n n,)
            labels = torch.where(is_other, self._pair_labels(texts), UNKNOWN)
            teacher = None if self.soft_labels is None else self._asked(texts)
            return Targets(labels=labels, teacher=teacher, counted=is_other)
        labels = self.labels[dealt]
        if not self.has_views:
            return Targets(labels=labels, teacher=None if self.soft_labels is None else self.soft_labels.logits[dealt])
        is_own = (texts < self.num_functions).view(-1, self.arity).all(dim=1)
        return Targets(labels=torch.where(is_own, labels, UNKNOWN), teacher=self._asked(texts))

    def loss(self, network: Any, dealt: Tensor, encode: Callable[[Tensor], Tensor], recipe: Recipe) -> Tensor:
        """The loss of a step, a scalar; `encode` gives the vectors (n, k) of texts (n,)."""
        texts = self.texts(dealt)
        targets = self.targets(dealt, texts)
        with autocast(texts.device):
            vectors = encode(texts)  # (n, k)
        contrastive = None if self.groups is None else contrastive_loss(vectors, self.groups[self.meanings(texts)])
        if contrastive is not None and recipe.contrastive_weight == 1:
            return contrastive
        with autocast(texts.device):
            logits = network.classify(self.joined(vectors))  # (m, labels)
        mixed = mixed_loss(
            logits.float(),
            labels=targets.labels,
            teacher=targets.teacher,
            counted=targets.counted,
            temperature=recipe.temperature,
            hard_label_weight=recipe.hard_label_weight,
            label_weights=self.label_weights,
        )
        if self.projection is None:
            return mixed if contrastive is None else torch.lerp(mixed, contrastive, recipe.contrastive_weight)
        share = recipe.representation_weight
        loss = share * self._distance(self.projection, vectors, texts) + (1.0 - share) * mixed
        return loss if contrastive is None else loss + recipe.contrastive_weight * (contrastive - mixed)

    def _distance(self, projection: nn.Linear, vectors: Tensor, texts: Tensor) -> Tensor:
        """The representation loss of vectors (n, k) of texts (n,), a scalar."""
        assert self.soft_labels is not None
        assert self.soft_labels.vectors is not None
        return representation_loss(projection(vectors.float()), self.soft_labels.vectors[self.meanings(texts)])

    def _pair_labels(self, texts: Tensor) -> Tensor:
        """Labels (n n,) of all ordered pairs of texts (n,): as listed, else 1 within a group, 0 between two."""
        assert self.listed is not None
        labels = self.listed.of(all_pairs(texts[:, None]))
        if self.groups is None:
            return labels
        groups = self.groups[texts]
        is_known = (groups >= 0) & (groups >= 0)[:, None]
        implied = torch.where(is_known, (groups == groups[:, None]).long(), UNKNOWN).flatten()
        return torch.where(labels == UNKNOWN, implied, labels)

    @torch.no_grad()
    def _asked(self, texts: Tensor) -> Tensor:
        """What the teacher says of joined texts, logits (m, labels)."""
        soft = self.soft_labels
        if soft is None or soft.vectors is None or soft.classify is None:
            raise ValueError("inputs that are not listed need the teacher's function vectors")
        return soft.classify(self.joined(soft.vectors[texts]))
