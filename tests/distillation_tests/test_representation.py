"""Learning the teacher's vectors: the loss against its formula, what it changes, and what is kept of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher, Trainer, distil
from avatar_optuna.distillation._representation import representation_loss
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import DistillationSettings, SectionError
from avatar_optuna.students import Configuration
from avatar_optuna.tasks import Task, connected_groups
from tests.distillation_tests.trainers import make_trainer, one_step, without_dropout


def test_the_loss_is_half_the_squared_distance_of_vectors_of_length_one() -> None:
    rng = np.random.default_rng(0)
    projected, teacher = rng.normal(size=(5, 3)), 4 * rng.normal(size=(5, 3))
    unit, wanted = (rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (projected, teacher))
    loss = representation_loss(torch.from_numpy(projected), torch.from_numpy(teacher))
    assert float(loss) == pytest.approx(((unit - wanted) ** 2).sum(axis=1).mean() / 2, rel=1e-5)


@pytest.mark.parametrize("has_fixed_steps", [False, True])
def test_projected_vectors_come_nearer_to_the_teachers(
    has_fixed_steps: bool, pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    trainer = make_trainer(
        small_student,
        pair_teacher,
        tmp_path,
        has_fixed_steps=has_fixed_steps,
        representation_weight=0.9,
        epochs=4,
    )
    before = _distance(trainer)
    trainer.run()
    assert _distance(trainer) < 0.5 * before


def _distance(trainer: Trainer) -> float:
    """The loss over all training functions, of the network that is kept and the projection."""
    trainer.network.eval()
    assert trainer.projection is not None
    assert trainer.soft_labels is not None
    assert trainer.soft_labels.vectors is not None
    with torch.no_grad():
        vectors = trainer.network.encode(*trainer.train.tokens.batch(np.arange(len(trainer.train.tokens))))
        return float(representation_loss(trainer.projection(vectors), trainer.soft_labels.vectors))


def test_shares_of_the_three_losses_add_up(pair_teacher: Teacher, small_student: Configuration, tmp_path: Path) -> None:
    """The loss of a step is linear in both weights: from steps with one or none of them follows that with both."""

    def loss(contrastive: float, representation: float) -> float:
        trainer = make_trainer(
            without_dropout(small_student),
            pair_teacher,
            tmp_path,
            has_fixed_steps=False,
            groups=connected_groups(pair_teacher.task.train),
            contrastive_weight=contrastive,
            representation_weight=representation,
        )
        return float(one_step(trainer, np.arange(12)))

    none, groups, vectors = loss(0.0, 0.0), loss(0.4, 0.0), loss(0.0, 0.3)
    assert loss(0.4, 0.3) == pytest.approx(groups + vectors - none, rel=1e-5)
    assert len({round(value, 5) for value in (none, groups, vectors)}) == 3


def test_a_student_resumes_to_the_bit_and_is_written_without_the_projection(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    def student(folder: Path, stop_after: int | None = None) -> bytes:
        distil(
            hyperparameters=small_student,
            task=pair_teacher.task,
            teacher=pair_teacher,
            settings=DistillationSettings(epochs=3, contrastive_weight=0.3, representation_weight=0.3),
            out_dir=folder,
            stop_after=stop_after,
        )
        return (folder / "model.safetensors").read_bytes()

    whole, parts = student(tmp_path / "whole"), tmp_path / "parts"
    plain = student(parts, stop_after=1)
    (parts / "checkpoint").mkdir()
    (parts / "checkpoint.safetensors").replace(parts / "checkpoint" / "checkpoint.safetensors")
    assert student(parts) == whole != plain
    distil(
        hyperparameters=small_student,
        task=pair_teacher.task,
        teacher=pair_teacher,
        settings=DistillationSettings(epochs=1),
        out_dir=tmp_path / "without",
    )
    assert _names(tmp_path / "whole") == _names(tmp_path / "without")


def _names(folder: Path) -> set[str]:
    with safe_open(folder / "model.safetensors", "pt") as file:
        return set(file.keys())


def test_shares_above_one_together_are_refused() -> None:
    with pytest.raises(SectionError, match=r"must be at most 0.99 together, got 0.5 and 0.6"):
        DistillationSettings(contrastive_weight=0.5, representation_weight=0.6)


def test_a_teacher_without_vectors_is_refused(
    make_task: Callable[[TaskShape], Task], small_student: Configuration, tmp_path: Path
) -> None:
    task = make_task(TaskShape(arity=2))
    logits = {name: np.zeros((len(task.splits[name]), 2), dtype=np.float32) for name in ("train", "valid")}
    teacher = Teacher(source="soft labels", fingerprint="x", task=task, classifier=None, soft_labels=logits)
    with pytest.raises(
        InputError, match=r"^distillation.representation_weight: the teacher must be a model .* labels$"
    ):
        distil(
            hyperparameters=small_student,
            task=task,
            teacher=teacher,
            settings=DistillationSettings(epochs=1, representation_weight=0.5),
            out_dir=tmp_path,
        )
