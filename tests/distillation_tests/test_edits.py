"""Students that learn from edited functions: which texts are read, and whose answers they are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher, distil
from avatar_optuna.distillation._batches import plan_reading, views_of
from avatar_optuna.distillation._distillation import edited_functions
from avatar_optuna.distillation._lesson import Lesson
from avatar_optuna.distillation._recipe import Examples, SoftLabels
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import DistillationSettings
from avatar_optuna.students import Configuration
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.tasks import Task
from tests.distillation_tests.test_teacher import MakeTask


def _in(language: str, task: Task) -> Task:
    values = {name: getattr(task, name) for name in ("kind", "shape", "label_names", "train", "valid", "test")}
    return Task(language=language, **values)


def _teacher_of(teacher: Teacher, language: str = "python") -> Teacher:
    """The teacher, of functions whose language can be edited."""
    return Teacher(
        source=teacher.source,
        fingerprint=teacher.fingerprint,
        task=_in(language, teacher.task),
        classifier=teacher.classifier,
    )


def _examples(task: Task, others: tuple[str, ...]) -> Examples:
    """Texts as single tokens: text k is the id k."""
    count = len(task.train.functions) + len(others)
    places = torch.arange(count)
    tokens = Tokens(
        ids=places.int(),
        starts=places,
        lengths=torch.ones_like(places),
        host_lengths=np.ones(count, dtype=np.int64),
        pad_token_id=0,
        mask_token_id=0,
        max_sequence_length=1,
    )
    return Examples(tokens=tokens, inputs=task.train.inputs, labels=task.train.labels)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2), st.integers(1, 4), st.integers(0, 1000), st.sampled_from([1, 2]))
def test_a_batch_holds_texts_of_its_functions_with_the_answers_of_the_originals(
    make_task: MakeTask, views: int, edits: int, seed: int, arity: int
) -> None:
    """Oracle: the answers that are made up for each text, looked up by the text's own function."""
    task = make_task(TaskShape(arity=arity))
    functions = task.train.functions
    count = len(functions)
    texts = (*functions, *views_of(functions, views, seed=0), *("edited",) * (count * edits))
    rng = np.random.default_rng(seed)
    vectors = torch.from_numpy(rng.normal(size=(count * (1 + views), 2))).float()  # of functions and views alone
    soft = SoftLabels(
        logits=torch.from_numpy(rng.normal(size=(len(task.train), 2))).float(),
        vectors=vectors if arity == 2 or views else None,
        classify=lambda joined: joined[:, :2] + 10 * joined[:, -2:],
    )
    lesson = Lesson(_examples(task, texts[count:]), soft, num_labels=2, num_functions=count, views=views)
    reading = plan_reading(count, views + edits, rng)
    assert (reading % count == np.arange(count)).all()
    lesson.read(reading)
    dealt = torch.from_numpy(rng.permutation(count)[:6])
    read = lesson.texts(dealt)
    given = lesson.targets(dealt[None])
    meant = [place if place < count * (1 + views) else place % count for place in read.tolist()]
    if arity == 2:
        rows = [(one, other) for one in range(6) for other in range(6)]
        pairs = [(meant[one], meant[other]) for one, other in rows]
        listed = dict(zip(map(tuple, task.train.inputs.tolist()), task.train.labels.tolist(), strict=True))
        known = [listed.get(pair, listed.get(pair[::-1], -1)) for pair in pairs]
        expected = [-1 if one == other else label for (one, other), label in zip(rows, known, strict=True)]
        answers = torch.stack([vectors[a] + 10 * vectors[b] for a, b in pairs])
    else:
        functions_of = [place % count for place in meant]
        labels = task.train.labels[functions_of].tolist()
        expected = [label if place < count else -1 for label, place in zip(labels, meant, strict=True)]
        answers = torch.stack([11 * vectors[place] for place in meant]) if views else soft.logits[functions_of]
    assert given.labels[0].tolist() == expected
    assert given.teacher is not None
    torch.testing.assert_close(given.teacher[0], answers)


def test_edited_texts_are_kept_and_made_once(make_task: MakeTask, tmp_path: Path) -> None:
    task = _in("python", make_task(TaskShape(arity=1)))
    functions = task.train.functions
    texts = edited_functions(task, 3, tmp_path)
    assert len(texts) == 3 * len(functions)
    assert sum(text != functions[place % len(functions)] for place, text in enumerate(texts)) > 2 * len(functions)
    (path,) = (tmp_path / "edits").glob("*.json.gz")
    before = path.stat().st_mtime_ns
    assert edited_functions(task, 3, None) == texts
    assert edited_functions(task, 3, tmp_path) == texts
    assert path.stat().st_mtime_ns == before
    assert edited_functions(task, 2, tmp_path) == texts[: 2 * len(functions)]
    assert edited_functions(task, 0, tmp_path) == ()


def test_a_language_that_cannot_be_edited_is_refused(make_task: MakeTask) -> None:
    with pytest.raises(InputError, match=r"distillation\.edits: functions can be edited in .*, got 'Python'"):
        edited_functions(make_task(TaskShape(arity=1)), 1, None)


@pytest.fixture
def hashed() -> Configuration:
    return HASHED.configure(
        grams="tokens",
        buckets=256,
        width=8,
        pooling="mean",
        num_hidden_layers=0,
        intermediate_size=8,
        hidden_dropout_prob=0.0,
        max_sequence_length=128,
        learning_rate=0.01,
        batch_size=16,
    )


@pytest.mark.parametrize(("arity", "family"), [(1, "transformer"), (2, "transformer"), (2, "hashed"), (1, "hashed")])
def test_a_student_learns_from_edits_and_is_resumed_exactly(
    arity: int,
    family: str,
    single_teacher: Teacher,
    pair_teacher: Teacher,
    small_student: Configuration,
    hashed: Configuration,
    tmp_path: Path,
) -> None:
    teacher = _teacher_of(single_teacher if arity == 1 else pair_teacher)
    views = {"views": 1} if family == "transformer" else {}

    class StoppedError(Exception):
        pass

    def stop(record: object) -> None:
        raise StoppedError

    def run(directory: str, *, edits: int = 0, on_epoch: Any = None) -> bytes:
        done = distil(
            hyperparameters=small_student if family == "transformer" else hashed,
            task=teacher.task,
            teacher=teacher,
            settings=DistillationSettings(edits=edits, epochs=3, hard_label_weight=0.5, **views),
            out_dir=tmp_path / directory,
            cache_dir=tmp_path / directory / "cache",
            on_epoch=on_epoch,
        )
        return (done.directory / "model.safetensors").read_bytes()

    with pytest.raises(StoppedError):
        run("stopped", edits=2, on_epoch=stop)
    whole = run("whole", edits=2)
    assert run("stopped", edits=2) == whole
    assert run("without") != whole


def test_soft_labels_alone_are_enough(make_task: MakeTask, hashed: Configuration, tmp_path: Path) -> None:
    """An edited function has the answer of its own: nobody is asked about it."""
    task = _in("python", make_task(TaskShape(arity=2)))
    logits = {name: np.eye(2, dtype=np.float32)[task.splits[name].labels] * 9 for name in ("train", "valid")}
    teacher = Teacher(source="answers", fingerprint="a", task=task, classifier=None, soft_labels=logits)
    done = distil(
        hyperparameters=hashed,
        task=task,
        teacher=teacher,
        settings=DistillationSettings(edits=2, epochs=4),
        out_dir=tmp_path / "student",
    )
    assert done.valid_metrics["balanced_accuracy"] > 0.6
