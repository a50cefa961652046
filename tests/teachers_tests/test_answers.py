"""Answers of any other model. The oracle is the array that was written, by hand, in each format."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import load_teacher, write_inputs
from avatar_optuna.testing.tasks import small_task
from tests.commands import run_command
from tests.finished_study import write_study

Rows = list[dict[str, Any]]


def _task() -> Task:
    return small_task(num_labels=3, inputs=9)


def _written_inputs(task: Task, folder: Path) -> Rows:
    count = write_inputs(task, folder / "inputs.jsonl")
    rows = [json.loads(line) for line in (folder / "inputs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == count
    return rows


def _write_lines(path: Path, rows: Rows) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def _logits(source: str, task: Task, tmp_path: Path) -> dict[str, Any]:
    teacher = load_teacher(TeacherSettings(soft_labels=source), task, cache_dir=tmp_path / "cache")
    assert teacher.classifier is None
    return {name: teacher.logits(name) for name in task.splits if teacher.has_logits(name)}


def test_the_inputs_are_the_functions_of_each_split(tmp_path: Path) -> None:
    task = small_task(arity=2, inputs=9)
    rows = _written_inputs(task, tmp_path)
    assert [row["split"] for row in rows] == ["train"] * 9 + ["valid"] * 9 + ["test"] * 9
    last = rows[-1]
    assert last["row"] == 8
    assert last["functions"] == [task.test.functions[place] for place in task.test.inputs[8]]


def test_lines_with_logits_probabilities_or_labels(tmp_path: Path) -> None:
    task = _task()
    rows = _written_inputs(task, tmp_path)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(len(rows), 3))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = task.label_names
    for index, row in enumerate(rows):
        if index % 3 == 0:
            row["logits"] = logits[index].tolist()
        elif index % 3 == 1:
            row["probabilities"] = dict(zip(reversed(names), probabilities[index][::-1].tolist(), strict=True))
        else:
            row |= {"label": names[index % 2], "probability": 0.8}
    answers = _logits(_write_lines(tmp_path / "answers.jsonl", [*reversed(rows)]), task, tmp_path)
    given = np.concatenate([answers[name] for name in ("train", "valid", "test")])
    softmax = np.exp(given) / np.exp(given).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(given[0::3], logits[0::3], rtol=1e-6)
    np.testing.assert_allclose(softmax[1::3], probabilities[1::3], atol=1e-6)
    assert softmax[2].tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert softmax[5].tolist() == pytest.approx([0.1, 0.8, 0.1])


@pytest.mark.parametrize("prefix", ["logit", "probability"])
def test_csv_with_a_column_for_each_label(prefix: str, tmp_path: Path) -> None:
    task = _task()
    values = np.random.default_rng(0).dirichlet(np.ones(3), size=27)
    with (tmp_path / "answers.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["row", "split", "remark", *(f"{prefix}_{name}" for name in task.label_names)])
        for index, row in enumerate(_written_inputs(task, tmp_path)):
            writer.writerow([row["row"], row["split"], "any, text", *values[index]])
    answers = _logits(str(tmp_path / "answers.csv"), task, tmp_path)
    expected = values if prefix == "logit" else np.log(values)
    np.testing.assert_allclose(np.concatenate(list(answers.values())), expected, rtol=1e-5)


def test_csv_with_a_label(tmp_path: Path) -> None:
    task = _task()
    lines = [f"{row['split']},{row['row']},call_1" for row in _written_inputs(task, tmp_path)]
    (tmp_path / "answers.csv").write_text("\n".join(["split,row,label", *lines]), encoding="utf-8")
    answers = _logits(str(tmp_path / "answers.csv"), task, tmp_path)
    assert np.exp(answers["train"][0]).tolist() == pytest.approx([0.025, 0.95, 0.025])


def test_a_folder_of_files_in_several_formats(tmp_path: Path) -> None:
    task = _task()
    np.save(tmp_path / "soft_labels_train.npy", np.eye(3, dtype=np.float32)[task.train.labels])
    _write_lines(tmp_path / "soft_labels_valid.jsonl", [{"logits": [1, 2, 3]} for _ in range(9)])
    answers = _logits(str(tmp_path), task, tmp_path)
    assert answers["train"].argmax(axis=1).tolist() == task.train.labels.tolist()
    assert answers["valid"].tolist() == [[1, 2, 3]] * 9
    assert set(answers) == {"train", "valid"}
    np.save(tmp_path / "soft_labels_valid.npy", np.zeros((9, 3)))
    with pytest.raises(InputError, match=r"one file for valid, got soft_labels_valid\.npy, soft_labels_valid\.jsonl"):
        _logits(str(tmp_path), task, tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "dev"}, r"answers\.jsonl:1: split must be one of train, valid, test, got 'dev'"),
        ({"row": 9}, "row must be a whole number from 0 to 8 of train, got 9"),
        ({"row": True}, "row must be a whole number from 0 to 8 of train, got True"),
        (
            {"row": 1, "functions": None},
            r"l:2: each input must be answered once, row 1 of train is there",
        ),
        (
            {"functions": ["def other(): pass"]},
            "functions must be those of row 0, they are others: was the data",
        ),
        ({"logits": None}, "logits must be a finite number for each of call_0, call_1, call_2, got None"),
        ({"logits": [1, 2]}, "logits must be a finite number for each"),
        ({"logits": {"call_0": 1, "call_1": 2}}, "logits must be a finite number for each"),
        ({"logits": [1, 2, float("nan")]}, "logits must be a finite number for each"),
        ({"probabilities": [0.5, 0.5, 0.0]}, "needs one of logits, probabilities, label, got logits, probabilities"),
    ],
)
def test_a_line_that_is_no_answer_is_refused(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    task = _task()
    rows = [{**row, "logits": [0.0, 1.0, 2.0]} for row in _written_inputs(task, tmp_path)]
    rows[0] |= change
    with pytest.raises(InputError, match=words):
        _logits(_write_lines(tmp_path / "answers.jsonl", rows), task, tmp_path)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"probabilities": [0.5, 0.6, 0.1]}, "probabilities must be from 0 to 1 and add up to 1"),
        ({"label": "call"}, "label must be one of call_0, call_1, call_2, got 'call'"),
        ({"label": "call_0", "probability": 2}, "probability must be a number from 0 to 1, got 2"),
        ({}, "needs one of logits, probabilities, label, got none"),
    ],
)
def test_an_answer_without_sense_is_refused(answer: dict[str, Any], words: str, tmp_path: Path) -> None:
    task = _task()
    rows = [{"split": row["split"], "row": row["row"], **answer} for row in _written_inputs(task, tmp_path)]
    with pytest.raises(InputError, match=words):
        _logits(_write_lines(tmp_path / "answers.jsonl", rows), task, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("answers.jsonl", "{", "answers.jsonl:1: a line must be a JSON object"),
        ("answers.jsonl", "[1]\n", "answers.jsonl:1: a line must be a JSON object"),
        ("answers.jsonl", "", "each input of train must be answered, 9 of 9 are not, the first of them is row 0"),
        ("answers.csv", "split,row,label\ntrain,0\n", "answers.csv:2: must have as many fields as the first line"),
        ("answers.csv", 'split,row,label\ntrain,0,"a', "must be CSV"),
        ("answers.txt", "", "must be a .jsonl or .csv file, or a folder"),
    ],
)
def test_a_file_that_holds_no_answers_is_refused(name: str, content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=words) as refused:
        _logits(str(tmp_path / name), _task(), tmp_path)
    assert "\n" not in str(refused.value)


def test_the_command_writes_inputs_and_reads_answers(tmp_path: Path) -> None:
    write_study(tmp_path)
    text = (tmp_path / "study.toml").read_text(encoding="utf-8")
    start, end = text.index("[teacher]"), text.index("[space]")
    answered = f'{text[:start]}[teacher]\nsoft_labels = "answers.jsonl"\n{text[end:]}'
    (tmp_path / "answered.toml").write_text(answered, encoding="utf-8")
    result = run_command(tmp_path, "teacher", "answered.toml", "--inputs", "inputs.jsonl")
    assert result.exit_code == 0, result.output
    rows = [json.loads(line) for line in (tmp_path / "inputs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert f"{len(rows)} inputs to label (as safe, vulnerable) are in inputs.jsonl" in result.stdout
    unanswered = run_command(tmp_path, "teacher", "answered.toml")
    assert unanswered.exit_code == 2
    assert "answers.jsonl: teacher.soft_labels must be a file or a folder of answers, it is absent" in unanswered.stderr
    _write_lines(tmp_path / "answers.jsonl", [{**row, "logits": [0.0, 1.0]} for row in rows])
    result = run_command(tmp_path, "teacher", "answered.toml")
    assert result.exit_code == 0, result.output
    assert "test accuracy" in result.stdout
    kept = (tmp_path / "answers.jsonl").read_bytes()
    over = run_command(tmp_path, "teacher", "answered.toml", "--inputs", "answers.jsonl")
    assert over.exit_code == 2
    assert "--inputs: answers.jsonl must be a new file, it exists" in over.stderr
    assert (tmp_path / "answers.jsonl").read_bytes() == kept
    assert "the teacher is not better than chance" in result.stdout
    refused = run_command(tmp_path, "teacher", "answered.toml", "--save", "saved")
    assert refused.exit_code == 2
    assert "only its answers are known, there is no model to save" in refused.stderr
    assert not (tmp_path / "saved").exists()
