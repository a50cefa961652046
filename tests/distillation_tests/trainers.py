"""Trainers of small students, as tests look into them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from avatar_optuna.distillation import Teacher, build_student, train_tokenizer
from avatar_optuna.distillation._batches import Indices
from avatar_optuna.distillation._loss import Targets, coefficients
from avatar_optuna.distillation._loss import mixed_loss as loss_of_step
from avatar_optuna.distillation._recipe import Examples, Recipe
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.distillation._training import Trainer
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER


def make_trainer(
    student: Configuration,
    teacher: Teacher,
    directory: Path,
    *,
    device: str = "cpu",
    has_fixed_steps: bool | None = None,
    is_captured: bool = True,
    is_narrow: bool | None = None,
    groups: Any = None,
    **recipe: Any,
) -> Trainer:
    task = teacher.task
    tokenizer = train_tokenizer(student.tokenizer, student.vocab_size, task.train.functions)

    def examples(name: str) -> Examples:
        split = task.splits[name]
        length = student.max_sequence_length
        tokens = Tokens.tokenize(tokenizer, split.functions, max_sequence_length=length, device=device)
        return Examples(tokens=tokens, inputs=split.inputs, labels=split.labels)

    values: dict[str, Any] = {"epochs": 2, "batch_size": 16, "learning_rate": 1e-2, **recipe}
    return Trainer(
        build_student(student, task.shape).to(device),  # type: ignore[arg-type]
        recipe=Recipe(**values),
        train=replace(examples("train"), groups=groups),
        valid=examples("valid"),
        soft_labels=teacher.soft_labels(device),
        directory=directory,
        fingerprint="test",
        num_labels=task.shape.num_labels,
        has_fixed_steps=has_fixed_steps,
        is_captured=is_captured,
        is_narrow=is_narrow,
    )


def mixed_loss(
    logits: Tensor,
    *,
    labels: Tensor,
    teacher: Tensor | None,
    counted: Tensor | None = None,
    temperature: float,
    **options: Any,
) -> Tensor:
    """The loss of one step, a scalar, from logits (m, l), labels (m,) and the teacher's logits (m, l) or None."""
    asked = None if teacher is None else teacher[None]
    found = coefficients(
        Targets(labels=labels[None], teacher=asked, counted=counted),
        num_labels=logits.shape[1],
        temperature=temperature,
        **options,
    )
    return loss_of_step(logits, found.of_logs[0], found.least[0], temperature)


def one_step(trainer: Trainer, dealt: Indices) -> Tensor:
    """The loss of the first update, which is done."""
    (window,) = trainer.lesson.in_windows([dealt], trainer.recipe)
    return trainer._step(window.dealt[0], window.of_step(0), 0)


def without_dropout(student: Configuration) -> Configuration:
    return TRANSFORMER.configure(
        **{**student.to_dict(), "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    )
