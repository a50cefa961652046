"""Sequence classifiers of transformers, of every kind. The oracle is the stock model, which reads each input alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    BartConfig,
    BertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    PLBartConfig,
    RobertaConfig,
    T5Config,
)

from avatar_optuna.distillation import load_pretrained
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task
from tests.teachers_tests.conftest import SIZES, write_tokenizer

_IDS = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}
_BART = {
    **_IDS,
    "vocab_size": 300,
    "d_model": 16,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "max_position_embeddings": 200,
    "decoder_start_token_id": 2,
}
CONFIGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "roberta": (RobertaConfig, {**SIZES, "max_position_embeddings": 202}),
    "bert": (BertConfig, {**SIZES, "type_vocab_size": 2, "max_position_embeddings": 200, "pad_token_id": 1}),
    "modernbert": (
        ModernBertConfig,
        {
            **{key: value for key, value in SIZES.items() if key != "type_vocab_size"},
            **{
                **_IDS,
                "cls_token_id": 0,
                "sep_token_id": 2,
                "max_position_embeddings": 200,
                "classifier_pooling": "mean",
            },
        },
    ),
    "codet5": (
        T5Config,
        {
            **_IDS,
            **{"vocab_size": 300, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
            "decoder_start_token_id": 1,
        },
    ),
    "bart": (BartConfig, _BART),
    "plbart": (PLBartConfig, _BART),
    "gpt2": (
        GPT2Config,
        {
            **{"vocab_size": 300, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 200},
            **{"bos_token_id": 0, "eos_token_id": 2, "pad_token_id": None},
        },
    ),
    "llama": (
        LlamaConfig,
        {
            **{key: value for key, value in SIZES.items() if key != "type_vocab_size"},
            **{"max_position_embeddings": 200, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": None},
        },
    ),
}


def make_model(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    kind, values = CONFIGS[name]
    return AutoModelForSequenceClassification.from_config(kind(**values, **options)).eval()


def write_classifier(folder: Path, name: str, task: Task, **options: Any) -> tuple[str, Any]:
    """A tiny classifier with random weights, and a tokenizer beside it."""
    model = make_model(name, **options)
    model.save_pretrained(folder)
    write_tokenizer(folder, task)
    return str(folder), model


def alone(model: Any, teacher: Any, task: Task) -> Any:
    """Logits (n, l) of the stock model for the validation split, each function on its own."""
    rows = []
    for function in task.valid.functions:
        ids = teacher.classifier.tokens([function]).ids[None].long()
        with torch.no_grad():
            rows.append(model(ids).logits[0].numpy())
    return np.stack(rows)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_sequence_classifier_answers_as_stock_transformers_does(name: str, tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    source, model = write_classifier(tmp_path / "model", name, task, num_labels=3)
    settings = TeacherSettings(checkpoint=source)
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), alone(model, teacher, task), atol=1e-5)
    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)


@pytest.mark.parametrize("name", CONFIGS)
def test_labels_and_logits_are_rewritten_in_the_last_layer(name: str, tmp_path: Path) -> None:
    """One logit that a sigmoid reads is the difference of two; names put labels in their order."""
    task = small_task()
    source, model = write_classifier(tmp_path / "one", name, task, num_labels=1)
    values = {"head": "sigmoid", "max_sequence_length": 48}
    teacher = load_teacher(TeacherSettings(checkpoint=source, **values), task, cache_dir=tmp_path)
    stock = alone(model, teacher, task)[:, 0]
    np.testing.assert_allclose(teacher.logits("valid"), np.stack([0 * stock, stock], axis=1), atol=1e-5)
    save_teacher(teacher, tmp_path / "saved")
    saved = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    assert saved.config.id2label == {0: "call_0", 1: "call_1"}
    np.testing.assert_allclose(alone(saved, teacher, task), teacher.logits("valid"), atol=1e-5)

    three = small_task(num_labels=3)
    source, model = write_classifier(tmp_path / "three", name, three, num_labels=3)
    settings = TeacherSettings(checkpoint=source, labels=["call_2", "Call_0", "call_1"])
    teacher = load_teacher(settings, three, cache_dir=tmp_path)
    np.testing.assert_allclose(teacher.logits("valid"), alone(model, teacher, three)[:, [1, 2, 0]], atol=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_a_decoder_without_a_padding_token_gets_one(name: str, tmp_path: Path) -> None:
    """Neither its configuration nor its tokenizer has one: functions of several lengths in a batch, and alone."""
    task = small_task(num_labels=3)
    source, model = write_classifier(tmp_path / "model", name, task, num_labels=3)
    for file in (tmp_path / "model").glob("*token*"):
        file.write_text(file.read_text(encoding="utf-8").replace('"pad_token": "<pad>"', '"pad_token": null'))
    settings = TeacherSettings(checkpoint=source)
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    assert teacher.classifier is not None
    lengths = teacher.classifier.tokens(task.valid.functions).host_lengths
    assert len(set(lengths.tolist())) > 1
    np.testing.assert_allclose(teacher.logits("valid"), alone(model, teacher, task), atol=1e-5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, 'must tell 2 labels apart, got 1; if a sigmoid reads its one logit, set teacher.head = "sigmoid"'),
        ({"head": "sigmoid of column 0"}, None),
        ({"head": "sigmoid of column 1"}, 'the head "sigmoid of column 1" needs two labels and more than 1 logits'),
        ({"head": "sigmoid", "labels": ["vulnerable"]}, r"teacher\.labels must name the label of each of 1 logits"),
        ({"head": "sigmoid", "pair": "cross"}, r"teacher\.pair reads pairs of functions, the task has single ones"),
    ],
)
def test_a_classifier_that_leaves_something_open_is_refused(
    options: dict[str, Any], words: str | None, tmp_path: Path
) -> None:
    task = small_task()
    source, _ = write_classifier(tmp_path / "model", "roberta", task, num_labels=1)
    settings = TeacherSettings(checkpoint=source, **options)
    if words is None:
        check_teacher(settings, task, cache_dir=tmp_path)
        return
    with pytest.raises(InputError, match=words) as refused:
        check_teacher(settings, task, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("options", [{}, {"lower_case": True}])
def test_labels_that_are_named_otherwise_are_asked_for(options: dict[str, Any], tmp_path: Path) -> None:
    task = small_task()
    source, _ = write_classifier(tmp_path / "model", "roberta", task, id2label={0: "bad", 1: "good"})
    message = "it names its labels bad, good, the task call_0, call_1: set teacher.labels to the task.s label of each"
    with pytest.raises(InputError, match=message) as refused:
        check_teacher(TeacherSettings(checkpoint=source, **options), task, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)
    logits = [
        load_teacher(
            TeacherSettings(checkpoint=source, labels=labels, **options), task, cache_dir=tmp_path / labels[0]
        ).logits("valid")
        for labels in (["call_0", "call_1"], ["call_1", "call_0"])
    ]
    np.testing.assert_array_equal(logits[0], logits[1][:, ::-1])


def test_a_classifier_of_other_labels_is_fine_tuned_with_a_new_last_layer(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    source, model = write_classifier(tmp_path / "model", "roberta", task, num_labels=2)
    settings = TeacherSettings(pretrained=source, epochs=1, max_sequence_length=48)
    check_teacher(settings, task, cache_dir=tmp_path / "cache")
    network = load_pretrained(source, task.shape, task.label_names)
    weights, before = network.model.state_dict(), model.state_dict()
    changed = {key for key, value in weights.items() if value.shape != before[key].shape}
    assert changed == {"classifier.out_proj.weight", "classifier.out_proj.bias"}
    assert all(torch.equal(weights[key], before[key]) for key in weights.keys() - changed)
    assert load_teacher(settings, task, cache_dir=tmp_path / "cache").logits("valid").shape == (len(task.valid), 3)


def test_a_pretrained_graphcodebert_is_said_to_learn_from_text_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    task = small_task(num_labels=3)
    for name in ("codebert", "GraphCodeBERT-base"):
        source, _ = write_classifier(tmp_path / name, "roberta", task, num_labels=3)
        settings = TeacherSettings(pretrained=source, epochs=1, max_sequence_length=48)
        load_teacher(settings, task, cache_dir=tmp_path / "cache")
        assert (f"{source} is fine-tuned on text alone" in caplog.text) == (name != "codebert")


def test_an_encoder_of_other_shapes_than_its_configuration_is_refused(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    source, _ = write_classifier(tmp_path / "model", "roberta", task, num_labels=2)
    config = tmp_path / "model" / "config.json"
    values = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps({**values, "intermediate_size": 2 * values["intermediate_size"]}), encoding="utf-8")
    with pytest.raises(InputError, match=r"must hold the model of config.json: roberta.encoder.*of shape"):
        check_teacher(TeacherSettings(pretrained=source), task, cache_dir=tmp_path / "cache")
