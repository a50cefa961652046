"""Encoders, pretrained or from scratch, that learn from groups of functions by the similarity of their vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation._fine_tuned import load_encoder
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.students.transformer.network import StudentConfig, StudentForSequenceClassification, load_student
from avatar_optuna.tasks import SPLITS, Split, Task
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task
from tests.teachers_tests.conftest import roberta_config, write_tokenizer

DATA = Path(__file__).parents[1] / "data" / "sentence_transformers"


def _clones() -> Task:
    """Pairs of functions of six kinds; a clone is of the same kind, which the data names as its group."""
    splits = {}
    for seed, name in enumerate(SPLITS):
        kinds = np.arange(36) % 6
        calls = [f"    call_{kind}(x)\n" * 4 for kind in kinds]
        functions = tuple(f"def f{seed}_{place}(x):\n{call}" for place, call in enumerate(calls))
        inputs = np.concatenate([np.stack([np.arange(36), (np.arange(36) + step) % 36], axis=1) for step in (6, 1)])
        groups = kinds[inputs]
        splits[name] = Split(
            functions=functions,
            inputs=inputs.astype(np.int32),
            labels=(groups[:, 0] == groups[:, 1]).astype(np.int64),
            group_names=tuple(map(str, range(6))),
            groups=groups.astype(np.int32),
        )
    shape = TaskShape(arity=2)
    return Task(kind="clones", shape=shape, language="python", label_names=("different", "clone"), **splits)


def _roberta(folder: Path, task: Task) -> Path:
    """A pretrained encoder that sentence-transformers did not write, with random weights."""
    from transformers import RobertaModel

    torch.manual_seed(0)
    RobertaModel(roberta_config(), add_pooling_layer=False).save_pretrained(folder)
    return write_tokenizer(folder, task)


SIZES = {
    "vocab_size": 300,
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_attention_heads": 2,
}


def _student(folder: Path, task: Task, **options: Any) -> Path:
    """A model as it is written here, of pairs."""
    torch.manual_seed(0)
    config = StudentConfig(**{**roberta_config().to_dict(), "num_functions": 2, **options})
    StudentForSequenceClassification(config).save_student(folder)
    return write_tokenizer(folder, task)


def _kind(name: str, folder: Path, task: Task) -> dict[str, Any]:
    if name == "architecture":
        return {"architecture": SIZES}
    if name == "trained here":
        return {"pretrained": str(_student(folder, task))}
    return {"pretrained": str(DATA if name == "sentence-transformers" else _roberta(folder, task))}


@pytest.mark.parametrize("kind", ["sentence-transformers", "roberta", "architecture", "trained here"])
def test_it_learns_from_groups_and_is_found_trained(kind: str, tmp_path: Path) -> None:
    task = _clones()
    of_kind = _kind(kind, tmp_path / "roberta", task)
    values: dict[str, Any] = {**of_kind, "pair": "similarity", "batch_size": 24, "learning_rate": 5e-3}
    settings = TeacherSettings(**values, epochs=8, max_sequence_length=48)
    check_teacher(settings, task, cache_dir=tmp_path)
    epochs = []
    teacher = load_teacher(settings, task, cache_dir=tmp_path, on_epoch=epochs.append)
    assert teacher.source.startswith(next(iter(of_kind)))
    assert [record.epoch for record in epochs] == list(range(1, 9))
    assert all(0 <= record.valid["roc_auc"] <= 1 for record in epochs)
    logits = teacher.logits("train")
    assert epochs[-1].loss < 0.96 * epochs[0].loss
    assert roc_auc_score(task.train.labels, logits[:, 1] - logits[:, 0]) > 0.6

    def refuse(record: Any) -> None:
        raise AssertionError("it was trained before")

    again = load_teacher(settings, task, cache_dir=tmp_path, on_epoch=refuse)
    assert again.fingerprint == teacher.fingerprint
    np.testing.assert_array_equal(again.logits("train"), logits)
    (written,) = (tmp_path / "teachers").glob("trained-*/avatar.json")
    written.unlink()  # as if the writing had been interrupted
    anew = load_teacher(settings, task, cache_dir=tmp_path)
    np.testing.assert_array_equal(anew.logits("train"), logits)
    save_teacher(teacher, tmp_path / "saved")
    saved = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path)
    np.testing.assert_allclose(saved.logits("valid"), teacher.logits("valid"), rtol=1e-4, atol=1e-4)
    manifest = json.loads((tmp_path / "saved" / "avatar.json").read_text(encoding="utf-8"))
    assert manifest["pair"] == "similarity"


@pytest.mark.parametrize("source", [{"pretrained": str(DATA)}, {"architecture": SIZES}])
@pytest.mark.parametrize(
    ("options", "arity", "message"),
    [
        ({"pair": "cross"}, 2, 'teacher.pair must be "head" or "similarity", got'),
        ({"pair": "similarity", "class_weights": "none"}, 2, "teacher.class_weights must be absent: a similarity"),
        ({"pair": "similarity"}, 1, "teacher.pair reads pairs of functions, the task has single ones"),
    ],
)
def test_what_cannot_be_is_refused(
    source: dict[str, Any], options: dict[str, Any], arity: int, message: str, tmp_path: Path
) -> None:
    settings = TeacherSettings(**source, **options)
    with pytest.raises(InputError, match=message):
        check_teacher(settings, small_task(arity=arity, inputs=6), cache_dir=tmp_path)


def test_an_encoder_trained_here_gives_the_vectors_of_its_student(tmp_path: Path) -> None:
    task = _clones()
    source = _student(tmp_path / "student", task)
    encoder, student = load_encoder(str(source)).eval(), load_student(source)
    ids = torch.randint(5, 40, (3, 20))
    mask = torch.arange(20) < torch.tensor([[20], [7], [1]])
    expected = student.encode(ids, mask)
    torch.testing.assert_close(encoder(ids, attention_mask=mask.long()).last_hidden_state[:, 0], expected)
    relative = _student(tmp_path / "relative", task, position_embedding_type="relative_key")
    settings = TeacherSettings(pretrained=str(relative), pair="similarity")
    with pytest.raises(
        InputError, match="position_embedding_type of a bare encoder must be absolute, got relative_key"
    ):
        load_teacher(settings, task, cache_dir=tmp_path)
