"""The configuration of a transformer student, as `config.json` holds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import RobertaConfig

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.students._precision import FULL_PRECISION
from avatar_optuna.students._reading import Configuration
from avatar_optuna.students.transformer._family import (
    CONCATENATION,
    PAIR_HEADS,
    POSITION_EMBEDDING_TYPES,
    POSITION_OFFSET,
    SYMMETRIC,
)

PAD_TOKEN_ID = 1
_OF_CONFIGURATION = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "position_embedding_type", "precision", "pair_head"),
)


class StudentConfig(RobertaConfig):
    """Sizes of a student: RoBERTa's, and four more.

    Args:
        num_functions: Functions that one input holds: 1, or 2 for a pair head.
        max_position_embeddings: RoBERTa's count, two more than the longest sequence in tokens.
        position_embedding_type: absolute, relative_key or relative_key_query.
        precision: Of the weights on disk (see `quantization`).
        pair_head: Of pairs: concatenation, or symmetric (see `SymmetricHead`).
    """

    model_type = "avatar_student"

    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-5
    position_embedding_type: str = "absolute"
    num_functions: int = 1
    precision: str = FULL_PRECISION
    pair_head: str = CONCATENATION

    def __post_init__(self, **kwargs: Any) -> None:
        if self.position_embedding_type not in POSITION_EMBEDDING_TYPES:
            kinds = ", ".join(POSITION_EMBEDDING_TYPES)
            raise InputError(f"position_embedding_type must be one of {kinds}, got {self.position_embedding_type!r}")
        if self.pair_head not in PAIR_HEADS:
            raise InputError(f"pair_head must be one of {', '.join(PAIR_HEADS)}, got {self.pair_head!r}")
        if self.hidden_size % self.num_attention_heads:
            raise InputError(
                f"num_attention_heads must divide hidden_size, got {self.num_attention_heads} and {self.hidden_size}"
            )
        super().__post_init__(**kwargs)  # type: ignore[no-untyped-call]

    @classmethod
    def from_hyperparameters(
        cls, hyperparameters: Configuration, task_shape: TaskShape, *, label_names: Sequence[str] | None = None
    ) -> StudentConfig:
        """The student that thirteen hyperparameters describe, for inputs of one function or two."""
        names = [f"LABEL_{label}" for label in range(task_shape.num_labels)] if label_names is None else label_names
        return cls(
            **{name: getattr(hyperparameters, name) for name in _OF_CONFIGURATION},
            max_position_embeddings=hyperparameters.max_sequence_length + POSITION_OFFSET,
            num_functions=task_shape.arity,
            id2label=dict(enumerate(names)),
            label2id={name: index for index, name in enumerate(names)},
        )

    @property
    def max_sequence_length(self) -> int:
        """Tokens of the longest sequence, `<s>` and `</s>` included."""
        return self.max_position_embeddings - POSITION_OFFSET

    @property
    def is_symmetric(self) -> bool:
        """Whether logits of a pair do not depend on the order of its functions."""
        return self.num_functions > 1 and self.pair_head == SYMMETRIC

    @property
    def is_stock_roberta(self) -> bool:
        """Whether transformers' own RobertaForSequenceClassification loads it and computes the same logits."""
        is_packed = self.precision in ("int8", "int4")
        return self.position_embedding_type == "absolute" and self.num_functions == 1 and not is_packed
