"""`benchmarks.held_out_groups`: what is held out with a group. The oracle is a handful of pairs, sorted by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avatar_optuna.costs import TaskShape
from avatar_optuna.tasks import Split, Task
from benchmarks.held_out_groups import hold_outs, written


def _split(pairs: list[tuple[str, str, int]]) -> Split:
    names = sorted({name for first, second, _ in pairs for name in (first, second)})
    return Split(
        functions=tuple(f"int f() {{ return {name.rstrip('_')}; }}{' ' * name.count('_')}// {name}" for name in names),
        inputs=np.array([[names.index(first), names.index(second)] for first, second, _ in pairs], dtype=np.int32),
        labels=np.array([label for *_, label in pairs], dtype=np.int64),
        ids=tuple(names),
    )


def _task() -> Task:
    """A name with `_` behind it is a copy of the function of the name without, but for its comment."""
    train = [("a", "b", 1), ("b", "c", 1), ("p", "q", 1), ("a", "p", 0), ("z", "q", 0), ("k", "p", 0)]
    valid = [("a_", "d", 1), ("p_", "r", 1), ("d", "r", 0), ("k_", "p_", 0), ("r", "s", 0)]
    test = [("b_", "e", 1), ("e", "k", 1), ("q_", "t", 1), ("k", "t", 0), ("t", "s", 0)]
    return Task(
        kind="clone-detection",
        shape=TaskShape(arity=2),
        language="java",
        label_names=("different", "clone"),
        train=_split(train),
        valid=_split(valid),
        test=_split(test),
    )


def test_a_group_is_held_out_with_copies_and_with_what_these_connect() -> None:
    task = _task()
    first, second = hold_outs(task, 2)
    left_out = {
        name: {split.ids[place] for place in np.flatnonzero(first.out[name])} for name, split in task.splits.items()
    }
    assert left_out == {"train": {"a", "b", "c", "k"}, "valid": {"a_", "d", "k_"}, "test": {"b_", "e", "k"}}
    assert first.touched.tolist() == [True, True, False, True, False]
    assert second.touched.tolist() == [False, False, True, True, True]  # q_ and t


def test_what_is_written_holds_no_pair_that_touches_the_group(tmp_path: Path) -> None:
    task, data = _task(), tmp_path / "data"
    data.mkdir()
    (data / "data.jsonl").write_text("")
    (data / "test.txt").write_text("b_\te\t1\n")
    folder = written(task, next(hold_outs(task, 1)).out, data, tmp_path / "held out")
    assert (folder / "train.txt").read_text() == "p\tq\t1\nz\tq\t0\n"
    assert (folder / "valid.txt").read_text() == "p_\tr\t1\nr\ts\t0\n"
    assert (folder / "test.txt").read_text() == "b_\te\t1\n"
    assert np.load(folder / "soft_labels_train.npy").tolist() == [[0, 1], [1, 0]]
    whole = written(task, None, data, tmp_path / "whole")
    assert len((whole / "train.txt").read_text().splitlines()) == len(task.train)
