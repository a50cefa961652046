"""Oracles: an uninterrupted run, the labels, and stock transformers."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from avatar_optuna.costs import num_parameters, size_bytes
from avatar_optuna.distillation import Classifier, EpochRecord, Teacher, TrainedStudent, distil
from avatar_optuna.distillation._checkpoint import CHECKPOINT_FILE
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import DistillationSettings
from avatar_optuna.students import Configuration
from avatar_optuna.students.hashed import HASHED
from avatar_optuna.students.transformer import TRANSFORMER

SETTINGS = DistillationSettings(epochs=4, hard_label_weight=0.3)


def _distil(student: Configuration, teacher: Teacher, out_dir: Path, cache_dir: Path, **options: Any) -> TrainedStudent:
    values = {"settings": SETTINGS, "epochs": 4, **options}
    return distil(
        hyperparameters=student, task=teacher.task, teacher=teacher, out_dir=out_dir, cache_dir=cache_dir, **values
    )


def _weights(directory: Path) -> bytes:
    return (directory / "model.safetensors").read_bytes()


class Stop(Exception):  # noqa: N818
    pass


def _stop_after(epoch: int) -> Any:
    def on_epoch(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise Stop

    return on_epoch


@pytest.mark.parametrize("which", ["pair_teacher", "single_teacher"])
def test_a_hashed_student_learns_is_saved_and_predicts(
    which: str, request: pytest.FixtureRequest, tmp_path: Path, cache_dir: Path
) -> None:
    teacher: Teacher = request.getfixturevalue(which)
    student = HASHED.configure(
        grams="token-bigrams", buckets=512, width=8, pooling="mean", num_hidden_layers=1, intermediate_size=16,
        hidden_dropout_prob=0.0, max_sequence_length=64, learning_rate=3e-2, batch_size=16,
    )  # fmt: skip
    done = _distil(student, teacher, tmp_path / "student", cache_dir, epochs=8)
    assert done.valid_metrics["balanced_accuracy"] > 0.8
    assert done.size_bytes <= size_bytes(student, teacher.task.shape)
    names = sorted(path.name for path in done.directory.iterdir())
    assert names == ["avatar.json", "config.json", "model.safetensors"]
    classifier, split = Classifier.load(done.directory), teacher.task.valid
    logits = classifier.predict_logits(split.functions, split.inputs)
    assert (logits.argmax(axis=1) == split.labels).mean() == pytest.approx(done.valid_metrics["accuracy"])


@pytest.mark.parametrize("precision", ["float16", "int8", "int4"])
@pytest.mark.parametrize("family", ["hashed", "transformer"])
def test_figures_are_those_of_the_written_precision(
    family: str,
    precision: str,
    pair_teacher: Teacher,
    small_student: Configuration,
    tmp_path: Path,
    cache_dir: Path,
) -> None:
    hashed = HASHED.configure(
        grams="tokens", buckets=128, width=6, pooling="mean", num_hidden_layers=1, intermediate_size=5,
        hidden_dropout_prob=0.0, max_sequence_length=64, learning_rate=3e-2, batch_size=16,
    )  # fmt: skip
    student = (hashed if family == "hashed" else small_student).replace(precision=precision)
    done = _distil(student, pair_teacher, tmp_path / "student", cache_dir, epochs=2)
    assert done.size_bytes <= size_bytes(student, pair_teacher.task.shape)
    assert done.size_bytes < size_bytes(student.replace(precision="float32"), pair_teacher.task.shape)
    classifier, split = Classifier.load(done.directory), pair_teacher.task.valid
    logits = torch.from_numpy(classifier.predict_logits(split.functions, split.inputs))
    loss = float(torch.nn.functional.cross_entropy(logits, torch.from_numpy(split.labels)))
    assert loss == pytest.approx(done.valid_metrics["loss"], rel=1e-5)


@pytest.mark.parametrize("which", ["pair_teacher", "single_teacher"])
def test_a_student_learns_is_saved_and_predicts(
    which: str, request: pytest.FixtureRequest, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    teacher: Teacher = request.getfixturevalue(which)
    done = _distil(small_student, teacher, tmp_path / "student", cache_dir, epochs=8)
    assert [record.epoch for record in done.history] == list(range(1, 9))
    best = max(record.valid["balanced_accuracy"] for record in done.history)
    assert done.valid_metrics["balanced_accuracy"] == best > 0.8
    assert done.history[done.best_epoch - 1].valid == done.valid_metrics
    assert done.size_bytes <= size_bytes(small_student, teacher.task.shape)
    names = sorted(path.name for path in done.directory.iterdir())
    assert names == ["avatar.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]

    classifier = Classifier.load(done.directory)
    assert classifier.num_parameters == num_parameters(small_student, teacher.task.shape)
    valid = teacher.task.valid
    logits = classifier.predict_logits(valid.functions, valid.inputs)
    recalls = [(logits.argmax(1) == label)[valid.labels == label].mean() for label in (0, 1)]
    assert np.mean(recalls) == pytest.approx(best)
    one = classifier.forward(*classifier.prepare([valid.functions[place] for place in valid.inputs[3]]))
    np.testing.assert_allclose(one[0].numpy(), logits[3], atol=1e-4)


def test_interrupted_and_resumed_equals_uninterrupted(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    whole = _distil(small_student, pair_teacher, tmp_path / "whole", cache_dir)
    for epoch in (1, 3):
        with pytest.raises(Stop):
            _distil(small_student, pair_teacher, tmp_path / "parts", cache_dir, on_epoch=_stop_after(epoch))
    torch.rand(3)  # the process's own randomness has no say
    seen: list[int] = []
    parts = _distil(
        small_student, pair_teacher, tmp_path / "parts", cache_dir, on_epoch=lambda record: seen.append(record.epoch)
    )
    assert seen == [4]
    assert _weights(parts.directory) == _weights(whole.directory)
    assert [r.valid for r in parts.history] == [r.valid for r in whole.history]


def test_a_training_in_parts_equals_one_in_one_go(
    pair_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    whole = _distil(small_student, pair_teacher, tmp_path / "whole", cache_dir)
    part = _distil(small_student, pair_teacher, tmp_path / "part", cache_dir, stop_after=1)
    assert [record.valid for record in part.history] == [whole.history[0].valid]
    assert Classifier.load(part.directory).num_parameters == num_parameters(small_student, pair_teacher.task.shape)
    for index, stop_after in enumerate((3, None)):
        (tmp_path / str(index) / "checkpoint").mkdir(parents=True)
        shutil.move(part.directory / CHECKPOINT_FILE, tmp_path / str(index) / "checkpoint")
        seen: list[int] = []
        part = _distil(
            small_student,
            pair_teacher,
            tmp_path / str(index),
            cache_dir,
            stop_after=stop_after,
            on_epoch=lambda record, seen=seen: seen.append(record.epoch),
        )
        assert seen == [[2, 3], [4]][index]
    assert _weights(part.directory) == _weights(whole.directory)
    assert [record.valid for record in part.history] == [record.valid for record in whole.history]
    assert not (part.directory / CHECKPOINT_FILE).exists()


class FolderStore:
    """A checkpoint store over a folder, as the pool has one over artifacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, directory: Path) -> None:
        shutil.copytree(directory, self.folder, dirs_exist_ok=True)

    def load(self, directory: Path) -> bool:
        if self.folder.is_dir():
            shutil.copytree(self.folder, directory, dirs_exist_ok=True)
        return self.folder.is_dir()


