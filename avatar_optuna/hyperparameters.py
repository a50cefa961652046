"""One student's thirteen hyperparameters, as the paper names them (Shi et al., 2024, table 1)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from avatar_optuna.exceptions import InputError

TOKENIZERS = ("BPE", "WordPiece", "Unigram", "Word")
ACTIVATIONS = ("gelu", "relu", "silu", "gelu_new")
POSITION_EMBEDDING_TYPES = ("absolute", "relative_key", "relative_key_query")

# Rows of the absolute position table before the first token's: RoBERTa counts positions from padding_idx + 1 = 2.
POSITION_OFFSET = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Hyperparameters:
    """One student's choices; it refuses to exist if no student could be built from them.

    `num_attention_heads` must divide `hidden_size`. The ranges of a particular study are the business of
    `avatar_optuna.space`, not of this class.

    Raises:
        InputError: A value has the wrong type or no student could have it.
    """

    tokenizer: str
    vocab_size: int
    num_hidden_layers: int
    hidden_size: int
    hidden_act: str
    hidden_dropout_prob: float
    intermediate_size: int
    num_attention_heads: int
    attention_probs_dropout_prob: float
    max_sequence_length: int
    position_embedding_type: str
    learning_rate: float
    batch_size: int

    def __post_init__(self) -> None:
        for name in INTEGERS:
            _check_positive_integer(name, getattr(self, name))
        for name, allowed in CATEGORIES.items():
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            _check_real(name, getattr(self, name), low=0.0, high=1.0)
        _check_real("learning_rate", self.learning_rate, low=0.0, high=math.inf)
        if self.learning_rate == 0.0:
            raise InputError("learning_rate must be positive, got 0")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"num_attention_heads must divide hidden_size, got {self.num_attention_heads} and {self.hidden_size}"
            )

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def has_absolute_positions(self) -> int:
        """1 where the student owns an absolute position table, else 0."""
        return int(self.position_embedding_type == "absolute")

    @property
    def num_distance_products(self) -> int:
        """Matrix products with the distance table in each layer: 0, 1 (relative_key) or 2 (relative_key_query)."""
        return POSITION_EMBEDDING_TYPES.index(self.position_embedding_type)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Hyperparameters:
        """Build from a mapping that holds exactly the thirteen names.

        Raises:
            InputError: A name is missing or unknown, or a value is refused.
        """
        missing = [name for name in NAMES if name not in values]
        unknown = [name for name in values if name not in NAMES]
        if missing or unknown:
            raise InputError(f"hyperparameters must be exactly the 13: missing {missing}, unknown {unknown}")
        return cls(**{name: values[name] for name in NAMES})

    def to_dict(self) -> dict[str, Any]:
        """The thirteen values by name, ready for JSON."""
        return asdict(self)


NAMES: tuple[str, ...] = tuple(field.name for field in fields(Hyperparameters))
INTEGERS = (
    "vocab_size",
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "max_sequence_length",
    "batch_size",
)
CATEGORIES = {
    "tokenizer": TOKENIZERS,
    "hidden_act": ACTIVATIONS,
    "position_embedding_type": POSITION_EMBEDDING_TYPES,
}


def _check_positive_integer(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InputError(f"{name} must be a whole number, got {value!r}")
    if value < 1:
        raise InputError(f"{name} must be at least 1, got {value}")


def _check_real(name: str, value: object, *, low: float, high: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name} must be a finite number, got {value!r}")
    if not low <= value < high:
        raise InputError(f"{name} must lie in [{low:g}, {high:g}), got {value!r}")
