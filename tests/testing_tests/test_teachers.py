"""The contract of teacher kinds: each built-in one and a stranger's keep it, for two labels and for more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from transformers import RobertaConfig, RobertaForSequenceClassification, RobertaModel

from avatar_optuna.distillation import train_tokenizer
from avatar_optuna.exceptions import InputError
from avatar_optuna.kinds import TEACHER_KINDS
from avatar_optuna.settings import TaskSettings, TeacherSettings
from avatar_optuna.tasks import Split, Task, load_task
from avatar_optuna.teachers import TeacherKind, check_teacher, load_teacher
from avatar_optuna.testing.tasks import small_task
from avatar_optuna.testing.teachers import check_teacher_kind
from tests.stranger import keyword_rules

SIZES = {
    "vocab_size": 300,
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
}


@pytest.fixture(autouse=True)
def stranger() -> Iterator[None]:
    TEACHER_KINDS.register("keyword_rules", keyword_rules.KIND)
    yield
    TEACHER_KINDS.unregister("keyword_rules")


def write_model(folder: Path, kind: Any, task: Task, **options: Any) -> str:
    """A tiny RoBERTa with random weights and a tokenizer of the task's functions."""
    torch.manual_seed(0)
    model = kind(RobertaConfig(**SIZES, max_position_embeddings=66, type_vocab_size=1, **options))
    model.save_pretrained(folder)
    train_tokenizer("BPE", 300, task.train.functions).save_pretrained(folder)
    return str(folder)


def _settings(kind: str, task: Task, folder: Path) -> TeacherSettings:
    training = {"epochs": 1, "max_sequence_length": 32}
    if kind == "architecture":
        return TeacherSettings(architecture=SIZES, **training)
    if kind == "keyword_rules":
        return TeacherSettings(keyword_rules={name: name for name in task.label_names})
    if kind == "soft_labels":
        for name in ("train", "valid"):
            logits = np.random.default_rng(0).normal(size=(len(task.splits[name]), task.shape.num_labels))
            np.save(folder / f"soft_labels_{name}.npy", logits.astype(np.float32))
        return TeacherSettings(soft_labels=str(folder))
    if kind == "pretrained":
        return TeacherSettings(pretrained=write_model(folder / "model", RobertaModel, task), **training)
    labels = task.shape.num_labels
    model = write_model(folder / "model", RobertaForSequenceClassification, task, num_labels=labels)
    return TeacherSettings(checkpoint=model)


