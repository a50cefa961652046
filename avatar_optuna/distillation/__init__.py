"""Students and how they learn: tokenizers, the model, teachers, the training engine, and what predicts with them."""

from avatar_optuna.distillation._checkpoint import CheckpointStore
from avatar_optuna.distillation._classifier import Classifier, write_manifest
from avatar_optuna.distillation._distillation import DistilledStudent, build_student, distil
from avatar_optuna.distillation._recipe import EpochRecord
from avatar_optuna.distillation._student import StudentConfig, StudentForSequenceClassification
from avatar_optuna.distillation._teacher import Teacher, check_teacher, load_teacher
from avatar_optuna.distillation._tokenizers import train_tokenizer

__all__ = [
    "CheckpointStore",
    "DistilledStudent",
    "EpochRecord",
    "Classifier",
    "StudentConfig",
    "StudentForSequenceClassification",
    "Teacher",
    "build_student",
    "check_teacher",
    "distil",
    "load_teacher",
    "train_tokenizer",
    "write_manifest",
]
