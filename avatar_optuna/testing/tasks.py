"""What every kind of task must do; and a small task for the tests of other kinds of entries."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from avatar_optuna.costs import TaskShape
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import SPLITS, Split, Task, TaskKind, load_task, task_kind, task_shape_of, with_labels

_SAMPLE = 20


def check_task_kind(kind: TaskKind, settings: TaskSettings, *, cache_dir: Path) -> None:
    """Check a kind of task against the contract.

    Args:
        kind: The entry, registered under `settings.kind`.
        settings: A sound section `[task]` that selects it, with data to read where the kind reads some.
        cache_dir: A folder that the kind may keep files in.

    Raises:
        AssertionError: The contract is broken; the message says where.
    """
    assert task_kind(settings.kind) is kind, f"the kind must be registered under the name {settings.kind!r}"
    assert kind.title.strip(), "title must be text"
    assert kind.language.strip(), "language must be text"
    assert set(kind.path_names) <= {"data", *kind.option_names}, "path_names must be data or among option_names"
    assert set(settings.options) <= set(kind.option_names), "option_names must list the keys that the settings use"
    assert kind.faults(settings) == [], f"sound settings must have no faults, got {kind.faults(settings)}"
    assert TaskSettings.from_mapping(json.loads(json.dumps(settings.to_dict()))) == settings, "options must be JSON"
    _check_labels(kind, settings)
    _check_data(kind, settings, cache_dir)


def _check_labels(kind: TaskKind, settings: TaskSettings) -> None:
    names = kind.label_names(settings)
    assert len(names) >= 2, f"there must be at least two labels, got {names}"
    assert len(set(names)) == len(names), f"names of labels must differ, got {names}"
    assert kind.label_names(with_labels(settings)) == names, "the labels option must be what label_names gives"
    assert task_shape_of(settings) == TaskShape(arity=kind.arity, num_labels=len(names))


def _check_data(kind: TaskKind, settings: TaskSettings, cache_dir: Path) -> None:
    splits = kind.read(settings, cache_dir=cache_dir)
    assert set(splits) == set(SPLITS), f"read must give the splits {SPLITS}, got {tuple(splits)}"
    task, again = (load_task(settings, cache_dir=cache_dir) for _ in range(2))
    anew = load_task(settings)
    assert task.fingerprint == again.fingerprint == anew.fingerprint, "read must give the same data each time"
    limited = TaskSettings(**{**settings.to_dict(), "max_valid": _SAMPLE})
    count = len(load_task(limited, cache_dir=cache_dir).valid)
    assert count <= _SAMPLE, f"max_valid = {_SAMPLE} must give at most as many inputs, got {count}"


def small_task(*, arity: int = 1, num_labels: int = 2, inputs: int = 40) -> Task:
    """A task that a small network learns: a function repeats one of `num_labels` calls; a pair is told by its first.

    Args:
        arity: Functions an input, 1 or 2.
        num_labels: Labels.
        inputs: Of each split.
    """
    splits = {name: _small_split(arity, num_labels, inputs, seed) for seed, name in enumerate(SPLITS)}
    names = tuple(f"call_{label}" for label in range(num_labels))
    shape = TaskShape(arity=arity, num_labels=num_labels)
    return Task(kind="small", shape=shape, language="python", label_names=names, **splits)


def _small_split(arity: int, num_labels: int, inputs: int, seed: int) -> Split:
    rng = np.random.default_rng(seed)
    labels = np.arange(inputs, dtype=np.int64) % num_labels
    functions = [
        f"def f{seed}_{index}(x):\n    y = {rng.integers(99)}\n" + f"    call_{label}(x, y)\n" * 4
        for index, label in enumerate(labels)
    ]
    others = (np.arange(inputs) + rng.integers(1, inputs, inputs)) % inputs
    rows = np.stack([np.arange(inputs), others], axis=1)[:, :arity]
    return Split(functions=tuple(functions), inputs=rows.astype(np.int32), labels=labels)