@pytest.mark.parametrize("num_labels", [2, 5])
@pytest.mark.parametrize("kind", ["architecture", "checkpoint", "keyword_rules", "pretrained", "soft_labels"])
def test_a_kind_keeps_the_contract(kind: str, num_labels: int, tmp_path: Path) -> None:
    task = small_task(num_labels=num_labels)
    entry = cast(TeacherKind, TEACHER_KINDS.get(kind))
    check_teacher_kind(entry, _settings(kind, task, tmp_path), task, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("kind", ["architecture", "pretrained"])
def test_pairs_of_three_labels_are_learnt_from(kind: str, tmp_path: Path) -> None:
    task = small_task(arity=2, num_labels=3)
    entry = cast(TeacherKind, TEACHER_KINDS.get(kind))
    check_teacher_kind(entry, _settings(kind, task, tmp_path), task, cache_dir=tmp_path / "cache")


def test_a_strangers_teacher_answers_by_its_rules(tmp_path: Path) -> None:
    task = small_task(num_labels=5)
    settings = TeacherSettings(keyword_rules={name: name for name in task.label_names})
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert (teacher.logits("test").argmax(1) == task.test.labels).all()


def test_a_trained_teacher_of_the_version_before_is_found(tmp_path: Path) -> None:
    """The oracle is the folder's name as the version before made it: from all four keys, null where not given."""
    task = small_task()
    settings = TeacherSettings(architecture=SIZES, epochs=1, max_sequence_length=32)
    load_teacher(settings, task, cache_dir=tmp_path)
    given = {"checkpoint": None, "soft_labels": None, "pretrained": None, "architecture": SIZES}
    training = {"epochs": 1, "learning_rate": 5e-5, "batch_size": 16, "max_sequence_length": 32, "seed": 0}
    key = json.dumps([given | training, "", task.fingerprint], sort_keys=True)
    assert (tmp_path / f"teachers/trained-{hashlib.sha256(key.encode()).hexdigest()[:32]}/avatar.json").is_file()


def test_settings_made_in_code_are_checked_too(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^teacher\.architecture must be a table with exactly vocab_size"):
        check_teacher(TeacherSettings(architecture={"layers": 3}), small_task(), cache_dir=tmp_path)
    with pytest.raises(InputError, match=r"^task\.data is missing: the kind clone-detection reads a file or a folder"):
        load_task(TaskSettings(kind="clone-detection"))


def test_a_directory_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    task = small_task()
    source = write_model(tmp_path / "model", RobertaForSequenceClassification, task)
    for path in Path(source).glob("*token*"):
        path.unlink()
    with pytest.raises(InputError, match="must hold a tokenizer"):
        load_teacher(TeacherSettings(checkpoint=source), task, cache_dir=tmp_path)


def test_a_tokenizer_beyond_the_embeddings_is_refused(tmp_path: Path) -> None:
    task = small_task()
    source = write_model(tmp_path / "model", RobertaForSequenceClassification, task)
    large = train_tokenizer("BPE", 600, [*task.train.functions, *(f"w{i} = {i * 7919}" for i in range(999))])
    large.save_pretrained(source)
    with pytest.raises(InputError, match=r"ids must be below the model's vocab_size of 300, got \d+"):
        load_teacher(TeacherSettings(checkpoint=source), task, cache_dir=tmp_path)


def test_logits_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    task = small_task()
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(RobertaConfig(**SIZES, max_position_embeddings=66, type_vocab_size=1))
    model.classifier.out_proj.bias.data[1] = float("nan")
    model.save_pretrained(tmp_path / "model")
    train_tokenizer("BPE", 300, task.train.functions).save_pretrained(tmp_path / "model")
    settings = TeacherSettings(checkpoint=str(tmp_path / "model"))
    with pytest.raises(InputError, match="every logit must be finite"):
        load_teacher(settings, task, cache_dir=tmp_path).logits("valid")
    with pytest.raises(InputError, match="every logit must be finite"):
        cast(TeacherKind, TEACHER_KINDS.get("checkpoint")).check(settings, task, cache_dir=tmp_path)


def test_a_tokenizer_that_tells_nothing_apart_is_refused(tmp_path: Path) -> None:
    task = small_task()
    source = write_model(tmp_path / "model", RobertaForSequenceClassification, task)
    train_tokenizer("Word", 16, ["nothing"]).save_pretrained(source)
    alike = [f"a{i}" for i in range(len(task.train.functions))]
    train = Split(functions=tuple(alike), inputs=task.train.inputs, labels=task.train.labels)
    with pytest.raises(InputError, match="its tokenizer must tell functions apart"):
        check_teacher(TeacherSettings(checkpoint=source), replace(task, train=train), cache_dir=tmp_path)


def test_labels_are_mapped_by_their_names(tmp_path: Path) -> None:
    task = small_task()
    names = {0: "CALL_1", 1: "call_0"}
    plain = write_model(tmp_path / "plain", RobertaForSequenceClassification, task)
    turned = write_model(tmp_path / "turned", RobertaForSequenceClassification, task, id2label=names)
    teachers = [load_teacher(TeacherSettings(checkpoint=path), task, cache_dir=tmp_path) for path in (plain, turned)]
    logits, other = (teacher.logits("valid") for teacher in teachers)
    np.testing.assert_array_equal(other, logits[:, ::-1])
    assert teachers[0].fingerprint != teachers[1].fingerprint


@pytest.mark.parametrize("name", ["tokenizer.json", "tokenizer_config.json", "config.json", "model.safetensors"])
def test_the_fingerprint_covers_every_file_that_is_read(name: str, tmp_path: Path) -> None:
    task = small_task()
    source = write_model(tmp_path / "model", RobertaForSequenceClassification, task)
    settings = TeacherSettings(checkpoint=source)
    before = load_teacher(settings, task, cache_dir=tmp_path).fingerprint
    path = Path(source) / name
    if name == "model.safetensors":
        write_model(tmp_path / "other", RobertaForSequenceClassification, task, initializer_range=0.5)
        path.write_bytes((tmp_path / "other" / name).read_bytes())
    else:
        path.write_text(path.read_text() + "\n")
    assert load_teacher(settings, task, cache_dir=tmp_path).fingerprint != before
