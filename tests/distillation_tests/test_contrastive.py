"""Learning from groups: the loss against its formula, the plan of an epoch, the labels that groups imply."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Examples, Teacher, Trainer, distil
from avatar_optuna.distillation._contrastive import TEMPERATURE, GroupPlan, contrastive_loss
from avatar_optuna.distillation._lesson import Lesson
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import DistillationSettings
from avatar_optuna.students import Configuration
from avatar_optuna.tasks import Split, Task, connected_groups, known_groups
from tests.distillation_tests.trainers import make_trainer


def _by_formula(vectors: np.ndarray[Any, Any], groups: list[int]) -> float:
    """Equation 2 of Khosla et al. (2020), loop by loop."""
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    known = [i for i, group in enumerate(groups) if group >= 0]
    losses = []
    for i in known:
        others = [a for a in known if a != i]
        alike = [p for p in others if groups[p] == groups[i]]
        if alike:
            total = np.log(sum(np.exp(unit[i] @ unit[a] / TEMPERATURE) for a in others))
            losses.append(-np.mean([unit[i] @ unit[p] / TEMPERATURE - total for p in alike]))
    return float(np.mean(losses)) if losses else 0.0


@given(groups=st.lists(st.integers(-1, 3), min_size=1, max_size=9), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_loss_is_that_of_the_paper(groups: list[int], seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(groups), 5))
    given_vectors = torch.from_numpy(vectors).requires_grad_()
    loss = contrastive_loss(given_vectors, torch.tensor(groups))
    assert float(loss.detach()) == pytest.approx(_by_formula(vectors, groups), rel=1e-4, abs=1e-4)
    loss.backward()  # type: ignore[no-untyped-call]
    assert given_vectors.grad is not None
    assert torch.isfinite(given_vectors.grad).all()


@given(data=st.data(), count=st.integers(2, 40), size=st.integers(2, 16))
@settings(max_examples=60, deadline=None)
def test_an_epoch_reads_each_listed_function_once(data: st.DataObject, count: int, size: int) -> None:
    groups = np.array(data.draw(st.lists(st.integers(-1, 6), min_size=count, max_size=count)), dtype=np.int64)
    seed = data.draw(st.integers(0, 99))
    rng = np.random.default_rng(seed)
    inputs = rng.integers(count, size=(3 * count, 2)).astype(np.int32)
    labels = rng.integers(2, size=3 * count)
    plan = GroupPlan(groups, inputs, labels)
    batches = plan.batches(size, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches).tolist()) == np.unique(inputs).tolist()
    again = plan.batches(size, np.random.default_rng(seed))
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in again]


def test_a_step_reads_members_of_groups_that_listed_pairs_tell_apart() -> None:
    """Sixteen groups of four functions; pairs tell group 2k from 2k + 1, and no others."""
    groups = np.repeat(np.arange(16), 4)
    apart = [(8 * k, 8 * k + 4, 0) for k in range(8)]
    alike = [(4 * g + i, 4 * g + i + 1, 1) for g in range(16) for i in range(3)]
    rows = np.array(apart + alike)
    batches = GroupPlan(groups, rows[:, :2].astype(np.int32), rows[:, 2]).batches(8, np.random.default_rng(0))
    held = [sorted(set(groups[batch].tolist())) for batch in batches]
    assert sorted(held) == [[2 * k, 2 * k + 1] for k in range(8)]


def test_labels_of_all_pairs_follow_from_groups_where_none_is_listed() -> None:
    split = Split(
        functions=("a", "b", "c", "d"),
        inputs=np.array([[0, 1], [0, 3]], dtype=np.int32),
        labels=np.array([0, 1]),  # the list says that 0 and 1 differ, though they are of one group
    )
    tokens: Any = type("Four", (), {"ids": torch.zeros(1), "__len__": lambda self: 4})()
    groups = np.array([5, 5, 7, -1])
    lesson = Lesson(
        Examples(tokens=tokens, inputs=split.inputs, labels=split.labels, groups=groups),
        None,
        num_labels=2,
        num_functions=4,
    )
    assert lesson.learns_all_pairs
    labels = lesson.targets(torch.arange(4)[None]).labels.reshape(4, 4)
    assert labels.tolist() == [[-1, 0, 0, 1], [0, -1, 0, -1], [0, 0, -1, -1], [1, -1, -1, -1]]


def test_groups_are_those_that_the_data_names_or_that_clones_connect(make_task: Callable[[TaskShape], Task]) -> None:
    split = Split(
        functions=("a", "b", "c", "d"),
        inputs=np.array([[0, 1], [1, 2], [2, 3]], dtype=np.int32),
        labels=np.array([1, 1, 0]),
    )
    assert connected_groups(split).tolist() == [0, 0, 0, 1]
    assert known_groups(split).tolist() == [0, 0, 0, 1]
    named = replace(split, group_names=("x", "y"), groups=np.array([[0, 0], [0, 1], [1, -1]], dtype=np.int32))
    assert known_groups(named).tolist() == [0, 0, 1, -1]


@pytest.mark.parametrize("has_fixed_steps", [False, True])
def test_the_weight_of_the_groups_changes_what_is_learnt(
    has_fixed_steps: bool, pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    """With its whole weight on groups, functions of one group end nearer to each other than those of two."""
    trainer = make_trainer(
        small_student,
        pair_teacher,
        tmp_path,
        has_fixed_steps=has_fixed_steps,
        groups=connected_groups(pair_teacher.task.train),
        contrastive_weight=1.0,
        epochs=6,
    )
    assert abs(_difference(trainer)) < 0.05
    trainer.run()
    assert _difference(trainer) > 0.1


def _difference(trainer: Trainer) -> float:
    """Mean cosine of training functions of one group less that of functions of two."""
    trainer.network.eval()
    with torch.no_grad():
        vectors = trainer.network.encode(*trainer.train.tokens.batch(np.arange(len(trainer.train.tokens))))
    unit = torch.nn.functional.normalize(vectors, dim=1)
    assert trainer.train.groups is not None
    groups = torch.from_numpy(trainer.train.groups)
    is_alike = (groups == groups[:, None]).fill_diagonal_(False)
    cosines = unit @ unit.T
    return float(cosines[is_alike].mean() - cosines[groups != groups[:, None]].mean())


def test_a_student_of_groups_resumes_to_the_bit(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path
) -> None:
    def student(folder: Path, stop_after: int | None = None) -> bytes:
        distil(
            hyperparameters=small_student,
            task=pair_teacher.task,
            teacher=pair_teacher,
            settings=DistillationSettings(epochs=3, contrastive_weight=0.5, hard_label_weight=0.2),
            out_dir=folder,
            stop_after=stop_after,
        )
        return (folder / "model.safetensors").read_bytes()

    whole = student(tmp_path / "whole")
    plain = student(tmp_path / "parts", stop_after=1)
    (tmp_path / "parts" / "checkpoint").mkdir()
    (tmp_path / "parts" / "checkpoint.safetensors").replace(tmp_path / "parts" / "checkpoint/checkpoint.safetensors")
    assert student(tmp_path / "parts") == whole != plain


def test_a_teacher_without_vectors_is_refused(
    make_task: Callable[[TaskShape], Task], small_student: Configuration, tmp_path: Path
) -> None:
    task = make_task(TaskShape(arity=2))
    logits = {name: np.zeros((len(task.splits[name]), 2), dtype=np.float32) for name in ("train", "valid")}
    teacher = Teacher(source="soft labels", fingerprint="x", task=task, classifier=None, soft_labels=logits)
    with pytest.raises(InputError, match=r"distillation.contrastive_weight: the teacher must be a model that gives"):
        distil(
            hyperparameters=small_student,
            task=task,
            teacher=teacher,
            settings=DistillationSettings(epochs=1, contrastive_weight=0.5),
            out_dir=tmp_path,
        )
