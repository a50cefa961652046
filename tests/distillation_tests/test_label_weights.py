"""Weights of labels, held against scikit-learn's and torch's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_sample_weight
from torch.nn import functional

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher, distil, label_weights
from avatar_optuna.distillation._distillation import _fingerprint
from avatar_optuna.distillation._recipe import UNKNOWN, Judge, Recipe
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import DistillationSettings, SectionError, TeacherSettings
from avatar_optuna.students import Configuration
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.tasks import Split, Task
from avatar_optuna.teachers import load_teacher
from avatar_optuna.teachers._fine_tuning import label_weights_of
from tests.distillation_tests.trainers import make_trainer, mixed_loss, without_dropout


def _task(counts: list[int]) -> Task:
    """A task whose training split holds so many inputs of each label."""
    labels = np.repeat(np.arange(len(counts)), counts)
    functions = tuple(f"int f{place}() {{}}" for place in range(len(labels)))
    split = Split(functions=functions, inputs=np.arange(len(labels), dtype=np.int32)[:, None], labels=labels)
    shape = TaskShape(arity=1, num_labels=len(counts))
    names = tuple(f"label {place}" for place in range(len(counts)))
    return Task(kind="made", shape=shape, language="c", label_names=names, train=split, valid=split, test=split)


@settings(max_examples=30, deadline=None)
@given(counts=st.lists(st.integers(1, 30), min_size=2, max_size=5), seed=st.integers(0, 99), data=st.data())
def test_the_weighted_loss_of_a_split_is_scikit_learns(counts: list[int], seed: int, data: st.DataObject) -> None:
    task = _task(counts)
    own = {name: data.draw(st.floats(0.1, 10.0)) for name in task.label_names}
    labels, logits = task.train.labels, np.random.default_rng(seed).normal(size=(sum(counts), len(counts)))
    probabilities = torch.tensor(logits).softmax(1).numpy()
    by_name = np.asarray(list(own.values()))[labels]
    for asked, expected in (
        ("none", np.ones(len(labels))),
        ("balanced", compute_sample_weight("balanced", labels)),
        (own, by_name),
    ):
        weights = label_weights(asked, task, key="distillation.class_weights")
        assert weights is not None
        assert np.asarray(weights)[labels] == pytest.approx(expected / expected.mean())
        loss = _hard_loss(torch.tensor(logits), torch.tensor(labels), torch.tensor(weights, dtype=torch.float64))
        mean = log_loss(labels, probabilities, sample_weight=expected, labels=range(len(counts)))
        assert loss.item() == pytest.approx(mean)
    assert label_weights("batch", task, key="distillation.class_weights") is None


def _hard_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return mixed_loss(
        logits, labels=labels, teacher=None, temperature=1.0, hard_label_weight=1.0, label_weights=weights
    )


def test_the_losses_of_steps_add_up_to_that_of_the_split() -> None:
    """Rare labels that a step lacks leave it a small loss: its weights are not scaled to those that occur."""
    rng = np.random.default_rng(0)
    logits, labels = torch.tensor(rng.normal(size=(32, 2))), torch.tensor([1, 1, *[0] * 30])
    weights = torch.tensor([0.5, 8.5], dtype=torch.float64)
    steps = [_hard_loss(logits[at : at + 8], labels[at : at + 8], weights).item() for at in range(0, 32, 8)]
    whole = functional.cross_entropy(logits, labels, weight=weights, reduction="sum") / 32
    assert np.mean(steps) == pytest.approx(whole.item())


def test_inputs_without_a_label_count_for_nothing() -> None:
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.0], [5.0, -5.0]], requires_grad=True)
    weights = torch.tensor([1.0, 3.0])
    loss = _hard_loss(logits, torch.tensor([1, 0, UNKNOWN]), weights)
    expected = functional.cross_entropy(logits[:2], torch.tensor([1, 0]), weight=weights, reduction="sum") / 2
    assert loss.item() == pytest.approx(expected.item())
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[2].tolist() == [0.0, 0.0]
    assert _hard_loss(logits, torch.full((3,), UNKNOWN), weights).item() == 0


@pytest.mark.parametrize("weight", [0.0, 0.25])
def test_the_teachers_part_of_the_loss_has_no_weights(weight: float) -> None:
    rng = np.random.default_rng(3)
    logits, teacher = (torch.tensor(values) for values in rng.normal(size=(2, 9, 2)))
    labels, weights = torch.tensor(rng.integers(0, 2, 9)), torch.tensor([0.2, 1.8], dtype=torch.float64)
    options: dict[str, Any] = {"labels": labels, "temperature": 2.0}
    soft = mixed_loss(logits, teacher=teacher, hard_label_weight=0.0, **options)
    mixed = mixed_loss(logits, teacher=teacher, hard_label_weight=weight, label_weights=weights, **options)
    expected = (1 - weight) * soft + weight * _hard_loss(logits, labels, weights)
    assert mixed.item() == pytest.approx(expected.item())


def test_fixed_steps_weigh_as_steps_in_chunks_do(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    student = without_dropout(small_student)
    options: dict[str, Any] = {"hard_label_weight": 1.0, "label_weights": (0.5, 3.0)}
    fixed, chunked = (
        make_trainer(student, single_teacher, tmp_path / str(is_fixed), has_fixed_steps=is_fixed, **options)
        for is_fixed in (True, False)
    )
    plain = make_trainer(student, single_teacher, tmp_path / "plain", hard_label_weight=1.0)
    totals = [trainer.train_epoch(0).item() for trainer in (fixed, chunked, plain)]
    assert totals[0] == pytest.approx(totals[1], rel=1e-4)
    assert abs(totals[2] - totals[1]) > 1e-2


def test_a_teacher_that_is_trained_here_learns_by_weights(single_teacher: Teacher, tmp_path: Path) -> None:
    task = single_teacher.task
    sizes = {"vocab_size": 300, "num_hidden_layers": 1, "hidden_size": 16, "intermediate_size": 16}
    plain = {"architecture": {**sizes, "num_attention_heads": 2}, "epochs": 1, "learning_rate": 1e-2}
    means = []
    for ratio in (0.02, 50.0):
        weights = {name: [1.0, ratio][place] for place, name in enumerate(task.label_names)}
        teacher = load_teacher(TeacherSettings(**plain, class_weights=weights), task, cache_dir=tmp_path)
        means.append(float(torch.tensor(teacher.logits("train")).softmax(1)[:, 1].mean()))
    assert means[0] < 0.25 < 0.75 < means[1]  # a quarter of the inputs have the label 1


def test_labels_of_another_task_are_refused(single_teacher: Teacher, tmp_path: Path) -> None:
    settings_ = DistillationSettings(epochs=1, hard_label_weight=0.5, class_weights={"clean": 1.0, "broken": 2.0})
    expected = "class_weights must name each label of the task .* and no other, got clean, broken"
    with pytest.raises(InputError, match=f"distillation.{expected}"):
        distil(
            hyperparameters=_HASHED,
            task=single_teacher.task,
            teacher=single_teacher,
            settings=settings_,
            out_dir=tmp_path / "student",
        )
    with pytest.raises(InputError, match=f"teacher.{expected}"):
        label_weights_of(
            TeacherSettings(pretrained="x", class_weights={"clean": 1.0, "broken": 2.0}), single_teacher.task
        )


@pytest.mark.parametrize("value", ["half", 1, {}, {"a": 0}, {"a": "1"}, {"a": True}, ["none"]])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(SectionError, match="class_weights must be one of batch, none, balanced, or a table of"):
        DistillationSettings(hard_label_weight=0.5, class_weights=value)


def test_weights_that_would_weigh_nothing_are_refused() -> None:
    with pytest.raises(SectionError, match="class_weights needs a hard_label_weight above 0"):
        DistillationSettings(class_weights="balanced")


_HASHED = HASHED.configure(
    grams="tokens",
    buckets=256,
    width=4,
    pooling="mean",
    num_hidden_layers=0,
    intermediate_size=8,
    hidden_dropout_prob=0.0,
    max_sequence_length=128,
    learning_rate=0.01,
    batch_size=32,
)


def test_a_distillation_without_weights_has_the_name_that_it_had() -> None:
    """The hashes are those of commit 79114c4, before there were weights: its checkpoints are gone on from."""
    named: Any = SimpleNamespace(fingerprint="0" * 64)
    plain: Any = SimpleNamespace(edits=(), groups=None)
    recipe = Recipe(epochs=2, batch_size=32, learning_rate=0.01)

    def name(recipe: Recipe, metric: str) -> str:
        return _fingerprint(_HASHED, recipe, plain, named, named, Judge(metric=metric, split=named))

    names = [name(recipe, metric) for metric in ("balanced_accuracy", "f1")]
    assert names == [
        "e470a397f1be0be832c0945fca82b388fa91e8c83ffad4bb80ff16ea8a16a7bc",
        "64719d256eb2ceb3eda52b348d20e895094b282b8c006b6e23c97acbdc38fd3b",
    ]
    weighted = replace(recipe, label_weights=(0.5, 2.0))
    assert name(weighted, "f1") != names[1]
    drawn = replace(recipe, representation_weight=0.5)
    assert name(drawn, "f1") != names[1]
