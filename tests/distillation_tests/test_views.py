"""Views are altered functions that the teacher labels: which texts, when they are read, and what is asked of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher, distil
from avatar_optuna.distillation._batches import plan_reading, views_of
from avatar_optuna.distillation._recipe import SoftLabels
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import DistillationSettings, TeacherSettings
from avatar_optuna.students import Configuration
from avatar_optuna.teachers import load_teacher
from tests.distillation_tests.test_teacher import MakeTask

TEXTS = st.lists(st.text("ab{}\n", min_size=1, max_size=40), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.integers(0, 4), st.integers(0, 5))
def test_views_are_made_of_lines_that_are_there(functions: list[str], count: int, seed: int) -> None:
    texts = (*functions, *views_of(functions, count, seed=seed))
    assert texts[: len(functions)] == tuple(functions)
    assert len(texts) == len(functions) * (1 + count)
    assert (*functions, *views_of(functions, count, seed=seed)) == texts
    lines = {line for function in functions for line in function.splitlines(keepends=True)}
    for place, view in enumerate(texts[len(functions) :]):
        assert view, "a view holds something to read"
        assert set(view.splitlines(keepends=True)) <= lines | {a.rstrip("\n") + b for a in lines for b in lines}
        assert len(view) <= len(functions[place % len(functions)]) + max(map(len, functions))


def test_each_text_is_read_as_often_as_the_others() -> None:
    functions, views, epochs = 50, 3, 400
    rng = np.random.default_rng(0)
    read = np.stack([plan_reading(functions, views, rng) for _ in range(epochs)])
    assert (read % functions == np.arange(functions)).all()
    shares = np.bincount(read.ravel() // functions, minlength=views + 1) / read.size
    assert shares == pytest.approx(0.25, abs=0.02)  # about 5 standard deviations of 20,000 draws


def test_without_views_functions_are_read_themselves() -> None:
    assert plan_reading(5, 0, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("task_shape", [TaskShape(arity=1), TaskShape(arity=2)])
def test_the_teacher_labels_views_as_it_labels_functions(
    task_shape: TaskShape, single_teacher: Teacher, pair_teacher: Teacher
) -> None:
    teacher = single_teacher if not task_shape.is_pair else pair_teacher
    functions = teacher.task.train.functions
    views = views_of(functions, 2, seed=0)
    soft = teacher.soft_labels("cpu", views)
    assert soft.vectors is not None
    assert soft.classify is not None
    assert teacher.classifier is not None
    inputs = np.arange(2 * task_shape.arity).reshape(2, -1)
    expected = teacher.classifier.predict_logits(views, inputs)
    asked = soft.classify(soft.vectors[torch.from_numpy(inputs + len(functions))].flatten(1)).detach()
    torch.testing.assert_close(asked, torch.from_numpy(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("task_shape", [TaskShape(arity=1), TaskShape(arity=2)])
def test_a_student_learns_from_views_and_is_resumed_exactly(
    task_shape: TaskShape,
    single_teacher: Teacher,
    pair_teacher: Teacher,
    small_student: Configuration,
    tmp_path: Path,
) -> None:
    teacher = single_teacher if not task_shape.is_pair else pair_teacher

    class StoppedError(Exception):
        pass

    def stop(record: object) -> None:
        raise StoppedError

    def run(directory: str, views: int, on_epoch: object = None) -> bytes:
        done = distil(
            hyperparameters=small_student,
            task=teacher.task,
            teacher=teacher,
            settings=DistillationSettings(views=views, epochs=3, hard_label_weight=0.5),
            out_dir=tmp_path / directory,
            on_epoch=on_epoch,  # type: ignore[arg-type]
        )
        return (done.directory / "model.safetensors").read_bytes()

    with pytest.raises(StoppedError):
        run("stopped", 2, stop)
    whole = run("whole", 2)
    assert run("stopped", 2) == whole
    assert run("without", 0) != whole


def test_soft_labels_alone_cannot_label_views(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(TaskShape(arity=1))
    for name in ("train", "valid"):
        np.save(tmp_path / f"soft_labels_{name}.npy", np.zeros((len(task.splits[name]), 2), dtype=np.float32))
    teacher = load_teacher(TeacherSettings(soft_labels=str(tmp_path)), task, cache_dir=tmp_path)
    assert isinstance(teacher.soft_labels("cpu"), SoftLabels)
    with pytest.raises(InputError, match=r"distillation\.views: the teacher must be a model"):
        teacher.soft_labels("cpu", ["f"])
