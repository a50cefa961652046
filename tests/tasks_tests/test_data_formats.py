"""Data as people have it: the same rows give the same task in every format, and what is not clear is asked for.

The oracles are the libraries that write the files (pandas, pyarrow, csv, json, datasets), and the rows themselves.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from avatar_optuna.data_audit import audit_data, findings
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import SPLITS, Task, load_task, task_shape_of, with_labels
from tests.commands import run_command
from tests.data_writers import WRITERS, Records, write_csv, write_jsonl, write_parquet

HUGGING_FACE = Path(__file__).parents[1] / "data/hugging_face"
_ODD = (*'é✓"\\,;\t\n\0 #/ab1{}()', "\r\n", "\U0001f600")  # pandas does not quote a lone carriage return


def rows_of(count: int, *, labels: int = 3, start: int = 0, **more: Any) -> list[dict[str, Any]]:
    names = ("sorts", "adds", "prints", "counts")
    return [
        {"code": f"int f{n}() {{ return {n}; }}", "label": names[n % labels], **{k: f(n) for k, f in more.items()}}
        for n in range(start, start + count)
    ]


def load(data: Path, kind: str = "code-classification", **keys: Any) -> Task:
    return load_task(TaskSettings(kind=kind, data=str(data), **keys))


def texts(task: Task) -> dict[str, list[tuple[str, str]]]:
    """Function and label of each input, by split."""
    return {
        name: [
            (split.functions[place], task.label_names[label])
            for (place, *_), label in zip(split.inputs.tolist(), split.labels.tolist(), strict=True)
        ]
        for name, split in task.splits.items()
    }


_codes = st.lists(st.sampled_from(_ODD), max_size=12).map(lambda pieces: f"x{''.join(pieces)}")
_values = st.sampled_from([[0, 1], [True, False], ["safe", "vulnerable"]])


@given(data=st.data(), values=_values, seed=st.integers(0, 99))
@examples(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_same_rows_are_the_same_task_in_every_format(data: st.DataObject, values: list[Any], seed: int) -> None:
    codes = data.draw(st.lists(_codes, min_size=24, max_size=40))
    groups = data.draw(st.lists(st.sampled_from(["CWE-79", None, "7"]), min_size=len(codes), max_size=len(codes)))
    rows = [
        {"func": code, "target": values[n % 2], "cwe": group, "n": n}
        for n, (code, group) in enumerate(zip(codes, groups, strict=True))
    ]
    rows[0]["cwe"] = "CWE-79"  # a column without any value has no type
    ways: list[dict[str, Any]] = [{"split": "60/20/20"}, {"split": "60/20/20", "split_by_time": "n"}]
    with tempfile.TemporaryDirectory() as folder:
        paths = [write(rows, Path(folder, "rows")) for write in WRITERS.values()]
        for way in ways:
            tasks = [load(path, "vulnerability-prediction", group="cwe", seed=seed, **way) for path in paths]
            assert len({task.fingerprint for task in tasks}) == 1
            for task in tasks:
                assert task.train.groups is not None
                assert tasks[0].train.groups is not None
                assert task.train.group_names == tasks[0].train.group_names
                assert np.array_equal(task.train.groups, tasks[0].train.groups)
            kept = sorted((code, int(label)) for split in texts(tasks[0]).values() for code, label in _numbered(split))
            assert kept == sorted((row["func"], values.index(row["target"])) for row in _as_numbers(rows, values))


def _numbered(pairs: list[tuple[str, str]]) -> list[tuple[str, int]]:
    return [(code, int(name == "vulnerable")) for code, name in pairs]


def _as_numbers(rows: Records, values: list[Any]) -> list[dict[str, Any]]:
    """Truth values mean 0 and 1 whatever their order in the list was."""
    order = values if values != [True, False] else [False, True]
    return [{"func": row["func"], "target": values[order.index(row["target"])]} for row in rows]


@pytest.mark.parametrize("way", WRITERS)
def test_files_of_splits_are_found_in_every_format(way: str, tmp_path: Path) -> None:
    for name, alias, count in (("train", "train", 12), ("valid", "validation", 6), ("test", "test", 6)):
        WRITERS[way](rows_of(count, start=100 * len(name)), tmp_path / alias)
    task = load(tmp_path)
    assert [len(split) for split in task.splits.values()] == [12, 6, 6]
    assert task.label_names == ("adds", "prints", "sorts")
    assert texts(task)["train"] == [(row["code"], row["label"]) for row in rows_of(12, start=500)]


def test_datasets_of_save_to_disk_are_read_as_the_library_wrote_them() -> None:
    columns = {"code": "source", "label": "verdict"}
    task = load(HUGGING_FACE / "dict", columns=columns)
    assert task.label_names == ("safe", "vulnerable")  # the names of its ClassLabel, in their order
    assert texts(task)["valid"] == [(f"void valid{n}(void) {{}}", ("safe", "vulnerable")[n % 2]) for n in range(4)]
    shuffled = load(HUGGING_FACE / "shuffled", columns=columns, split="60/20/20")  # two files
    whole = load(HUGGING_FACE / "whole.parquet", columns=columns, split="60/20/20")
    for one in (shuffled, whole):
        found = sorted(pair for split in texts(one).values() for pair in split)
        assert found == sorted((f"void whole{n}(void) {{}}", ("safe", "vulnerable")[n % 2]) for n in range(20))
    assert shuffled.fingerprint != whole.fingerprint


def test_a_folder_for_each_label_is_read_whole_or_by_split(tmp_path: Path) -> None:
    rows = sorted(rows_of(24), key=lambda row: (row["label"], row["code"]))
    for name, some in (("tree", rows), ("train", rows[::2]), ("valid", rows[1::4]), ("test", rows[3::4])):
        for number, row in enumerate(some):
            folder = tmp_path / ("tree" if name == "tree" else "splits") / ("" if name == "tree" else name)
            path = folder / row["label"] / "inner" / f"{number:02}.c"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(row["code"])
    (tmp_path / "tree/.git").mkdir()
    jsonl = write_jsonl(rows, tmp_path / "rows")
    tree = load(tmp_path / "tree", split="60/20/20", columns={"id": "path"})
    assert tree.fingerprint == load(jsonl, split="60/20/20").fingerprint
    assert tree.train.ids[0].startswith("adds/inner/")
    splits = load(tmp_path / "splits")
    assert texts(splits)["train"] == [(row["code"], row["label"]) for row in rows[::2]]
    (tmp_path / "tree/README").write_text("what it is")
    with pytest.raises(DataError, match=r"README: a file must lie in the folder of its label"):
        load(tmp_path / "tree", split="60/20/20")


@pytest.mark.parametrize("way", WRITERS)
def test_pairs_stand_in_rows(way: str, tmp_path: Path) -> None:
    rows = [
        {"code1": f"int f{n}();", "code2": f"int f{n % 5}();", "label": n % 3 == 0, "problem1": n, "problem2": n % 5}
        for n in range(20)
    ]
    path = WRITERS[way](rows, tmp_path / "pairs")
    task = load(path, "clone-detection", split="60/20/20", group="problem")
    found = [
        (split.functions[a], split.functions[b], bool(label), *(split.group_names[place] for place in groups))
        for split in task.splits.values()
        for (a, b), label, groups in zip(split.inputs, split.labels, split.groups, strict=True)  # type: ignore[arg-type]
    ]
    assert sorted(found) == sorted(
        (row["code1"], row["code2"], row["label"], str(row["problem1"]), str(row["problem2"])) for row in rows
    )
    assert len({text for split in task.splits.values() for text in split.functions}) == 20


def test_indexed_pairs_may_have_functions_in_another_format(tmp_path: Path) -> None:
    rows = [{"name": f"n{n}", "source": f"int f{n}();"} for n in range(6)]
    write_parquet(rows, tmp_path / "data")
    for name in SPLITS:
        (tmp_path / f"{name}.txt").write_text("n0\tn1\t1\nn2\tn3\t0\n")
    task = load(tmp_path, "clone-detection", columns={"code": "source", "id": "name"})
    assert task.train.functions == ("int f0();", "int f1();", "int f2();", "int f3();")
    write_csv(rows, tmp_path / "data")
    with pytest.raises(InputError, match=r"must hold data once, got data\.csv and data\.parquet"):
        load(tmp_path, "clone-detection", columns={"code": "source", "id": "name"})


def test_parts_of_a_split_are_joined_in_order(tmp_path: Path) -> None:
    for name in ("validation", "test"):
        write_parquet(rows_of(6), tmp_path / f"{name}-00000-of-00001")
    for part in range(2):
        write_parquet(rows_of(6, start=6 * part), tmp_path / f"train-0000{part}-of-00002")
    assert texts(load(tmp_path))["train"] == [(row["code"], row["label"]) for row in rows_of(12)]
    (tmp_path / "train-00001-of-00002.parquet").unlink()
    with pytest.raises(InputError, match=r"all parts of train-00000-of-00002\.parquet must be there, got train-00000"):
        load(tmp_path)


# Labels ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "labels", "names", "places"),
    [
        ([3, 10, 7], None, ("3", "7", "10"), [0, 2, 1]),
        (["b", "a", "c"], None, ("a", "b", "c"), [1, 0, 2]),
        (["b", "a", "c"], ["c", "b", "a"], ("c", "b", "a"), [1, 2, 0]),
        ([0, 1, 2], ["sorts", "adds", "prints"], ("sorts", "adds", "prints"), [0, 1, 2]),
        ([1.0, 0.0, 2.0], ["sorts", "adds", "prints"], ("sorts", "adds", "prints"), [1, 0, 2]),
        ([0, 1, 2], ["2", "1", "0"], ("2", "1", "0"), [2, 1, 0]),
        (["x", "y", "z"], {"x": "bad", "y": "good", "z": "bad"}, ("bad", "good"), [0, 1, 0]),
        ([False, True, False], {"false": "no", "true": "yes"}, ("no", "yes"), [0, 1, 0]),
        ([False, True, False], ["no", "yes"], ("no", "yes"), [0, 1, 0]),
    ],
)
@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet])
def test_labels_are_numbers_truth_values_or_text(
    write: Any, values: list[Any], labels: Any, names: tuple[str, ...], places: list[int], tmp_path: Path
) -> None:
    rows = [{"code": f"f{n}", "label": values[n % 3]} for n in range(30)]
    keys = {} if labels is None else {"labels": labels}
    if write is write_csv and labels is None and isinstance(values[0], float):
        names = tuple(f"{name}.0" for name in names)
    settings = TaskSettings(
        kind="code-classification", data=str(write(rows, tmp_path / "rows")), split="60/20/20", **keys
    )
    task = load_task(settings)
    assert task.label_names == names
    found = {code: label for split in texts(task).values() for code, label in split}
    assert found == {f"f{n}": names[places[n % 3]] for n in range(30)}
    stored = with_labels(settings)
    assert load_task(stored).fingerprint == task.fingerprint
    away = TaskSettings.from_mapping(json.loads(json.dumps({**stored.to_dict(), "data": "/gone"})))
    assert task_shape_of(away).num_labels == len(names)


def test_a_kind_with_labels_of_its_own_stores_what_it_did_before(tmp_path: Path) -> None:
    settings = TaskSettings(kind="vulnerability-prediction", data=str(tmp_path))
    assert with_labels(settings) == settings
    named = TaskSettings(kind="vulnerability-prediction", data=str(tmp_path), labels=["benign", "buggy"])
    assert load_labels(named) == ("benign", "buggy")


def load_labels(settings: TaskSettings) -> tuple[str, ...]:
    from avatar_optuna.tasks import task_kind

    return task_kind(settings.kind).label_names(settings)


# Splits ---------------------------------------------------------------------------------------------------------------


@given(
    sizes=st.lists(st.integers(1, 30), min_size=2, max_size=6),
    shares=st.sampled_from(["80/10/10", "50/25/25", "98/1/1", "34/33/33"]),
    seed=st.integers(0, 9),
)
@examples(max_examples=60, deadline=None)
def test_shares_hold_for_each_label_and_in_all(sizes: list[int], shares: str, seed: int) -> None:
    from avatar_optuna.tasks._splitting import by_label

    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))
    parts = [int(share) for share in shares.split("/")]
    rows = by_label(labels, parts, seed=seed)
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(labels)))
    assert set(labels[rows[0]]) == set(range(len(sizes)))
    for share, own in zip(parts, rows, strict=True):
        assert abs(len(own) - len(labels) * share / 100) <= len(sizes) + 1
    again = by_label(labels, parts, seed=seed)
    assert all(np.array_equal(one, other) for one, other in zip(rows, again, strict=True))


@given(
    groups=st.lists(st.tuples(st.integers(0, 25), st.integers(0, 25)), min_size=40, max_size=120),
    is_paired=st.booleans(),
    seed=st.integers(0, 9),
)
@examples(max_examples=60, deadline=None)
def test_no_group_stands_in_two_splits(groups: list[tuple[int, int]], is_paired: bool, seed: int) -> None:
    from avatar_optuna.tasks._splitting import by_group

    kept = np.asarray(groups, dtype=np.int32)[:, : 1 + is_paired]
    labels = np.arange(len(kept)) % 2
    rows = by_group(labels, kept, (60, 20, 20), seed=seed)
    assert sorted(np.concatenate(rows).tolist()) == list(range(len(labels)))
    held = [set(kept[own].ravel().tolist()) for own in rows]
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
    if not is_paired and len(set(kept.ravel())) >= 3:
        assert all(len(own) for own in rows)


def test_groups_are_near_their_shares_where_they_can_be(tmp_path: Path) -> None:
    rows = rows_of(600, project=lambda n: f"p{n % 60}")
    task = load(write_jsonl(rows, tmp_path / "rows"), split="80/10/10", split_by_group="project")
    assert [len(split) for split in task.splits.values()] == [480, 60, 60]
    for split in task.splits.values():
        assert np.bincount(split.labels).tolist() == [len(split) // 3] * 3


@pytest.mark.parametrize(
    "when",
    [
        lambda n: n,
        lambda n: f"20{n // 12 + 10}-{n % 12 + 1:02}-01",
        lambda n: f"2024-01-01T00:{n:02}:00+0{n % 2}:00" if n % 2 == 0 else f"2024-01-01 00:{n:02}:00Z",
    ],
)
def test_the_oldest_rows_train(when: Any, tmp_path: Path) -> None:
    rows = rows_of(50, when=when)
    order = np.random.default_rng(0).permutation(50)
    path = write_csv([rows[n] for n in order], tmp_path / "rows")
    task = load(path, split="80/10/10", split_by_time="when")
    numbers = [sorted(int(code.split("(")[0][5:]) for code, _ in split) for split in texts(task).values()]
    assert numbers == [list(range(40)), list(range(40, 45)), list(range(45, 50))]


def test_rows_of_one_time_stay_together(tmp_path: Path) -> None:
    path = write_jsonl(rows_of(50, year=lambda n: 2000 + n // 15), tmp_path / "rows")
    task = load(path, split="50/25/25", split_by_time="year")
    assert [len(split) for split in task.splits.values()] == [30, 15, 5]


def test_a_column_may_say_the_splits(tmp_path: Path) -> None:
    path = write_csv(rows_of(40, part=lambda n: ("train", "dev", "test", "train")[n // 10]), tmp_path / "rows")
    task = load(path, columns={"split": "part"})
    assert [len(split) for split in task.splits.values()] == [20, 10, 10]
    with pytest.raises(
        InputError, match=r"task\.split must be given, disjoint or unseen where a column says the splits"
    ):
        load(path, columns={"split": "part"}, split="80/10/10")


def test_validation_may_be_taken_from_train(tmp_path: Path) -> None:
    write_jsonl(rows_of(90), tmp_path / "train")
    write_jsonl(rows_of(12, start=200), tmp_path / "test")
    task = load(tmp_path, split="90/10")
    assert [len(split) for split in task.splits.values()] == [81, 9, 12]
    with pytest.raises(InputError, match=r"got train\.jsonl, test\.jsonl; split = \"90/10\" takes validation"):
        load(tmp_path)


def test_shares_and_disjoint_may_be_combined(tmp_path: Path) -> None:
    rows = rows_of(120)
    copied = [{**row, "code": f"{row['code']} // again"} for row in rows[:60]]
    path = write_jsonl([*rows, *copied], tmp_path / "rows")
    plain = load(path, "code-classification", split="60/20/20", language="c")
    disjoint = load(path, "code-classification", split="60/20/20 disjoint", language="c")
    assert plain.train.functions == disjoint.train.functions
    train = {code.removesuffix(" // again") for code, _ in texts(disjoint)["train"]}
    kept = [code for code, _ in texts(plain)["valid"] if code.removesuffix(" // again") not in train]
    assert [code for code, _ in texts(disjoint)["valid"]] == kept
    assert len(kept) < len(plain.valid)


# What cannot be used --------------------------------------------------------------------------------------------------


def test_unusable_rows_are_refused_or_skipped_and_counted(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = rows_of(30, labels=2)
    rows[3]["code"], rows[7]["label"], rows[9]["code"] = " ", None, 5
    path = write_jsonl(rows, tmp_path / "rows")
    path.write_text(path.read_text() + "no object\n" * 2)
    keys: dict[str, Any] = {"kind": "code-classification", "data": str(path), "split": "60/20/20"}
    with pytest.raises(DataError, match=r"rows\.jsonl:4: code must be source text, got ' '"):
        load_task(TaskSettings(**keys))
    task = load_task(TaskSettings(**keys, unusable_rows="skip"))
    assert (task.skipped.count, sum(map(len, task.splits.values()))) == (5, 27)
    assert [reason.rpartition(": ")[0].rpartition("/")[2] for reason in task.skipped.reasons] == [
        *("rows.jsonl:4", "rows.jsonl:8", "rows.jsonl:10")
    ]
    sound = write_jsonl([row for n, row in enumerate(rows) if n not in (3, 7, 9)], tmp_path / "sound")
    assert load_task(TaskSettings(**{**keys, "data": str(sound)})).fingerprint == task.fingerprint
    audit = audit_data(task, with_baselines=False)
    assert audit.skipped == 5
    assert findings(audit)[0].startswith("5 rows cannot be used and are left out: ")


def test_skipped_rows_are_shown_by_the_commands(tmp_path: Path) -> None:
    rows = rows_of(40, labels=2)
    rows[3]["label"] = ""
    write_csv(rows, tmp_path / "rows")
    (tmp_path / "study.toml").write_text(
        'name = "s"\n[task]\nkind = "code-classification"\ndata = "rows.csv"\nsplit = "60/20/20"\n'
        'unusable_rows = "skip"\n[teacher]\nsoft_labels = "./answers.jsonl"\n'
    )
    shown = " ".join(run_command(tmp_path, "data", "study.toml", "--cache", "cache").stdout.split())
    assert "1 row cannot be used and is left out:" in shown
    assert "rows.csv:5: label must be" in shown
    said = run_command(tmp_path, "teacher", "study.toml", "--inputs", "inputs.jsonl", "--cache", "cache")
    assert "1 row cannot be used and is left out:" in " ".join(said.stdout.split())


@pytest.mark.parametrize(
    ("rows", "keys", "message"),
    [
        (
            [{"source": "f", "verdict": 1}],
            {},
            r"rows\.csv: task\.columns\.code must name the column of the functions, none is called func or code; "
            r"the columns are source, verdict",
        ),
        (
            [{"func": "f", "code": "g", "label": 1}],
            {},
            r"task\.columns\.code must name the column of the functions, there is func and code; the columns are",
        ),
        (
            [{"code": "f", "label": 1}],
            {"columns": {"label": "verdict"}},
            r"task\.columns\.label must name a column, got 'verdict'; the columns are code, label",
        ),
        ([{"code": "f", "label": 1}], {"columns": {"text": "a"}}, r"task\.columns may have code, label, .* got 'text'"),
        (
            [{"code": "f", "label": 1}],
            {"columns": {"label": "code"}},
            r"task\.columns must name functions and labels apart, got code 'code', label 'code'; the columns are",
        ),
        (
            [{"code1": "f", "code2": "g", "label": n % 2} for n in range(9)],
            {"kind": "clone-detection", "columns": {"code": "code1"}},
            r"task\.columns\.code must be absent where a row holds both functions of a pair; the columns are",
        ),
        (
            [{"code": "f", "label": label} for label in "aabbbc"],
            {"split": "40/30/30", "labels": ["a", "b", "c", "d"]},
            r"task: the train split must hold every label, it lacks d$",
        ),
        ([{"code": "f", "label": 1}], {"columns": ["code"]}, r"task\.columns must be a table such as"),
        ([{"code": "f", "label": 1}], {"columns": {"id": ""}}, r"task\.columns\.id must be the name of a column"),
        ([{"code": "f", "label": 1}], {"labels": ["a"]}, r"task\.labels must be 2 to 1,000 different names"),
        ([{"code": "f", "label": 1}], {"labels": ["a", "a"]}, r"task\.labels must be 2 to 1,000 different names"),
        ([{"code": "f", "label": 1}], {"labels": 3}, r"task\.labels must be a list of names, or a table"),
        (
            [{"code": "f", "label": "z"}],
            {"labels": ["a", "b"]},
            r"rows\.csv:2: label must be one of a \(0\), b \(1\)",
        ),
        ([{"code": "f", "label": "z"}], {"labels": {"x": "a", "y": "b"}}, r"label must be one of x, y, got 'z'"),
        (
            [{"code": "f", "label": 1}],
            {},
            r"task\.columns\.label must name a column of 2 to 1,000 different labels",
        ),
        ([{"code": "f", "label": 1}], {"unusable_rows": "drop"}, r"task\.unusable_rows must be one of refuse, skip"),
        (
            [{"code": "f", "label": 1}],
            {"split": "given"},
            r"task\.split must be percentages such as \"80/10/10\" where",
        ),
        (
            [{"code": "f", "label": 1}],
            {"split": "given", "split_by_time": "a"},
            r"task\.split_by_time needs a split by percentages",
        ),
        (
            [{"code": "f", "label": 1, "day": "soon"}],
            {"split_by_time": "day"},
            r"rows\.csv:2: day must be a number or a date \(ISO 8601\), got 'soon'",
        ),
        (
            [{"code": "f", "label": 1, "day": "2024-01-01"}, {"code": "g", "label": 0, "day": "5"}],
            {"split_by_time": "day"},
            r"rows\.csv:3: day must be a date \(ISO 8601\), got '5'",
        ),
        (
            [{"code": "f", "label": n % 2, "p": n % 2} for n in range(9)],
            {"split_by_group": "p"},
            r"the split must leave some rows of test, got none of 9",
        ),
        (
            [{"code": "f", "label": 1, "p": 1}],
            {"split_by_group": "p", "split_by_time": "p"},
            r"task\.split_by_time must be absent where split_by_group is given",
        ),
    ],
)
def test_what_is_not_clear_is_asked_for(
    rows: list[dict[str, Any]], keys: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        load(write_csv(rows, tmp_path / "rows"), **{"split": "80/10/10", **keys})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], r"must hold train, valid and test, each one of: .*Parquet.*; got nothing"),
        (
            ["train.jsonl", "valid.jsonl", "val.jsonl", "test.jsonl"],
            r"must hold valid once, got val\.jsonl and valid",
        ),
        (["train.jsonl", "valid.csv", "test.jsonl"], r"the splits must be in one format, got train\.jsonl, valid\.csv"),
        (
            ["train.jsonl", "train.jsonl.gz", "valid.jsonl"],
            r"must hold train once, got train\.jsonl and train",
        ),
        (["rows.jsonl"], r"must hold train, valid and test, .* got rows\.jsonl"),
    ],
)
def test_a_folder_whose_files_are_not_clear_is_refused(files: list[str], message: str, tmp_path: Path) -> None:
    for name in files:
        (tmp_path / name).write_text('{"code": "f", "label": 1}\n')
    with pytest.raises(InputError, match=message):
        load(tmp_path)


def test_what_is_there_twice_or_not_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task\.data must be a file or a folder, got .*/none', which is none"):
        load(tmp_path / "none")
    (tmp_path / "rows.xlsx").write_text("x")
    with pytest.raises(InputError, match=r"task\.data must be one of: CSV \(\.csv, \.csv\.gz\), .*; got 'rows\.xlsx'"):
        load(tmp_path / "rows.xlsx")
    for name in SPLITS:
        write_jsonl(rows_of(6), tmp_path / name)
    with pytest.raises(
        InputError, match=r"task\.split must be given, disjoint or unseen where the data comes in splits"
    ):
        load(tmp_path, split="80/10/10")
    with pytest.raises(InputError, match=r"task\.columns\.split must be absent where the data comes in splits"):
        load(tmp_path, columns={"split": "label"})
    with pytest.raises(InputError, match=r"task\.split must be given, disjoint or unseen for the kind python-clones"):
        load_task(TaskSettings(kind="python-clones", split="80/10/10"))


@pytest.mark.parametrize("name", ["whole.parquet", "shuffled"])
def test_without_pyarrow_its_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"pyarrow, which is not installed: pip install 'avatar-optuna\[arrow\]'"):
        load(HUGGING_FACE / name, split="80/10/10")


def test_a_dataset_names_only_files_beside_it(tmp_path: Path) -> None:
    shutil.copytree(HUGGING_FACE / "shuffled", tmp_path / "set")
    (tmp_path / "set/state.json").write_text('{"_data_files": [{"filename": "../data.arrow"}]}')
    with pytest.raises(DataError, match=r"state\.json: _data_files must list the names of Arrow files beside it"):
        load(tmp_path / "set", split="80/10/10")
