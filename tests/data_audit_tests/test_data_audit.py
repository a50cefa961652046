"""What an audit counts, on data whose faults are put there on purpose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from avatar_optuna.costs import TaskShape
from avatar_optuna.data_audit import DataAudit, audit_data, findings, mend
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, Task, digests_of, load_task
from tests.commands import run_command


@pytest.mark.parametrize(
    ("language", "first", "second", "equal"),
    [
        ("java", "int f(int a) { return a; } // copy", "int f(int a)\n{ return a; }", {"code", "names"}),
        ("java", "int f(int a) { return a; }", "int g(int b) { return b; }", {"names"}),
        ("java", "int f(int a, int b) { return a; }", "int f(int a, int b) { return b; }", set()),
        ("java", 's = "// no comment";', 's = "";', set()),
        ("java", "/* a */ f();", "f();", {"code", "names"}),
        ("python", "def f(a): # twice\n    return a", "def f(a):\n    return a", {"code", "names"}),
        ("c", "#include <a.h>\nf();", "f();", set()),
        ("c", "f();", "f();", {"text", "code", "names"}),
        ("c", "if (x) f();", "while (x) f();", set()),
    ],
)
def test_copies_differ_in_comments_blanks_and_names(language: str, first: str, second: str, equal: set[str]) -> None:
    one, other = digests_of(first, language), digests_of(second, language)
    assert {level for level in one if one[level] == other[level]} == equal


def pairs(functions: list[str], rows: list[tuple[int, int, int]], ids: str = "") -> Split:
    table = np.array(rows)
    return Split(
        functions=tuple(functions),
        inputs=table[:, :2].astype(np.int32),
        labels=table[:, 2],
        ids=tuple(f"{ids}{place}" for place in range(len(functions))) if ids else (),
    )


def pair_task() -> Task:
    words = [f"int f{n}(int a) {{ return a + {n}; }}" for n in range(12)]
    train = pairs(words[:6], [(0, 1, 1), (1, 2, 1), (0, 2, 0), (2, 1, 1), (3, 4, 1), (3, 4, 0), (0, 5, 0)], "t")
    valid = pairs([words[6], f"// copied\n{words[0]}", words[7]], [(0, 1, 0), (0, 2, 1), (1, 2, 0)], "v")
    test = pairs([words[8], words[9], f" {words[8]}"], [(0, 1, 1), (0, 2, 0)], "s")
    return Task(
        kind="clone-detection",
        shape=TaskShape(arity=2, num_labels=2),
        language="java",
        label_names=("different", "clone"),
        train=train,
        valid=valid,
        test=test,
    )


def test_pairs_are_held_against_each_other() -> None:
    audit = audit_data(pair_task(), with_baselines=False)
    train = audit.splits["train"].pairs
    assert train is not None
    assert (train.positives, train.groups, train.large_groups, train.large_share) == (4, 2, 2, 1.0)
    assert train.repeated == 1  # (1, 2) in both orders
    assert train.contradictory == 2  # (3, 4) with both labels
    assert train.negatives_within == 2  # (0, 2), of one group through 1, and (3, 4)
    assert train.copies_apart == 0
    test = audit.splits["test"].pairs
    assert test is not None
    assert test.copies_apart == 1


def test_copies_across_splits_are_counted_by_text_and_by_identifier() -> None:
    audit = audit_data(pair_task(), with_baselines=False)
    overlaps = {(entry.split, entry.beside): entry for entry in audit.overlaps}
    valid = overlaps["valid", "train"]
    assert (valid.ids, valid.functions["text"], valid.functions["code"]) == (0, 0, 1)
    assert valid.inputs["code"] == 2
    assert overlaps["test", "train"].functions["code"] == 0
    assert any("valid: 33.3% of 3 functions are copies of those of train" in finding for finding in findings(audit))
    assert "disjoint" in str(mend(audit))


def test_an_audit_is_read_as_it_was_stored() -> None:
    audit = audit_data(pair_task(), with_baselines=False)
    assert DataAudit.from_dict(json.loads(json.dumps(audit.to_dict()))) == audit


def write_functions(folder: Path, **splits: list[tuple[str, int]]) -> None:
    for name, rows in splits.items():
        lines = [json.dumps({"func": function, "target": target}) for function, target in rows]
        (folder / f"{name}.jsonl").write_text("\n".join(lines))


def functions(count: int, start: int = 0) -> list[tuple[str, int]]:
    return [(f"int f() {{ return {n}; }}", n % 2) for n in range(start, start + count)]


def test_labels_that_contradict_each_other_are_counted(tmp_path: Path) -> None:
    torn = [("int g() { return 1; }", 0), ("int g() { return 1; } // same", 1)]
    write_functions(tmp_path, train=[*functions(8), *torn], valid=[*functions(4, 20), ("int g(){return 1;}", 0)])
    write_functions(tmp_path, test=[*functions(4, 40), ("int f() { return 1; }", 0)])
    task = load_task(TaskSettings(kind="vulnerability-prediction", data=str(tmp_path)))
    audit = audit_data(task, with_baselines=False)
    assert audit.splits["train"].contradictory == 2
    contradictions = {(entry.split, entry.beside): entry.contradictions for entry in audit.overlaps}
    # What stands with both labels in train contradicts neither; f() has label 1 there and 0 in test.
    assert contradictions == {("valid", "train"): 0, ("test", "train"): 1, ("test", "valid"): 0}


def write_fixes(folder: Path, **options: str) -> TaskSettings:
    """Forty functions before and after twenty fixes, by turns of ten projects."""
    lines = [
        {"func": function, "target": target, "project": f"p{number // 2 % 10}", "fix": str(number // 2)}
        for number, (function, target) in enumerate(functions(40))
    ]
    (folder / "all.jsonl").write_text("\n".join(map(json.dumps, lines)))
    data = {"data": str(folder / "all.jsonl"), "split": "60/20/20", "group": "project", "pair": "fix"}
    return TaskSettings(kind="vulnerability-prediction", **data, **options)


def test_groups_and_fixes_that_stand_in_two_splits_are_counted(tmp_path: Path) -> None:
    task = load_task(write_fixes(tmp_path))
    audit = audit_data(task, with_baselines=False)

    def named(split: Split) -> tuple[set[str], set[str]]:
        assert split.groups is not None
        assert split.fixes is not None
        return (
            {split.group_names[number] for number in split.groups[:, 0]},
            {split.fix_names[number] for number in split.fixes},
        )

    (groups, fixes), (train_groups, train_fixes) = named(task.valid), named(task.train)
    beside = next(entry for entry in audit.overlaps if (entry.split, entry.beside) == ("valid", "train"))
    assert audit.splits["valid"].groups == len(groups)
    assert beside.groups == len(groups & train_groups) > 0
    assert beside.fixes == len(fixes & train_fixes) > 0
    assert task.valid.groups is not None
    own = [task.valid.group_names[number] in train_groups for number in task.valid.groups[:, 0]]
    assert beside.group_inputs == sum(own)
    said = findings(audit)
    assert f"valid: of {beside.fixes} fixes the other function stands in train" in said
    assert any(finding.startswith(f"valid: {beside.groups} of {len(groups)} groups stand in train") for finding in said)
    # Faults first: groups may be kinds of functions, which stand in all splits.
    are_fixes, are_groups = (["fixes" in finding for finding in said], ["groups stand" in finding for finding in said])
    assert sum(are_fixes) > 1
    assert are_fixes.index(False) == are_groups.index(True) == sum(are_fixes)

    kept = audit_data(load_task(write_fixes(tmp_path, split_by_group="project")), with_baselines=False)
    assert [(entry.groups, entry.group_inputs, entry.fixes) for entry in kept.overlaps] == [(0, 0, 0)] * 3
    assert not any("groups stand" in finding or "fixes" in finding for finding in findings(kept))


def test_groups_of_files_are_told_by_their_names(tmp_path: Path) -> None:
    """Each file numbers its groups anew."""
    names = {"train": "abcd", "valid": "dbef", "test": "ghij"}
    for split, groups in names.items():
        lines = [
            {"func": f"int {split}{number}();", "target": number % 2, "cwe": group}
            for number, group in enumerate(groups)
        ]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    settings = TaskSettings(kind="vulnerability-prediction", data=str(tmp_path), group="cwe")
    audit = audit_data(load_task(settings), with_baselines=False)
    assert [(entry.groups, entry.group_inputs) for entry in audit.overlaps] == [(2, 2), (0, 0), (0, 0)]
    assert "valid: 2 of 4 groups stand in train too, with 50.0% of the inputs" in findings(audit)


def test_disjoint_splits_leave_out_copies(tmp_path: Path) -> None:
    copied = [("int f() { return 0; } /* again */", 0)]
    write_functions(tmp_path, train=functions(8), valid=[*functions(4, 20), *copied], test=functions(4, 20))
    settings = TaskSettings(kind="vulnerability-prediction", data=str(tmp_path), split="disjoint")
    with pytest.raises(InputError, match="must leave some inputs of test"):
        load_task(settings)
    write_functions(tmp_path, test=[*functions(2, 20), *functions(4, 40)])
    task = load_task(settings)
    assert [len(split) for split in task.splits.values()] == [8, 4, 4]
    assert mend(audit_data(task, with_baselines=False)) is None
    given = load_task(TaskSettings(kind="vulnerability-prediction", data=str(tmp_path)))
    assert [len(split) for split in given.splits.values()] == [8, 5, 6]


def test_validation_alone_may_lose_what_training_knows(tmp_path: Path) -> None:
    """Test stays as it was given, copies of training and of validation included."""
    copied = [("int f() { return 0; } /* again */", 0)]
    given = {"train": functions(8), "valid": [*functions(4, 20), *copied], "test": [*functions(4, 20), *copied]}
    write_functions(tmp_path, **given)
    task = load_task(TaskSettings(kind="vulnerability-prediction", data=str(tmp_path), split="unseen"))
    assert [len(split) for split in task.splits.values()] == [8, 4, 5]
    assert task.test.functions == tuple(code for code, _ in given["test"])
    write_functions(tmp_path, valid=copied)
    with pytest.raises(InputError, match=r"task\.split must leave some inputs of valid, all of them hold copies"):
        load_task(TaskSettings(kind="vulnerability-prediction", data=str(tmp_path), split="unseen"))


def test_the_command_prints_what_was_found(tmp_path: Path) -> None:
    write_functions(tmp_path, train=functions(40), valid=functions(8, 36), test=functions(8, 60))
    study = tmp_path / "study.toml"
    study.write_text(
        f'name = "s"\n[task]\nkind = "vulnerability-prediction"\ndata = "{tmp_path}"\n[teacher]\nsoft_labels = "none"\n'
    )
    shown = run_command(tmp_path, "data", str(study), "--cache", "cache").stdout
    assert "50.0% of 8 functions are copies of those of train" in " ".join(shown.split())
    assert 'split = "disjoint"' in shown
    audit = DataAudit.from_dict(
        json.loads(run_command(tmp_path, "data", str(study), "--cache", "cache", "-f", "json").stdout)
    )
    assert audit.baselines["tf-idf"]["valid"]["accuracy"] >= 0
    assert audit.splits["train"].inputs == 40


def test_data_may_be_audited_before_there_is_a_teacher(tmp_path: Path) -> None:
    write_functions(tmp_path, train=functions(40), valid=functions(8, 50), test=functions(8, 60))
    (tmp_path / "study.toml").write_text(
        'name = "s"\n[task]\nkind = "vulnerability-prediction"\ndata = "."\n[teacher]\ncheckpoint = "./absent"\n'
    )
    result = run_command(tmp_path, "data", "study.toml", "--cache", "cache", "-f", "json")
    assert result.exit_code == 0, result.output
    assert "tokens are not counted, and what the teacher cuts: teacher" in result.stderr
    assert json.loads(result.stdout)["splits"]["train"]["tokens"] is None
    shown = run_command(tmp_path, "data", "study.toml", "--cache", "cache").stdout
    assert "tokens are not counted" in shown
    assert "train  40" in shown


def test_what_is_known_of_bigclonebench_is_found(shared: Path) -> None:
    task = load_task(TaskSettings(kind="clone-detection", data=str(shared / "data" / "bigclonebench")))
    audit = audit_data(task, with_baselines=False)
    overlaps = {entry.split: entry for entry in audit.overlaps if entry.beside == "train"}
    assert [entry.ids for entry in overlaps.values()] == [0, 0]
    shares = {name: entry.functions["code"] / audit.splits[name].functions for name, entry in overlaps.items()}
    assert shares == pytest.approx({"valid": 0.20, "test": 0.13}, abs=0.005)
    train = audit.splits["train"]
    assert train.pairs is not None
    assert train.pairs.negatives_within / (train.inputs - train.pairs.positives) == pytest.approx(0.16, abs=0.005)
    held = [(split.pairs.large_groups, split.pairs.large_share) for split in audit.splits.values() if split.pairs]
    assert all(groups in (3, 4) and 0.96 <= share <= 0.999 for groups, share in held)
