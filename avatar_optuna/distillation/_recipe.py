"""What the training engine is given, and what it reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from avatar_optuna.codec import Stored
from avatar_optuna.decision import Aim, Decision, decide
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.metrics import Answers, figure
from avatar_optuna.tasks import Split

UNKNOWN = -1
"""The label of an input that is not listed."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    Args:
        epochs: Passes over the training functions (or listed inputs).
        batch_size: Functions a step where all their pairs are learnt from, else inputs a step.
        learning_rate: The highest; reached after the warm-up, then falling linearly to 0.
        temperature: Of the soft labels.
        hard_label_weight: Share of the labels in the loss, from 0 (the teacher alone) to 1.
        label_weights: What an input of each label weighs in that share (see `label_weights`); None: the labels that
            occur in a step weigh the same in it.
        weight_decay: Of AdamW, on matrices alone.
        warmup_ratio: Share of all steps in which the learning rate climbs.
        token_dropout_prob: Share of tokens that a training step hides behind the mask token ("word dropout").
        views: Altered texts of each training function that only the teacher labels; each epoch reads a function, or
            one of its views or edited texts, by equal chances.
        edits: Texts of each training function that do what it does: labels and the teacher's answers are its own.
        contrastive_weight: Share of the contrastive loss over groups (see `contrastive_loss`), from 0 to 1 (alone).
        representation_weight: Share of the distance between projected vectors and the teacher's (see
            `representation_loss`), from 0 to 1; with `contrastive_weight` at most 1.
        averaging: Keep an exponential average of the weights over about an epoch; it is what is evaluated and kept.
        patience: After this many epochs without a better one, once one was better than chance, the training goes back
            to the best, the learning rate falls to 0 in half as many epochs as there were, and the training ends; None:
            never sooner than asked for.
        max_train_inputs: Most inputs an epoch, where inputs are what is passed over.
        seed: Of order and dropout.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    temperature: float = 2.0
    hard_label_weight: float = 0.0
    label_weights: tuple[float, ...] | None = None
    weight_decay: float = 0.01
    warmup_ratio: float = 0.1
    token_dropout_prob: float = 0.0
    views: int = 0
    edits: int = 0
    contrastive_weight: float = 0.0
    representation_weight: float = 0.0
    averaging: bool = True
    patience: int | None = None
    max_train_inputs: int | None = None
    seed: int = 0

    @property
    def num_others(self) -> int:
        """Texts of each training function besides itself."""
        return self.views + self.edits


@dataclass(frozen=True, kw_only=True)
class Examples:
    """A split, tokenized on the device.

    Args:
        tokens: Its functions, behind them their views if there are any (see `views_of`), then their edited texts.
        inputs: Places of functions, shape (n, 1 or 2).
        labels: Shape (n,).
        groups: Of its functions, -1 where not known, shape (functions,); or None where nothing is learnt from groups.
    """

    tokens: Tokens
    inputs: npt.NDArray[np.int32]
    labels: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        split: Split,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_sequence_length: int,
        device: str,
        others: Sequence[str] = (),
        groups: npt.NDArray[np.int64] | None = None,
    ) -> Examples:
        """A split, tokenized, with other texts of its functions behind them."""
        texts = (*split.functions, *others)
        tokens = Tokens.tokenize(tokenizer, texts, max_sequence_length=max_sequence_length, device=device)
        return cls(tokens=tokens, inputs=split.inputs, labels=split.labels, groups=groups)

    def with_inputs(self, more: npt.NDArray[np.int32] | None) -> Examples:
        """The split with further inputs, whose labels are not known."""
        if more is None:
            return self
        labels = np.concatenate([self.labels, np.full(len(more), UNKNOWN, dtype=np.int64)])
        return replace(self, inputs=np.concatenate([self.inputs, more]), labels=labels)


@dataclass(frozen=True, kw_only=True)
class SoftLabels:
    """What the teacher says of the training split.

    Args:
        logits: Of the listed inputs, and of `more_inputs` behind them, shape (n + m, labels), on the device.
        vectors: Of each function and view, shape (texts, k), on the device, or None where logits suffice or are all
            there is.
        classify: The teacher's head: joined vectors (m, f k) to logits (m, labels). With `vectors`, any pair has a
            label.
        more_inputs: Inputs without a label that it was asked about besides, shape (m, 2), or None.
    """

    logits: Tensor
    vectors: Tensor | None = None
    classify: Callable[[Tensor], Tensor] | None = None
    more_inputs: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True, kw_only=True)
class EpochRecord(Stored):
    """One finished epoch.

    Args:
        epoch: Counted from 1.
        epochs: How many were asked for.
        loss: Mean training loss.
        valid: Figures of the validation split (fractions, and the loss).
        seconds: Wall time of the epoch, validation included.
        is_best: Whether this is the best epoch so far.
    """

    epoch: int
    epochs: int
    loss: float
    valid: Mapping[str, float]
    seconds: float
    is_best: bool


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Says how good an epoch is, by one of `metrics.METRICS`.

    Args:
        metric: Its name.
        split: The validation split.
        aim: What the threshold of each epoch is chosen for; None: the likeliest labels count.
    """

    metric: str
    split: Split
    aim: Aim | None = None

    def __call__(
        self, logits: npt.NDArray[Any], logits_of: Callable[[npt.NDArray[np.int64]], npt.NDArray[Any]]
    ) -> float:
        """The figure of logits (n, labels); further pairs of the split's functions are asked for by `logits_of`."""
        decision = decide(logits, self.split.labels, self.aim) if self.aim is not None else Decision()
        answers = Answers(split=self.split, logits=logits, logits_of=logits_of, decision=decision)
        return figure(self.metric, answers)


OnEpoch = Callable[[EpochRecord], None]
"""Called after each epoch, once its checkpoint stands; what it raises ends the training."""
