"""What a step reads and what it asks of the student: texts, labels, the teacher's answers, and the loss over them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from avatar_optuna.distillation._batches import Indices
from avatar_optuna.distillation._classifier import in_halves
from avatar_optuna.distillation._contrastive import contrastive_loss
from avatar_optuna.distillation._loss import Coefficients, Targets, coefficients, mixed_loss
from avatar_optuna.distillation._recipe import UNKNOWN, Examples, Recipe, SoftLabels
from avatar_optuna.distillation._representation import representation_loss

WINDOW_ROWS = 2**15  # inputs whose targets are computed at once: of a teacher of 768, 200 MB of joined vectors


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
        """Labels (...,) of pairs (..., 2); `UNKNOWN` where a pair is not listed in either order."""
        keys = pairs[..., 0] * self.num_functions + pairs[..., 1]
        places = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        return torch.where(self.keys[places] == keys, self.labels[places], UNKNOWN)


def all_pairs(values: Tensor) -> Tensor:
    """Rows (..., n, k) joined with each other, shape (..., n n, 2 k): row i n + j holds values i and j."""
    shape = (*values.shape[:-1], *values.shape[-2:])  # (..., n, n, k)
    first, second = values[..., None, :].expand(shape), values[..., None, :, :].expand(shape)
    return torch.cat([first, second], dim=-1).flatten(-3, -2)


def has_bf16(device: torch.device) -> bool:
    """Whether steps compute in bf16: on a GPU that has it."""
    return device.type == "cuda" and torch.cuda.is_bf16_supported()


def autocast(device: torch.device, network: Any) -> AbstractContextManager[Any]:
    """bf16 where the device has it and the network is not in bf16 already."""
    is_wide = next(network.parameters()).dtype == torch.float32
    return torch.autocast("cuda", torch.bfloat16) if is_wide and has_bf16(device) else nullcontext()


@dataclass(frozen=True, kw_only=True)
class Window:
    """Some steps of a plan, of the same size.

    Args:
        steps: What each is dealt.
        dealt: The same, shape (s, c), on the device.
        coefficients: Of their losses, or None where groups are all that counts.
    """

    steps: Sequence[Indices]
    dealt: Tensor
    coefficients: Coefficients | None

    def of_step(self, step: int) -> tuple[Tensor, Tensor] | None:
        """What `Lesson.loss` asks for, of one of the steps."""
        found = self.coefficients
        return None if found is None else (found.of_logs[step], found.least[step])


class Lesson:
    """Turns what a step was dealt (functions, or listed inputs) into texts, joined vectors and targets.

    Args:
        soft_labels: The teacher's, or None. With its function vectors, or with groups, pairs are learnt from all at
            once; those of known groups have labels.
        num_labels: Of the task.
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
        num_labels: int,
        num_functions: int,
        views: int = 0,
        label_weights: Sequence[float] | None = None,
        projection: nn.Linear | None = None,
    ) -> None:
        device = train.tokens.ids.device
        self.soft_labels, self.num_labels, self.projection = soft_labels, num_labels, projection
        self.num_functions = num_functions
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
        """Texts to encode: (..., n) of n functions where all pairs are learnt from, else (..., m f) of m inputs."""
        if self.learns_all_pairs:
            return self.reading[dealt]
        return self.reading[self.inputs[dealt]].flatten(-2)

    def joined(self, vectors: Tensor) -> Tensor:
        """Vectors of texts (..., n, k), joined for the head: (..., n n, 2 k) of all ordered pairs, or (..., m, f k)."""
        return all_pairs(vectors) if self.learns_all_pairs else vectors.unflatten(-2, (-1, self.arity)).flatten(-2)

    def meanings(self, texts: Tensor) -> Tensor:
        """For each text the one whose label and teacher's answer it has, as texts: of an edited one its function."""
        if not self.has_edits:
            return texts
        return torch.where(texts < self.num_unlike, texts, texts % self.num_functions)

    @torch.no_grad()
    def targets(self, dealt: Tensor) -> Targets:
        """Labels and the teacher's answers of what s steps are dealt, (s, c), in the order of `joined`.

        A function is no partner of its own.
        """
        texts = self.meanings(self.texts(dealt))  # (s, n)
        if self.learns_all_pairs and self.listed is not None:
            is_other = ~torch.eye(texts.shape[1], dtype=torch.bool, device=texts.device).flatten()  # (n n,)
            labels = torch.where(is_other, self._pair_labels(texts), UNKNOWN)
            teacher = None if self.soft_labels is None else self._asked(texts)
            return Targets(labels=labels, teacher=teacher, counted=is_other)
        labels = self.labels[dealt]
        if not self.has_views:
            return Targets(labels=labels, teacher=None if self.soft_labels is None else self.soft_labels.logits[dealt])
        is_own = (texts < self.num_functions).unflatten(-1, (-1, self.arity)).all(dim=-1)
        return Targets(labels=torch.where(is_own, labels, UNKNOWN), teacher=self._asked(texts))

    @torch.no_grad()
    def coefficients(self, dealt: Tensor, recipe: Recipe) -> Coefficients | None:
        """What the losses of s steps count, of what they are dealt, (s, c); None where groups are all that counts."""
        if self.groups is not None and recipe.contrastive_weight == 1:
            return None
        return coefficients(
            self.targets(dealt),
            num_labels=self.num_labels,
            temperature=recipe.temperature,
            hard_label_weight=recipe.hard_label_weight,
            label_weights=self.label_weights,
        )

    def in_windows(self, plan: Sequence[Indices], recipe: Recipe) -> Iterator[Window]:
        """The steps of a plan, some at a time, with what their losses count: few large computations, little memory.

        The plan is sent to the device at once, so that nobody waits for it between two windows.
        """
        rest, on_device = list(plan), torch.from_numpy(np.concatenate(plan)).to(self.reading.device)
        while rest:
            steps = rest[: self._in_window(rest)]
            dealt = on_device[: len(steps) * len(steps[0])].view(len(steps), -1)  # (s, c)
            yield Window(steps=steps, dealt=dealt, coefficients=self.coefficients(dealt, recipe))
            rest, on_device = rest[len(steps) :], on_device[dealt.numel() :]

    def loss(
        self,
        network: Any,
        dealt: Tensor,
        encode: Callable[[Tensor], Tensor],
        recipe: Recipe,
        of_step: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """The loss of a step, a scalar.

        Args:
            dealt: Shape (c,).
            encode: Gives the vectors (n, k) of texts (n,).
            of_step: The step's `of_logs` and `least` (see `Coefficients`), or None where groups are all that counts.
        """
        texts = self.texts(dealt)
        with autocast(texts.device, network):
            vectors = encode(texts)  # (n, k)
        contrastive = None if self.groups is None else contrastive_loss(vectors, self.groups[self.meanings(texts)])
        if of_step is None:
            assert contrastive is not None
            return contrastive
        with autocast(texts.device, network):
            logits = network.classify(self.joined(vectors))  # (m, labels)
        mixed = mixed_loss(logits.float(), *of_step, recipe.temperature)
        if self.projection is None:
            return mixed if contrastive is None else torch.lerp(mixed, contrastive, recipe.contrastive_weight)
        share = recipe.representation_weight
        loss = share * self._distance(self.projection, vectors, texts) + (1.0 - share) * mixed
        return loss if contrastive is None else loss + recipe.contrastive_weight * (contrastive - mixed)

    def _in_window(self, plan: Sequence[Indices]) -> int:
        """How many of the next steps, all dealt as much as the first, have their coefficients computed at once."""
        size = len(plan[0])
        rows = size * size if self.learns_all_pairs else size
        alike = itertools.takewhile(lambda dealt: len(dealt) == size, plan[: max(1, WINDOW_ROWS // rows)])
        return sum(1 for _ in alike)

    def _distance(self, projection: nn.Linear, vectors: Tensor, texts: Tensor) -> Tensor:
        """The representation loss of vectors (n, k) of texts (n,), a scalar."""
        assert self.soft_labels is not None
        assert self.soft_labels.vectors is not None
        return representation_loss(projection(vectors.float()), self.soft_labels.vectors[self.meanings(texts)])

    def _pair_labels(self, texts: Tensor) -> Tensor:
        """Labels (s, n n) of all ordered pairs of texts (s, n): as listed, else 1 within a group, 0 between two."""
        assert self.listed is not None
        labels = self.listed.of(all_pairs(texts[..., None]))
        if self.groups is None:
            return labels
        first, second = all_pairs(self.groups[texts][..., None]).unbind(-1)  # (s, n n) each
        implied = torch.where((first >= 0) & (second >= 0), (first == second).long(), UNKNOWN)
        return torch.where(labels == UNKNOWN, implied, labels)

    def _asked(self, texts: Tensor) -> Tensor:
        """What the teacher says of joined texts (s, n), logits (s, m, labels)."""
        soft = self.soft_labels
        if soft is None or soft.vectors is None or soft.classify is None:
            raise ValueError("inputs that are not listed need the teacher's function vectors")
        return in_halves(partial(self._asked_at, texts), np.arange(len(texts)), "the teacher's answers for one step")

    def _asked_at(self, texts: Tensor, steps: Indices) -> Tensor:
        """Of some steps, one after the other."""
        soft = self.soft_labels
        assert soft is not None
        assert soft.vectors is not None
        assert soft.classify is not None
        joined = self.joined(soft.vectors[texts[steps[0] : steps[-1] + 1]])  # (s, m, f k)
        logits: Tensor = soft.classify(joined.flatten(0, 1)).unflatten(0, joined.shape[:2])
        return logits
