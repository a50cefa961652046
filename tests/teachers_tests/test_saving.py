"""What `teacher --save` writes. The oracle is what it was made from: the same logits, by us and by the stock model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from avatar_optuna.distillation import PAIR_HEAD_FILE, PairClassifier
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from avatar_optuna.testing.tasks import small_task
from tests.commands import run_command
from tests.finished_study import write_study
from tests.teachers_tests.conftest import write_base
from tests.teachers_tests.test_classifiers import alone, make_model, write_classifier

ARCHITECTURE = {
    "vocab_size": 300,
    "num_hidden_layers": 1,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
}


def _trained(task: Task, tmp_path: Path) -> Any:
    settings = TeacherSettings(architecture=ARCHITECTURE, epochs=1, max_sequence_length=48)
    return load_teacher(settings, task, cache_dir=tmp_path / "cache")


def _reloaded(directory: Path, task: Task, tmp_path: Path) -> Any:
    return load_teacher(TeacherSettings(checkpoint=str(directory)), task, cache_dir=tmp_path / "cache")


def test_a_teacher_that_was_trained_from_nothing(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    teacher = _trained(task, tmp_path)
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)
    stock = AutoModelForSequenceClassification.from_pretrained(tmp_path / "saved").eval()
    np.testing.assert_allclose(alone(stock, teacher, task), teacher.logits("valid"), atol=1e-5)
    assert AutoTokenizer.from_pretrained(tmp_path / "saved").model_max_length == 48


def test_a_teacher_of_pairs_that_was_trained_from_nothing_becomes_a_roberta(tmp_path: Path) -> None:
    task = small_task(arity=2, num_labels=3)
    teacher = _trained(task, tmp_path)
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    assert isinstance(again.classifier.network, PairClassifier)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-5)
    assert (tmp_path / "saved" / PAIR_HEAD_FILE).is_file()
    assert AutoModel.from_pretrained(tmp_path / "saved").config.model_type == "roberta"


def test_labels_in_another_order_are_saved_as_the_model_has_them(tmp_path: Path) -> None:
    task = small_task(num_labels=3)
    names = {0: "call_2", 1: "CALL_0", 2: "call_1"}
    source, model = write_classifier(tmp_path / "model", "bert", task, id2label=names)
    teacher = load_teacher(TeacherSettings(checkpoint=source), task, cache_dir=tmp_path / "cache")
    np.testing.assert_allclose(teacher.logits("valid"), alone(model, teacher, task)[:, [1, 2, 0]], atol=1e-5)
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)


def test_lower_casing_is_a_part_of_the_saved_tokenizer(tmp_path: Path) -> None:
    task = small_task()
    torch.save(make_model("roberta").state_dict(), tmp_path / "model.bin")
    settings = TeacherSettings(
        checkpoint=str(tmp_path / "model.bin"),
        base=str(write_base(tmp_path / "base", task, make_model("roberta").config)),
        layout="avatar-codebert-vulnerability",
    )
    teacher = load_teacher(settings, task, cache_dir=tmp_path / "cache")
    save_teacher(teacher, tmp_path / "saved")
    again = _reloaded(tmp_path / "saved", task, tmp_path)
    np.testing.assert_allclose(again.logits("valid"), teacher.logits("valid"), atol=1e-6)
    stock = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert stock(" VOID\n F( )")["input_ids"] == stock("void f( )")["input_ids"]
    assert stock(" VOID\n F( )")["input_ids"] == again.classifier.tokens(["Void\tF( ) "]).ids.tolist()


def test_the_command_saves_a_directory_that_predicts(tmp_path: Path) -> None:
    write_study(tmp_path)
    result = run_command(tmp_path, "teacher", "study.toml", "--save", "saved")
    assert result.exit_code == 0, result.output
    assert "the teacher is in saved" in result.stdout
    function = json.loads((tmp_path / "data" / "test.jsonl").read_text(encoding="utf-8").splitlines()[0])["func"]
    (tmp_path / "one.c").write_text(function, encoding="utf-8")
    predicted = run_command(tmp_path, "predict", "saved", "one.c", "-f", "json")
    assert predicted.exit_code == 0, predicted.output
    refused = run_command(tmp_path, "teacher", "study.toml", "--save", "saved")
    assert refused.exit_code == 2
    assert "--save: saved must be a new directory, it exists" in refused.stderr


@pytest.mark.parametrize("content", [None, "text"])
def test_nothing_that_is_there_is_written_over(content: str | None, tmp_path: Path) -> None:
    teacher = _trained(small_task(), tmp_path)
    place = tmp_path / "there"
    if content is None:
        place.mkdir()
        save_teacher(teacher, place)  # an empty directory is as good as none
        assert (place / "config.json").is_file()
    else:
        place.write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match="must be a new directory, it exists"):
        save_teacher(teacher, place)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
