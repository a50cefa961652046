"""What the training engine and the classifier drive: functions to vectors, vectors to logits.

A student is a `Network` itself; the classes here make one of any Hugging Face encoder or sequence classifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from avatar_optuna.distillation._pooling import pooled
from avatar_optuna.exceptions import InputError

PAIR_HEAD_FILE = "pair_head.safetensors"


class Network(Protocol):
    """Functions to vectors, each on its own, and the joined vectors of an input to its logits."""

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, k) of functions (n, t)."""

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, k) or, for pairs, (m, 2 k)."""


class SingleClassifier(nn.Module):
    """Any Hugging Face sequence classifier of single functions; its "vectors" are the logits themselves."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.order: list[int] | None = None

    def reorder(self, own_names: Sequence[str], wanted: Sequence[str], source: str) -> None:
        """Answer in another order of labels, where both name the same ones; letter case is ignored.

        Args:
            source: What messages call the model.

        Raises:
            InputError: The model names its labels otherwise.
        """
        own = [name.casefold() for name in own_names]
        names = [name.casefold() for name in wanted]
        if own != names and sorted(own) == sorted(names):
            self.order = [own.index(name) for name in names]
        require_names(own_names, wanted, source)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Logits (n, labels) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        return self._in_order(self.model(input_ids, attention_mask=mask).logits)

    def encode_embedded(self, embeddings: Tensor, **inputs: Tensor) -> Tensor:
        """Logits (n, labels) of functions given as embeddings (n, t, w) of words, and what else the model takes."""
        return self._in_order(self.model(inputs_embeds=embeddings, **inputs).logits)

    def word_embeddings(self, input_ids: Tensor) -> Tensor:
        """Embeddings (n, t, w) of ids (n, t)."""
        return self.model.get_input_embeddings()(input_ids)  # type: ignore[no-any-return]

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    def _in_order(self, logits: Tensor) -> Tensor:
        return logits if self.order is None else logits[:, self.order]

    def classify(self, joined: Tensor) -> Tensor:
        return joined

    def save(self, directory: Path) -> None:
        with quiet():
            self.model.save_pretrained(directory)


def require_names(own_names: Sequence[str], wanted: Sequence[str], source: str) -> None:
    """Refuse (`InputError`) a model that names as many labels as the task has otherwise: which is which is not known.

    Names that transformers gives where none are said (`LABEL_0`) say nothing: logits are then in the task's order.
    """
    is_named = not all(name.upper().startswith("LABEL_") for name in own_names)
    is_other = sorted(map(str.casefold, own_names)) != sorted(map(str.casefold, wanted))
    if is_named and is_other and len(own_names) == len(wanted):
        raise InputError(
            f"{source}: it names its labels {', '.join(own_names)}, the task {', '.join(wanted)}: set teacher.labels "
            "to the task's label of each of its logits"
        )


class PairHead(nn.Module):
    """The head of CodeXGLUE's clone detectors: dense 2w -> w, tanh, out_proj w -> labels."""

    def __init__(self, width: int, num_labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(width, num_labels)

    def forward(self, joined: Tensor) -> Tensor:
        inner = torch.tanh(self.dense(self.dropout(joined)))  # (m, w)
        return self.out_proj(self.dropout(inner))  # type: ignore[no-any-return]  # (m, labels)


class PairClassifier(nn.Module):
    """Any Hugging Face encoder, and a pair head over two vectors, each pooled from the tokens of a function."""

    def __init__(self, encoder: PreTrainedModel, head: PairHead, pooling: str = "first") -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.pooling = pooling

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, w) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        hidden: Tensor = body_of(self.encoder)(input_ids, attention_mask=mask).last_hidden_state  # (n, t, w)
        return hidden[:, 0] if self.pooling == "first" else pooled(hidden, mask, (self.pooling,))

    def encode_embedded(self, embeddings: Tensor, **inputs: Tensor) -> Tensor:
        """First-token vectors (n, w) of functions given as embeddings (n, t, w) of their words, and what else the
        encoder takes."""
        return self.encoder(inputs_embeds=embeddings, **inputs).last_hidden_state[:, 0]  # type: ignore[no-any-return]

    def word_embeddings(self, input_ids: Tensor) -> Tensor:
        """Embeddings (n, t, w) of ids (n, t)."""
        return self.encoder.get_input_embeddings()(input_ids)  # type: ignore[no-any-return]

    @property
    def config(self) -> Any:
        """The encoder's configuration."""
        return self.encoder.config

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, 2 w)."""
        return self.head(joined)  # type: ignore[no-any-return]

    def save(self, directory: Path) -> None:
        """Write the encoder in Hugging Face's form, and `pair_head.safetensors` beside it."""
        with quiet():
            self.encoder.save_pretrained(directory)
        head = {key: value.detach().cpu().contiguous() for key, value in self.head.state_dict().items()}
        save_file(head, directory / PAIR_HEAD_FILE, metadata={"pooling": self.pooling})


def config_of(network: Any) -> Any:
    """The configuration of the Hugging Face model in a network, or None."""
    if network is None or hasattr(network, "config"):
        return getattr(network, "config", None)
    return config_of(getattr(network, "model", getattr(network, "encoder", None)))


def body_of(model: PreTrainedModel) -> Any:
    """The part of a model that gives hidden states: all of it, or the encoder of an encoder-decoder."""
    return model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the progress bars and load reports of transformers: the caller shows progress of its own."""
    bars, verbosity = transformers.logging.is_progress_bar_enabled(), transformers.logging.get_verbosity()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
