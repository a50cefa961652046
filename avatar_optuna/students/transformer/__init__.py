"""The paper's family: RoBERTa-style encoders of thirteen hyperparameters (Shi et al., 2024, table 1)."""

from avatar_optuna.students.transformer._family import (
    ACTIVATIONS,
    PAIR_HEADS,
    POSITION_EMBEDDING_TYPES,
    POSITION_OFFSET,
    TOKENIZERS,
    TRANSFORMER,
)
