"""Whole studies with teachers in the forms that people have: measured, learnt from, timed beside their students."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatar_optuna.tasks import Task
from avatar_optuna.testing.tasks import small_task
from tests.commands import run_command
from tests.teachers_tests.test_classifiers import write_classifier
from tests.teachers_tests.test_pairs import write_encoder

pytestmark = pytest.mark.slow

_REST = """
[space]
family = "hashed"
buckets = { low = 256, high = 512 }
width = [4, 8]
intermediate_size = [8, 16]
max_sequence_length = [128]
learning_rate = [1e-2, 3e-3]
[indicator]
samples = 4
epochs = 1
[search]
n_trials = 20
population_size = 10
[distillation]
epochs = 2
students = 1
[measurement]
repeats = 5
audit = false
"""


def _codet5(folder: Path, task: Task) -> str:
    write_classifier(folder / "model", "codet5", task)
    return 'checkpoint = "./model"\nmax_sequence_length = 100'


def _cross(folder: Path, task: Task) -> str:
    write_classifier(folder / "model", "bert", task, num_labels=1)
    options = 'pair = "cross"\nhead = "sigmoid"\nsampled_pairs = 50\nmax_sequence_length = 100'
    return f'checkpoint = "./model"\n{options}'


def _similarity(folder: Path, task: Task) -> str:
    write_encoder(folder / "model", "gpt2", task)
    return 'checkpoint = "./model"\npair = "similarity"'


def _write_data(folder: Path, task: Task) -> str:
    """The data of a task in CodeXGLUE's form; returns the name of its kind."""
    folder.mkdir()
    if not task.shape.is_pair:
        for name, split in task.splits.items():
            rows = zip(split.functions, split.labels.tolist(), strict=True)
            lines = [json.dumps({"func": function, "target": label}) for function, label in rows]
            (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return "vulnerability-prediction"
    functions: list[str] = []
    for name, split in task.splits.items():
        table = np.concatenate([split.inputs + len(functions), split.labels[:, None]], axis=1)
        (folder / f"{name}.txt").write_text("\n".join("\t".join(map(str, row)) for row in table.tolist()))
        functions += split.functions
    lines = [json.dumps({"idx": str(index), "func": function}) for index, function in enumerate(functions)]
    (folder / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return "clone-detection"


@pytest.mark.parametrize(("arity", "write"), [(1, _codet5), (2, _cross), (2, _similarity)])
def test_a_study_runs_to_its_end(arity: int, write: Callable[[Path, Task], str], tmp_path: Path) -> None:
    task = small_task(arity=arity)
    kind = _write_data(tmp_path / "data", task)
    teacher = write(tmp_path, task)
    text = f'name = "study"\n[task]\nkind = "{kind}"\ndata = "./data"\n[teacher]\n{teacher}\n{_REST}'
    (tmp_path / "study.toml").write_text(text, encoding="utf-8")
    for words in (("data", "study.toml"), ("teacher", "study.toml"), ("run", "study.toml", "--workers", "1")):
        result = run_command(tmp_path, *words)
        assert result.exit_code == 0, result.output
    front = run_command(tmp_path, "front", "--study-name", "study", "-f", "json")
    assert front.exit_code == 0, front.output
    assert json.loads(front.stdout)["teacher"]["valid"]
