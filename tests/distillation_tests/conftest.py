"""Small tasks that a small network can learn, made of real Python text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Teacher
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.students import Configuration
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.tasks import Split, Task
from avatar_optuna.teachers import load_teacher

NAMES = (
    "alpha",
    "beta",
    "gamma",
    "delta",
    "count",
    "total",
    "index",
    "value",
    "left",
    "right",
    "item",
    "node",
)
BODIES = (
    "def {0}({1}):\n    {2} = 0\n    for {3} in {1}:\n        {2} += {3}\n    return {2}",
    "def {0}({1}):\n    with open({1}) as {2}:\n        {3} = {2}.read()\n    return {3}.splitlines()",
    "def {0}({1}, {2}):\n    if {1} > {2}:\n        return {1}\n    {3} = {2}\n    return {3}",
    "def {0}({1}):\n    {2} = sorted({1})\n    while {2} and {2}[0] < 0:\n        {3} = {2}.pop(0)\n    return {2}",
)


def _functions(count: int, rng: np.random.Generator) -> tuple[list[str], list[int]]:
    """Distinct functions, and which of the bodies each has."""
    seen: dict[str, int] = {}
    while len(seen) < count:
        body = len(seen) % len(BODIES)
        seen[BODIES[body].format(*rng.permutation(NAMES)[:4])] = body
    return list(seen), list(seen.values())


def _split(task_shape: TaskShape, count: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    functions, bodies = _functions(count, rng)
    if not task_shape.is_pair:
        inputs = np.arange(count, dtype=np.int32)[:, None]
        labels = np.array([body == 1 for body in bodies], dtype=np.int64)
        return Split(functions=tuple(functions), inputs=inputs, labels=labels)
    reads = np.array([body == 1 for body in bodies])
    rows = np.array([(a, b) for a, b in rng.integers(0, count, (12 * count, 2)) if a != b], dtype=np.int32)
    of = reads[rows[:, 0]] == reads[rows[:, 1]]
    inputs = rng.permutation(np.concatenate([rows[of][:count], rows[~of][:count]]))
    labels = (reads[inputs[:, 0]] == reads[inputs[:, 1]]).astype(np.int64)
    return Split(functions=tuple(functions), inputs=inputs, labels=labels)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small are slower on many threads, and far slower where the machine is busy."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def make_task() -> Callable[[TaskShape], Task]:
    def make(task_shape: TaskShape) -> Task:
        train, valid, test = (_split(task_shape, count, seed) for seed, count in enumerate((96, 24, 24)))
        names = ("different", "alike") if task_shape.is_pair else ("pure", "reads")
        return Task(
            kind="made-up", shape=task_shape, language="Python", label_names=names, train=train, valid=valid, test=test
        )

    return make


@pytest.fixture(scope="session")
def small_student() -> Configuration:
    return TRANSFORMER.configure(
        tokenizer="BPE",
        vocab_size=400,
        num_hidden_layers=1,
        hidden_size=24,
        hidden_act="gelu",
        hidden_dropout_prob=0.0,
        intermediate_size=32,
        num_attention_heads=2,
        attention_probs_dropout_prob=0.1,
        max_sequence_length=48,
        position_embedding_type="relative_key",
        learning_rate=3e-3,
        batch_size=16,
    )


@pytest.fixture(scope="session")
def architecture() -> TeacherSettings:
    sizes = {
        "vocab_size": 400,
        "num_hidden_layers": 1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 2,
    }
    return TeacherSettings(architecture=sizes, epochs=8, learning_rate=3e-3, batch_size=16, max_sequence_length=64)


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def pair_teacher(make_task: Callable[[TaskShape], Task], architecture: TeacherSettings, cache_dir: Path) -> Teacher:
    """A teacher of pairs, trained from scratch in seconds."""
    return load_teacher(architecture, make_task(TaskShape(arity=2)), cache_dir=cache_dir)


@pytest.fixture(scope="session")
def single_teacher(make_task: Callable[[TaskShape], Task], architecture: TeacherSettings, cache_dir: Path) -> Teacher:
    """A teacher of single functions, trained from scratch in seconds."""
    return load_teacher(architecture, make_task(TaskShape(arity=1)), cache_dir=cache_dir)
