"""A task from its settings: read where the user has data, made from Python's own library where not."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar_optuna import __version__
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import _python_clones, _python_defects
from avatar_optuna.tasks._codexglue import SPLITS, read_clone_detection, read_vulnerability_prediction
from avatar_optuna.tasks._task import Split, Task, sample

_KINDS: Mapping[str, tuple[TaskShape, str, tuple[str, str]]] = {
    "clone-detection": (TaskShape(arity=2), "java", ("different", "clone")),
    "vulnerability-prediction": (TaskShape(arity=1), "c", ("safe", "vulnerable")),
    "python-clones": (TaskShape(arity=2), "python", ("different", "clone")),
    "python-defects": (TaskShape(arity=1), "python", ("sound", "defective")),
}


def task_shape_of(kind: str) -> TaskShape:
    """Whether a kind of task classifies single functions or pairs; needs no data."""
    return _KINDS[kind][0]


def load_task(settings: TaskSettings, *, cache_dir: Path | None = None) -> Task:
    """Read or make the task.

    Args:
        settings: The section `[task]` of a study file.
        cache_dir: Where a built-in task is kept once made, for this version of Python; None makes it anew.

    Raises:
        DataError: A row of the user's files breaks the format.
        InputError: The data cannot serve as asked.
    """
    task_shape, language, label_names = _KINDS[settings.kind]
    limits = {"train": settings.max_train, "valid": settings.max_valid, "test": settings.max_test}
    if settings.data is None:
        splits = _built_in(settings, limits, cache_dir)
    else:
        folder = Path(settings.data)
        if not folder.is_dir():
            raise InputError(f"task.data must be a folder, got {settings.data!r}, which is none")
        read = read_clone_detection if task_shape.is_pair else read_vulnerability_prediction
        splits = {
            name: sample(split, limits[name], seed=settings.seed + index)
            for index, (name, split) in enumerate(read(folder).items())
        }
    return Task(kind=settings.kind, shape=task_shape, language=language, label_names=label_names, **splits)


def _built_in(settings: TaskSettings, limits: Mapping[str, int | None], cache_dir: Path | None) -> dict[str, Split]:
    clones = settings.kind == "python-clones"
    make = _python_clones.make_python_clones if clones else _python_defects.make_python_defects
    defaults = _python_clones.DEFAULT_INPUTS if clones else _python_defects.DEFAULT_INPUTS
    inputs = {name: limits[name] or defaults[name] for name in SPLITS}
    identity = [settings.kind, settings.seed, inputs, platform.python_version(), np.__version__, __version__]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_dir / "tasks" / f"{settings.kind}-{key}.json" if cache_dir is not None else None
    if path is not None and path.exists():
        return {name: _split(values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    splits = make(seed=settings.seed, inputs=inputs)
    if path is not None:
        _write(path, splits)
    return splits


def _split(values: Mapping[str, Any]) -> Split:
    return Split(
        functions=tuple(values["functions"]),
        inputs=np.asarray(values["inputs"], dtype=np.int32),
        labels=np.asarray(values["labels"], dtype=np.int64),
    )


def _write(path: Path, splits: Mapping[str, Split]) -> None:
    """Whole or not at all, however many processes write it."""
    document = {
        name: {"functions": split.functions, "inputs": split.inputs.tolist(), "labels": split.labels.tolist()}
        for name, split in splits.items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(document, file)
    Path(draft).replace(path)
