"""Students and how they learn: tokenizers, the model, teachers, the training engine."""

from avatar_optuna.distillation._student import StudentConfig, StudentForSequenceClassification
from avatar_optuna.distillation._tokenizers import train_tokenizer

__all__ = ["StudentConfig", "StudentForSequenceClassification", "train_tokenizer"]
