"""Checkpoints that were trained with data flow, beside the logits of the published code; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import DataFlowReader
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Split, Task
from avatar_optuna.teachers import check_teacher, load_teacher
from avatar_optuna.teachers.checkpoints.saving import save_teacher
from tests.data_flow_tests.oracle import rows_of
from tests.teachers_tests.conftest import Oracle

CLONE, VULNERABILITY = "microsoft_graphcodebert_clone", "compressor_graphcodebert_vulnerability"


def _task(oracle: Oracle, inputs: str, language: str) -> Task:
    rows = rows_of(oracle.folder / f"model_inputs_{inputs}.jsonl")
    sources = {row["id"]: row["source"] for row in rows}
    arity = 2 if language == "java" else 1
    places = np.arange(len(sources), dtype=np.int32).reshape(-1, arity)
    split = Split(functions=tuple(sources.values()), inputs=places, labels=np.arange(len(places), dtype=np.int64) % 2)
    names = ("no", "yes")
    return Task(
        kind="oracle",
        shape=TaskShape(arity=arity),
        language=language,
        label_names=names,
        train=split,
        valid=split,
        test=split,
    )


def _settings(oracle: Oracle, name: str, folder: Path, **options: Any) -> TeacherSettings:
    base = oracle.base(name, folder / "base")
    return TeacherSettings(checkpoint=str(oracle.checkpoint(name)), base=str(base), **options)


FLOW = {"head": "softmax", "lower_case": False, "one_line": False}


@pytest.mark.parametrize(
    ("name", "inputs", "language", "options"),
    [
        (CLONE, "java", "java", {**FLOW, "data_flow": "graphcodebert-split-strings"}),
        (CLONE, "java_string_leaf", "java", {**FLOW, "data_flow": "graphcodebert"}),
        (
            CLONE,
            "java_512_128",
            "java",
            {**FLOW, "data_flow": "graphcodebert-split-strings", "code_length": 512, "data_flow_length": 128},
        ),
        (VULNERABILITY, "c_compressor", "c", {"layout": "compressor-graphcodebert-vulnerability"}),
    ],
)
def test_the_logits_are_those_of_the_published_code(
    oracle: Oracle, tmp_path: Path, name: str, inputs: str, language: str, options: dict[str, Any]
) -> None:
    file = oracle.folder / f"model_inputs_{inputs}.jsonl"
    inputs_of = inputs if file.is_file() else "java"  # the same functions, at other lengths
    task, settings = _task(oracle, inputs_of, language), _settings(oracle, name, tmp_path, **options)
    expected = np.asarray(oracle.outputs[f"{name}/{inputs}"]["logits"])
    task = replace(
        task, train=task.train.take(np.arange(len(expected))), valid=task.valid.take(np.arange(len(expected)))
    )
    check_teacher(settings, task, cache_dir=tmp_path)
    teacher = load_teacher(settings, task, cache_dir=tmp_path)
    classifier = teacher.classifier
    assert classifier is not None
    assert isinstance(classifier.reader, DataFlowReader)
    exact = replace(classifier, reader=replace(classifier.reader, fills=True))
    logits = exact.predict_logits(task.valid.functions, task.valid.inputs)
    if "layout" in options:
        expected = np.stack([np.zeros(len(expected)), expected[:, 0]], axis=1)
    assert np.abs(logits - expected).max() < 1e-5
    assert np.abs(teacher.logits("valid") - expected).max() < 1e-3  # without padding

    save_teacher(teacher, tmp_path / "saved")
    again = load_teacher(TeacherSettings(checkpoint=str(tmp_path / "saved")), task, cache_dir=tmp_path / "anew")
    assert np.abs(again.logits("valid") - teacher.logits("valid")).max() < 1e-6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data_flow": "codebert"}, "data_flow must be one of"),
        ({"data_flow": "avatar", "language": "python"}, "as avatar extracts it is that of c and java, got 'python'"),
        ({"code_length": 100}, "code_length must be absent: it is of checkpoints with data_flow, got 100"),
        ({"data_flow": "graphcodebert", "code_length": 0}, "code_length must be a whole number from 1 to 4096, got 0"),
        (
            {"layout": "compressor-graphcodebert-vulnerability", "data_flow": "avatar"},
            "data_flow must be absent: the layout",
        ),
        (
            {"data_flow": "graphcodebert", "language": "python", **FLOW},
            "teacher.data_flow: none of .* functions has any, as graphcodebert",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    oracle: Oracle, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    flow = FLOW if "data_flow" in options and "layout" not in options else {}
    settings = _settings(oracle, CLONE, tmp_path, **{**flow, **options})
    task = _task(oracle, "java", "java")
    if options.get("language") == "python" and "head" in options:
        garbled = replace(task.train, functions=tuple(f"((( {number}" for number in range(20)))
        task = replace(task, train=garbled, valid=garbled)
    with pytest.raises(InputError, match=message) as refused:
        check_teacher(settings, task, cache_dir=tmp_path)
    assert "\n" not in str(refused.value)