def test_resumed_on_another_machine_through_the_store(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    store = FolderStore(tmp_path / "store")
    whole = _distil(small_student, single_teacher, tmp_path / "whole", cache_dir)
    with pytest.raises(Stop):
        _distil(small_student, single_teacher, tmp_path / "here", cache_dir, checkpoint=store, on_epoch=_stop_after(2))
    there = _distil(small_student, single_teacher, tmp_path / "there", cache_dir, checkpoint=store)
    assert _weights(there.directory) == _weights(whole.directory)


def test_a_checkpoint_of_another_run_is_not_taken_up(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    with pytest.raises(Stop):
        _distil(small_student, single_teacher, tmp_path, cache_dir, seed=1, on_epoch=_stop_after(1))
    seen: list[int] = []
    _distil(
        small_student, single_teacher, tmp_path, cache_dir, seed=2, on_epoch=lambda record: seen.append(record.epoch)
    )
    assert seen == [1, 2, 3, 4]


def test_the_seed_decides(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    weights = [
        _weights(_distil(small_student, single_teacher, tmp_path / name, cache_dir, seed=seed, epochs=1).directory)
        for name, seed in (("a", 5), ("b", 5), ("c", 6))
    ]
    assert weights[0] == weights[1] != weights[2]


def test_a_plain_single_student_needs_nothing_of_ours(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    plain = TRANSFORMER.configure(**{**small_student.to_dict(), "position_embedding_type": "absolute"})
    done = _distil(plain, single_teacher, tmp_path / "student", cache_dir, epochs=1)
    stock = AutoModelForSequenceClassification.from_pretrained(done.directory).eval()
    assert type(stock).__name__ == "RobertaForSequenceClassification"
    assert stock.config.id2label == {0: "pure", 1: "reads"}
    texts = list(single_teacher.task.test.functions[:5])
    encoded = AutoTokenizer.from_pretrained(done.directory)(texts, truncation=True, padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = stock(encoded["input_ids"], attention_mask=encoded["attention_mask"]).logits.numpy()
    ours = Classifier.load(done.directory).predict_logits(texts, np.arange(5)[:, None])
    np.testing.assert_allclose(logits, ours, atol=1e-4)


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_changed_file_is_refused(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path, name: str
) -> None:
    done = _distil(small_student, single_teacher, tmp_path / "student", cache_dir, epochs=1)
    data = bytearray((done.directory / name).read_bytes())
    data[-2] ^= 1
    (done.directory / name).write_bytes(data)
    with pytest.raises(InputError, match=f"{name} must have the SHA-256"):
        Classifier.load(done.directory)


def test_a_manifest_must_name_every_file(
    single_teacher: Teacher, small_student: Configuration, tmp_path: Path, cache_dir: Path
) -> None:
    done = _distil(small_student, single_teacher, tmp_path / "student", cache_dir, epochs=1)
    manifest = json.loads((done.directory / "avatar.json").read_text())
    del manifest["sha256"]["tokenizer.json"]
    (done.directory / "avatar.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=r"must list tokenizer\.json"):
        Classifier.load(done.directory)
