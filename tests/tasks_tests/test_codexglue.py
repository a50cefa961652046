"""The readers take CodeXGLUE's files, and name the row that breaks them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, load_task, sample


@pytest.fixture
def clones(tmp_path: Path) -> Path:
    functions = [{"idx": str(i), "func": f"int f{i}() {{ return {i}; }}"} for i in range(6)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(f) + "\n" for f in functions))
    (tmp_path / "train.txt").write_text("0\t1\t1\n1\t0\t0\n")
    (tmp_path / "valid.txt").write_text("2\t3\t1\n3\t3\t0\n")
    (tmp_path / "test.txt").write_text("4\t5\t1\n5\t4\t0\n")
    return tmp_path


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    for split in ("train", "valid", "test"):
        rows = [{"idx": i, "func": f"void {split}{i}(void) {{}}", "target": i % 2} for i in range(10)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_pairs_are_read_row_for_row(clones: Path) -> None:
    task = load_task(TaskSettings(kind="clone-detection", data=str(clones)))
    assert task.shape.is_pair
    texts = [[task.valid.functions[index] for index in pair] for pair in task.valid.inputs]
    assert texts == [["int f2() { return 2; }", "int f3() { return 3; }"], ["int f3() { return 3; }"] * 2]
    assert task.valid.labels.tolist() == [1, 0]


def test_a_sample_keeps_the_classes_and_the_seed(functions: Path) -> None:
    settings = TaskSettings(kind="vulnerability-prediction", data=str(functions), max_train=4, seed=3)
    task, again = load_task(settings), load_task(settings)
    assert (len(task.train), int(task.train.labels.sum()), len(task.test)) == (4, 2, 10)
    assert len(task.train.functions) == 4
    assert task.fingerprint == again.fingerprint
    other = load_task(TaskSettings(kind="vulnerability-prediction", data=str(functions), max_train=4, seed=4))
    assert other.fingerprint != task.fingerprint


def test_groups_of_pairs_are_those_of_their_functions(clones: Path) -> None:
    rows = [json.loads(row) for row in (clones / "data.jsonl").read_text().splitlines()]
    for place, row in enumerate(rows):
        row["problem"] = None if place == 3 else place // 3
    (clones / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = load_task(TaskSettings(kind="clone-detection", data=str(clones), group="problem"))
    assert task.valid.groups is not None
    assert task.valid.groups.tolist() == [[0, -1], [-1, -1]]
    assert task.valid.group_names == ("0",)
    assert task.fingerprint == load_task(TaskSettings(kind="clone-detection", data=str(clones))).fingerprint


def test_groups_and_fixes_are_read_row_for_row_and_follow_a_sample(functions: Path) -> None:
    for split in ("train", "valid", "test"):
        rows = [
            {
                "func": f"void {split}{i}(void) {{}}",
                "target": i % 2,
                "cwe": f"CWE-{i % 4}",
                "pair": i // 2 if i else None,
            }
            for i in range(10)
        ]
        (functions / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    keys = {"kind": "vulnerability-prediction", "data": str(functions), "group": "cwe", "pair": "pair"}
    task = load_task(TaskSettings(**keys, max_test=4))
    assert task.valid.groups is not None
    assert task.valid.fixes is not None
    names = [task.valid.group_names[place] for place in task.valid.groups[:, 0].tolist()]
    assert names == [f"CWE-{i % 4}" for i in range(10)]
    assert task.valid.fixes.tolist() == [-1, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert task.test.groups is not None
    for function, place in zip(task.test.functions, task.test.groups[:, 0].tolist(), strict=True):
        assert task.test.group_names[place] == f"CWE-{int(function[9]) % 4}"


def test_the_language_is_the_kinds_or_the_studys(functions: Path) -> None:
    keys = {"kind": "vulnerability-prediction", "data": str(functions)}
    assert load_task(TaskSettings(**keys)).language == "c"
    assert load_task(TaskSettings(**keys, language="python")).language == "python"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"group": "cwe"},
            r"train\.jsonl: task\.group must name a column, got 'cwe'; the columns are idx, func,",
        ),
        ({"group": ["cwe"]}, r"task\.group must be the name of a field of the data, got \['cwe'\]"),
        ({"pair": " "}, r"task\.pair must be the name of a field of the data, got ' '"),
        ({"language": "Python"}, r"task\.language must be a name in small letters, such as \"python\", got 'Python'"),
        ({"language": 3}, r"task\.language must be a name in small letters, such as \"python\", got 3"),
    ],
)
def test_a_key_that_names_no_field_is_refused(functions: Path, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_task(TaskSettings(kind="vulnerability-prediction", data=str(functions), **keys))


@given(st.lists(st.integers(0, 60), min_size=2, max_size=7), st.integers(1, 300), st.integers(0, 9))
def test_a_sample_holds_each_label_in_its_proportion(sizes: list[int], count: int, seed: int) -> None:
    sizes = [size + 1 for size in sizes]
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    inputs = np.arange(len(labels), dtype=np.int32)[:, None]
    split = Split(functions=tuple(map(str, range(len(labels)))), inputs=inputs, labels=labels)
    chosen = sample(split, count, seed=seed)
    assert len(chosen) == min(count, len(split))
    counts = np.bincount(chosen.labels, minlength=len(sizes))
    assert (counts <= sizes).all()
    assert (counts > 0).all() or count < len(sizes)
    if count >= 5 * len(sizes):
        assert np.abs(counts - np.asarray(sizes) * len(chosen) / len(split)).max() <= len(sizes)
    assert [int(text) for text in chosen.functions] == sorted(int(text) for text in chosen.functions)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("valid.txt", "2\t3\t1\n2 3 1\n", r"valid\.txt:2: a line is idx1, idx2 and label between tabs, got '2 3 1'"),
        ("valid.txt", "2\t9\t1\n", r"valid\.txt:1: idx must be one of data\.jsonl, got '9'"),
        ("valid.txt", "2\t3\tyes\n", r"valid\.txt:1: label must be one of different \(0\), clone \(1\), got 'yes'"),
        ("valid.txt", "\n", r"valid\.txt: must hold at least one pair"),
        ("data.jsonl", '{"idx": "0", "func": "x"}\nnope\n', r"data\.jsonl:2: a line must be a JSON object"),
        (
            "data.jsonl",
            '{"idx": "0"}\n',
            r"data\.jsonl: task\.columns\.code must name the column of the functions",
        ),
        ("data.jsonl", '{"idx": "0", "func": "x"}\n{"idx": "0", "func": "y"}\n', r"data\.jsonl:2: idx must be unique"),
    ],
)
def test_a_bad_row_of_pairs_is_named(clones: Path, file: str, text: str, message: str) -> None:
    (clones / file).write_text(text)
    with pytest.raises(InputError, match=message):
        load_task(TaskSettings(kind="clone-detection", data=str(clones)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"func": "x", "target": 2}\n', r"test\.jsonl:1: target must be one of safe \(0\), vulnerable \(1\), got 2"),
        (
            '{"func": "x", "target": 0.5}\n',
            r"test\.jsonl:1: target must be one of safe \(0\), .* got 0\.5",
        ),
        ('{"func": "x", "target": 1}\n{"func": "y"}\n', r"test\.jsonl:2: target is missing, got the keys func"),
        ('{"func": " ", "target": 1}\n', r"test\.jsonl:1: func must be source text"),
        ('{"func": "\\ufeff", "target": 1}\n', r"test\.jsonl:1: func must be source text"),
        ('{"func": "\\ud800", "target": 1}\n', r"test\.jsonl:1: func must be text that UTF-8 can hold"),
        ("[" * 100_000 + "\n", r"test\.jsonl:1: a line must be a JSON object: it is nested too deeply"),
        ('{"func": "f", "target": ' + "9" * 5_000 + "}\n", r"test\.jsonl:1: a line must be a JSON object: Exceeds"),
        ('["x", 1]\n', r"test\.jsonl:1: a line must be a JSON object"),
    ],
)
def test_a_bad_row_of_functions_is_named(functions: Path, text: str, message: str) -> None:
    (functions / "test.jsonl").write_text(text)
    with pytest.raises(DataError, match=message):
        load_task(TaskSettings(kind="vulnerability-prediction", data=str(functions)))


def test_a_missing_file_and_a_missing_class_are_named(functions: Path) -> None:
    (functions / "valid.jsonl").unlink()
    with pytest.raises(InputError, match=r"must hold train, valid, test, got train\.jsonl, test\.jsonl; split ="):
        load_task(TaskSettings(kind="vulnerability-prediction", data=str(functions)))
    (functions / "valid.jsonl").write_text('{"func": "x", "target": 1}\n')
    with pytest.raises(InputError, match="the valid split must hold both labels"):
        load_task(TaskSettings(kind="vulnerability-prediction", data=str(functions)))


def test_the_real_files_are_read(shared: Path) -> None:
    task = load_task(TaskSettings(kind="clone-detection", data=str(shared / "data/bigclonebench")))
    assert (len(task.train), len(task.train.functions)) == (63_569, 5_285)
    assert int(task.train.labels.sum()) == 43_085


def test_a_byte_order_mark_changes_nothing(functions: Path) -> None:
    settings = TaskSettings(kind="vulnerability-prediction", data=str(functions))
    before = load_task(settings).fingerprint
    for path in functions.glob("*.jsonl"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_task(settings).fingerprint == before
