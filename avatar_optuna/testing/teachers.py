"""What every kind of teacher must do: answer for the splits that students learn from, the same each time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

import numpy as np

from avatar_optuna.kinds import TEACHER_KINDS
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers import TeacherKind, check_teacher, load_teacher

_SPLITS = ("train", "valid")


def check_teacher_kind(kind: TeacherKind, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
    """Check a kind of teacher against the contract.

    Args:
        kind: The entry, registered under `settings.kind`.
        settings: A sound section `[teacher]` that selects it.
        task: What it can answer for, such as `avatar_optuna.testing.tasks.small_task()`.
        cache_dir: A folder that the kind may keep files in.

    Raises:
        AssertionError: The contract is broken; the message says where.
    """
    registered = cast(TeacherKind, TEACHER_KINDS.get(settings.kind))
    assert registered is kind, f"the kind must be registered under the name {settings.kind!r}"
    assert settings.kind in kind.option_names, "option_names must list the key that selects the kind"
    assert set(kind.path_names) <= set(kind.option_names), "path_names must be among option_names"
    assert set(settings.options) <= set(kind.option_names), "option_names must list the keys that the settings use"
    assert kind.faults(settings) == [], f"sound settings must have no faults, got {kind.faults(settings)}"
    assert TeacherSettings.from_mapping(json.loads(json.dumps(settings.to_dict()))) == settings, "options must be JSON"
    check_teacher(settings, task, cache_dir=cache_dir)
    teacher, again = (load_teacher(settings, task, cache_dir=cache_dir) for _ in range(2))
    assert teacher.fingerprint == again.fingerprint, "the fingerprint must be the same for the same teacher"
    assert teacher.source.startswith(settings.kind), f"source must begin with the kind, got {teacher.source!r}"
    for name in _SPLITS:
        logits = teacher.logits(name)
        shape = (len(task.splits[name]), task.shape.num_labels)
        assert logits.shape == shape, f"logits of {name} must have the shape {shape}, got {logits.shape}"
        assert np.isfinite(logits).all(), f"logits of {name} must be finite"
        assert np.array_equal(logits, again.logits(name)), f"logits of {name} must be the same each time"
    assert teacher.soft_labels("cpu").logits.shape == teacher.logits("train").shape
