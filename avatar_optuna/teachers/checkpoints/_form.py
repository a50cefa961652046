"""What every form of a checkpoint gives, and which form a path is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar_optuna.exceptions import InputError
from avatar_optuna.teachers.checkpoints._reading import Reading

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from avatar_optuna.distillation import SentenceEncoder

_FORMS = ("state_dict", "adapter", "sentence_transformers", "directory")
"""Files of this package, in the order in which they are asked; each has `FORM`."""


class Form:
    """A checkpoint in one form. A form says which paths are of it, and gives the models that stand in its files.

    Args:
        source: What the study file named.
        path: The file or the directory.
        reading: How it is read.
    """

    def __init__(self, source: str, path: Path, reading: Reading) -> None:
        self.source, self.path, self.reading = source, path, reading

    @classmethod
    def is_of(cls, path: Path) -> bool:
        """Whether a path is of this form."""
        raise NotImplementedError

    @property
    def tokenizer_directory(self) -> Path:
        """Where the tokenizer lies."""
        return self.path

    @property
    def files(self) -> dict[str, str]:
        """SHA-256 by name of each file that is read."""
        raise NotImplementedError

    @property
    def pair(self) -> str | None:
        """How it reads pairs, by its own files: "head", "cross", "similarity" or None where they do not say."""
        return None

    @property
    def is_ordinary(self) -> bool:
        """Whether `Classifier.load` reads it as it is."""
        return False

    def require_sound(self, *, is_pair: bool) -> None:
        """Refuse (`InputError`) a checkpoint of which the study file must say more."""

    def sequence_classifier(self) -> PreTrainedModel:
        """The sequence classifier with the logits of its own."""
        raise InputError(f"teacher {self.source}: it must be a sequence classifier, it is none")

    def encoder(self) -> PreTrainedModel:
        """The encoder without a head."""
        raise NotImplementedError

    def pair_head(self) -> tuple[Mapping[str, Tensor], str]:
        """Tensors of the head of pairs (see `PairHead`), and the pooling that it was trained with."""
        raise InputError(f"teacher {self.source}: it must hold a head of pairs, it holds none")

    def sentence_encoder(self) -> SentenceEncoder:
        """The encoder with its pooling, for vectors that are compared."""
        from avatar_optuna.distillation import SentenceEncoder, default_pooling

        model = self.encoder()
        return SentenceEncoder(model, (self.reading.pooling or default_pooling(model.config),))

    @property
    def similarity(self) -> str:
        """How its vectors are compared: "cosine" or "dot"."""
        return self.reading.similarity or "cosine"

    @property
    def odds(self) -> tuple[float, float] | None:
        """Scale and threshold of its similarities, where its files say them."""
        return None

    @property
    def longest(self) -> int | None:
        """Tokens of an input at most, where its files say so beside configuration and tokenizer."""
        return None

    @property
    def is_lower_cased(self) -> bool:
        """Whether its files say that text is lower-cased before the tokenizer."""
        return False


def form_of(source: str, reading: Reading) -> Form:
    """The form of a checkpoint.

    Raises:
        InputError: It is neither there nor on the hub.
    """
    path = located(source)
    for name in _FORMS:
        form: Any = import_module(f"avatar_optuna.teachers.checkpoints.{name}").FORM
        if form.is_of(path):
            made: Form = form(source, path, reading)
            return made
    raise AssertionError("the last form takes every path")


def located(source: str) -> Path:
    """The file or directory of a source; a hub model is downloaded."""
    from avatar_optuna.distillation import model_directory

    path = Path(source)
    return path if path.is_file() else model_directory(source)


def tokenizer_directory(source: str, reading: Reading) -> Path:
    """Where the tokenizer of a checkpoint lies."""
    return form_of(source, reading).tokenizer_directory


def own_label_names(model: PreTrainedModel) -> Sequence[str]:
    """The names of a model's logits, in their order; "LABEL_0" and so on where it names none."""
    config: Any = model.config
    names = config.id2label or {}
    return [str(names.get(label, f"LABEL_{label}")) for label in range(config.num_labels)]
