"""Oracles: the published figures of the checkpoints in ../shared, stock transformers, and the labels."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    RobertaModel,
    T5Config,
    T5Model,
)

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import (
    EVALUATION_BATCH,
    Classifier,
    EpochRecord,
    Teacher,
    load_pretrained,
    train_tokenizer,
)
from avatar_optuna.distillation._classifier import load_tokenizer
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TaskSettings, TeacherSettings
from avatar_optuna.students.transformer.network import load_student
from avatar_optuna.tasks import Task, load_task
from avatar_optuna.teachers import check_teacher, load_teacher

MakeTask = Callable[[TaskShape], Task]


def _tiny_roberta(kind: Any, **options: Any) -> Any:
    torch.manual_seed(0)
    return kind(
        RobertaConfig(
            vocab_size=400,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=66,
            type_vocab_size=1,
            **options,
        )
    )


def _write_checkpoint(directory: Path, task: Task, model: Any) -> Path:
    model.save_pretrained(directory)
    train_tokenizer("BPE", 400, task.train.functions).save_pretrained(directory)
    return directory


def test_trained_from_scratch_once_and_found_again(
    pair_teacher: Teacher, architecture: TeacherSettings, cache_dir: Path
) -> None:
    right = (pair_teacher.logits("valid").argmax(1) == pair_teacher.task.valid.labels).mean()
    assert right > 0.8
    epochs: list[EpochRecord] = []
    again = load_teacher(architecture, pair_teacher.task, cache_dir=cache_dir, on_epoch=epochs.append)
    assert not epochs
    assert again.fingerprint == pair_teacher.fingerprint
    np.testing.assert_array_equal(again.logits("train"), pair_teacher.logits("train"))


def test_an_interrupted_teacher_goes_on(make_task: MakeTask, architecture: TeacherSettings, tmp_path: Path) -> None:
    task = make_task(TaskShape(arity=1))

    def stop(record: EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_teacher(architecture, task, cache_dir=tmp_path, on_epoch=stop)
    epochs: list[int] = []
    resumed = load_teacher(architecture, task, cache_dir=tmp_path, on_epoch=lambda record: epochs.append(record.epoch))
    assert epochs[0] == 2
    whole = load_teacher(architecture, task, cache_dir=tmp_path / "other")
    np.testing.assert_array_equal(resumed.logits("test"), whole.logits("test"))


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("model.safetensors", lambda content: content[: len(content) // 2]),
        ("model.safetensors", lambda content: b"\0" * len(content)),
        ("model.safetensors", lambda content: content[:-1] + bytes([content[-1] ^ 1])),
        ("tokenizer.json", lambda content: b""),
        ("tokenizer_config.json", lambda content: b"{}"),
        ("config.json", lambda content: None),
        ("avatar.json", lambda content: content[:-9]),
    ],
)
def test_a_damaged_trained_teacher_is_trained_again(
    name: str,
    damage: Callable[[bytes], bytes | None],
    make_task: MakeTask,
    architecture: TeacherSettings,
    tmp_path: Path,
) -> None:
    """As it was, bit for bit: cut, zeroed, changed in one bit, emptied, replaced or removed."""
    task, epochs = make_task(TaskShape(arity=1)), list[int]()
    settings = TeacherSettings(architecture=architecture.source, epochs=1, max_sequence_length=64)
    before = load_teacher(settings, task, cache_dir=tmp_path)
    (directory,) = (tmp_path / "teachers").glob("trained-*")
    files = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "avatar.json"}
    content = damage((directory / name).read_bytes())
    (directory / name).unlink() if content is None else (directory / name).write_bytes(content)

    again = load_teacher(settings, task, cache_dir=tmp_path, on_epoch=lambda record: epochs.append(record.epoch))
    assert epochs == [1]
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "avatar.json"} == files
    assert again.fingerprint == before.fingerprint
    np.testing.assert_array_equal(again.logits("test"), before.logits("test"))


def test_vectors_are_cached_as_plain_arrays_after_a_digest(pair_teacher: Teacher, cache_dir: Path) -> None:
    vectors = pair_teacher.vectors("train")
    assert vectors is not None
    path = cache_dir / "teachers" / pair_teacher.fingerprint[:32] / "vectors_train.npy"
    digest, content = path.read_bytes()[:32], path.read_bytes()[32:]
    assert digest == hashlib.sha256(content).digest()
    np.testing.assert_array_equal(np.load(io.BytesIO(content), allow_pickle=False), vectors)
    assert vectors.shape == (len(pair_teacher.task.train.functions), 32)


def test_logits_are_those_of_each_input_alone(pair_teacher: Teacher, single_teacher: Teacher) -> None:
    for teacher in (pair_teacher, single_teacher):
        assert teacher.classifier is not None
        split = teacher.task.test
        for row in (0, 7):
            functions = [split.functions[place] for place in split.inputs[row]]
            alone = teacher.classifier.predict_logits(functions, np.arange(len(functions))[None])
            np.testing.assert_allclose(alone[0], teacher.logits("test")[row], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("task_shape", [TaskShape(arity=1), TaskShape(arity=2)])
def test_a_pretrained_encoder_is_fine_tuned(task_shape: TaskShape, make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(task_shape)
    source = _write_checkpoint(tmp_path / "encoder", task, _tiny_roberta(RobertaModel))
    settings = TeacherSettings(pretrained=str(source), epochs=8, learning_rate=1e-2, max_sequence_length=48)
    teacher = load_teacher(settings, task, cache_dir=tmp_path / "cache")
    right = (teacher.logits("train").argmax(1) == task.train.labels).mean()
    assert right > 0.7
    assert teacher.classifier is not None
    assert teacher.classifier.max_sequence_length == 48
    trained = next((tmp_path / "cache" / "teachers").glob("trained-*/avatar.json")).parent
    assert json.loads((trained / "avatar.json").read_text())["is_student"] is False
    assert not (trained / "checkpoint").exists()
    if not task_shape.is_pair:
        stock = AutoModelForSequenceClassification.from_pretrained(trained)
        assert stock.config.id2label == {0: "pure", 1: "reads"}


@pytest.mark.parametrize("arity", [1, 2])
def test_a_teacher_of_another_task_is_fine_tuned(arity: int, make_task: MakeTask, tmp_path: Path) -> None:
    """What was trained here for pairs learns about single functions, and the other way round: its head is new."""
    of_pairs, of_one = make_task(TaskShape(arity=2)), make_task(TaskShape(arity=1))
    before, after = (of_pairs, of_one) if arity == 1 else (of_one, of_pairs)
    sizes = {"num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
    settings = TeacherSettings(
        architecture={"vocab_size": 400, **sizes}, epochs=1, max_sequence_length=64, learning_rate=1e-3
    )
    load_teacher(settings, before, cache_dir=tmp_path / "before")
    (source,) = (tmp_path / "before" / "teachers").glob("trained-*")
    if before.shape.is_pair:  # that of single functions is a stock RoBERTa
        first = load_student(source)
        begun = load_pretrained(str(source), after.shape, after.label_names)
        assert not torch.equal(begun.state_dict()["classifier.dense.weight"], first.classifier.dense.weight)
        for name, tensor in first.roberta.state_dict().items():
            torch.testing.assert_close(begun.state_dict()[f"roberta.{name}"], tensor, rtol=0, atol=0)
    tuned = TeacherSettings(pretrained=str(source), epochs=8, learning_rate=1e-2, max_sequence_length=48)
    check_teacher(tuned, after, cache_dir=tmp_path / "after")
    teacher = load_teacher(tuned, after, cache_dir=tmp_path / "after")
    assert (teacher.logits("train").argmax(1) == after.train.labels).mean() > 0.7


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "model.safetensors must"),
        ("model.safetensors", b"", "model.safetensors must hold the model"),
        ("tokenizer.json", b'{"version": "9.9"}', "tokenizer.json must hold a tokenizer"),
        ("config.json", b'{"model_type": "t5"}', "model.safetensors must|must classify functions in batches"),
    ],
)
def test_a_pretrained_encoder_is_tried_before_anything_is_written(
    name: str, content: bytes, words: str, make_task: MakeTask, tmp_path: Path
) -> None:
    task = make_task(TaskShape(arity=1))
    source = _write_checkpoint(tmp_path / "encoder", task, _tiny_roberta(RobertaModel))
    settings = TeacherSettings(pretrained=str(source))
    check_teacher(settings, task, cache_dir=tmp_path / "cache")
    (source / name).write_bytes(content)
    with pytest.raises(InputError, match=words):
        check_teacher(settings, task, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_model_that_does_not_take_the_tokenizers_ends_is_refused(make_task: MakeTask, tmp_path: Path) -> None:
    """T5 classifies by the end token of each function: without one in every function it cannot."""
    task = make_task(TaskShape(arity=1))
    config = T5Config(vocab_size=400, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, eos_token_id=399)
    source = _write_checkpoint(tmp_path / "t5", task, T5Model(config))
    with pytest.raises(InputError, match="must classify functions in batches, it cannot"):
        check_teacher(TeacherSettings(pretrained=str(source)), task, cache_dir=tmp_path / "cache")


def test_a_fine_tuned_classifier_is_a_teacher(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(TaskShape(arity=1))
    source = _write_checkpoint(tmp_path / "model", task, _tiny_roberta(RobertaForSequenceClassification))
    teacher = load_teacher(TeacherSettings(checkpoint=str(source)), task, cache_dir=tmp_path / "cache")
    stock = AutoModelForSequenceClassification.from_pretrained(source).eval()
    assert teacher.classifier is not None
    encoded = teacher.classifier.tokenizer(task.test.functions[0], return_tensors="pt", truncation=True, max_length=64)
    with torch.no_grad():
        expected = stock(encoded["input_ids"]).logits.numpy()
    np.testing.assert_allclose(teacher.logits("test")[:1], expected, atol=1e-4)
    assert teacher.vectors("train") is not None


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"checkpoint": "{path}/absent"}, "must be a directory or a model of the hub"),
        ({"checkpoint": "{path}/empty"}, "config.json must describe a model"),
        ({"checkpoint": "{path}/encoder"}, "lacks classifier.*: is it fine-tuned"),
        (
            {"soft_labels": "{path}/empty"},
            r"empty: it must hold one of soft_labels_train\.npy, .*\.jsonl, .*\.csv, got none",
        ),
        ({"soft_labels": "{path}/short"}, r"soft_labels_train.npy: it must hold floats of shape \(96, 2\)"),
    ],
)
def test_a_teacher_that_cannot_be_is_refused(
    make_task: MakeTask, tmp_path: Path, settings: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    task = make_task(TaskShape(arity=1))
    (tmp_path / "empty").mkdir()
    (tmp_path / "short").mkdir()
    np.save(tmp_path / "short" / "soft_labels_train.npy", np.zeros((3, 2), dtype=np.float16))
    _write_checkpoint(tmp_path / "encoder", task, _tiny_roberta(RobertaModel))
    values = {key: value.format(path=tmp_path) for key, value in settings.items()}
    with pytest.raises(InputError, match=words):
        load_teacher(TeacherSettings(**values), task, cache_dir=tmp_path / "cache")


def test_a_pair_checkpoint_needs_its_head(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(TaskShape(arity=2))
    source = _write_checkpoint(tmp_path / "encoder", task, _tiny_roberta(RobertaModel))
    with pytest.raises(InputError, match=r"must hold pair_head\.safetensors"):
        load_teacher(TeacherSettings(checkpoint=str(source)), task, cache_dir=tmp_path / "cache")


def test_soft_labels_alone(make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task(TaskShape(arity=1))
    for name in ("train", "valid"):
        np.save(tmp_path / f"soft_labels_{name}.npy", np.zeros((len(task.splits[name]), 2), dtype=np.float16))
    teacher = load_teacher(TeacherSettings(soft_labels=str(tmp_path)), task, cache_dir=tmp_path / "cache")
    assert teacher.classifier is None
    assert teacher.vectors("train") is None
    assert teacher.logits("valid").dtype == np.float32
    with pytest.raises(InputError, match="no soft labels for the test split"):
        teacher.logits("test")
    np.save(tmp_path / "soft_labels_valid.npy", np.array([{}] * 24, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="soft_labels_valid"):
        load_teacher(TeacherSettings(soft_labels=str(tmp_path)), task, cache_dir=tmp_path / "cache")


def test_the_published_clone_detector(shared: Path) -> None:
    """On 60 of the 2,000 test pairs, so that the test ends in seconds; the whole set gives 95.4 %."""
    task = load_task(
        TaskSettings(
            kind="clone-detection", data=str(shared / "data" / "bigclonebench"), max_train=4, max_valid=4, max_test=60
        )
    )
    classifier = Classifier.load(shared / "teachers" / "compressor-codebert-clone-3mb", task_shape=TaskShape(arity=2))
    assert classifier.max_sequence_length == 400
    logits = classifier.predict_logits(task.test.functions, task.test.inputs)
    assert (logits.argmax(1) == task.test.labels).mean() > 0.85


def test_the_published_clone_detector_gives_its_own_soft_labels(shared: Path) -> None:
    task = load_task(TaskSettings(kind="clone-detection", data=str(shared / "data" / "bigclonebench")))
    classifier = Classifier.load(shared / "teachers" / "compressor-codebert-clone-3mb")
    published = np.load(shared / "data" / "bigclonebench" / "soft_labels_valid.npy")[:20].astype(np.float32)
    rows = task.valid.take(np.arange(20))
    logits = classifier.predict_logits(rows.functions, rows.inputs)
    np.testing.assert_allclose(logits, published, atol=0.02)


def test_a_published_vulnerability_predictor_loads(shared: Path, make_task: MakeTask, tmp_path: Path) -> None:
    source = shared / "teachers" / "compressor-codebert-vulnerability-3mb"
    task = load_task(
        TaskSettings(
            kind="vulnerability-prediction", data=str(shared / "data" / "devign"), max_train=4, max_valid=4, max_test=20
        )
    )
    teacher = load_teacher(TeacherSettings(checkpoint=str(source)), task, cache_dir=tmp_path)
    assert teacher.logits("test").shape == (20, 2)
    with pytest.raises(InputError, match=r"pair_head\.safetensors"):
        load_teacher(TeacherSettings(checkpoint=str(source)), make_task(TaskShape(arity=2)), cache_dir=tmp_path)


@pytest.mark.parametrize("length", [0, -1, "512", True, [512]])
def test_a_tokenizer_whose_length_is_no_positive_number_is_refused(length: object, tmp_path: Path) -> None:
    functions = ["int main() { return 0; }", "void close(int file) { }"]
    train_tokenizer("BPE", 300, functions).save_pretrained(tmp_path)
    settings = tmp_path / "tokenizer_config.json"
    settings.write_text(json.dumps({**json.loads(settings.read_text()), "model_max_length": length}))
    with pytest.raises(InputError, match="model_max_length of the tokenizer must be a number of at least 1"):
        load_tokenizer(str(tmp_path))


def test_a_tokenizer_that_panics_is_refused(tmp_path: Path) -> None:
    """Rust code of `tokenizers` panics where a template names a token that it does not list: no `Exception`."""
    train_tokenizer("BPE", 300, ["int main() { return 0; }"]).save_pretrained(tmp_path)
    path = tmp_path / "tokenizer.json"
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<x>", "type_id": 0}}], "pair": []}
    written = {**json.loads(path.read_text()), "post_processor": {**template, "special_tokens": {}}}
    path.write_text(json.dumps(written))
    with pytest.raises(InputError, match=r"tokenizer\.json must hold a tokenizer"):
        load_tokenizer(str(tmp_path))


class _Stopping(torch.nn.Module):
    """A network that counts the functions it reads, and is interrupted after so many batches."""

    def __init__(self, network: Any, after: int) -> None:
        super().__init__()
        self.network, self.after, self.functions = network, after, 0

    def encode(self, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        if not self.after:
            raise KeyboardInterrupt
        self.after -= 1
        self.functions += len(ids)
        return self.network.encode(ids, mask)  # type: ignore[no-any-return]

    def classify(self, vectors: torch.Tensor) -> torch.Tensor:
        return self.network.classify(vectors)  # type: ignore[no-any-return]


@pytest.mark.parametrize("is_pair", [True, False])
def test_answers_are_computed_part_by_part_and_go_on(
    is_pair: bool, pair_teacher: Teacher, single_teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some functions at a time, as of a large set: the same figures; the last part alone is read twice."""
    teacher = pair_teacher if is_pair else single_teacher
    whole, classifier = teacher.logits("train"), teacher.classifier
    assert classifier is not None
    monkeypatch.setattr("avatar_optuna.distillation._teacher._BATCHES_AT_ONCE", 1)
    monkeypatch.setattr("avatar_optuna.distillation._teacher._INPUTS_AT_ONCE", 10)
    first, second = _Stopping(classifier.network, after=2), _Stopping(classifier.network, after=1000)

    def asked(network: _Stopping) -> Teacher:
        own = replace(classifier, network=network)
        return Teacher(source="", fingerprint="f", task=teacher.task, classifier=own, cache_dir=tmp_path)

    with pytest.raises(KeyboardInterrupt):
        asked(first).logits("train")
    np.testing.assert_allclose(asked(second).logits("train"), whole, rtol=1e-3, atol=1e-4)
    assert first.functions == 2 * EVALUATION_BATCH["cpu"]
    assert first.functions + second.functions == len(teacher.task.train.functions) + EVALUATION_BATCH["cpu"]
