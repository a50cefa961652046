"""A task from its settings, by its kind; and a cache for kinds that make their data."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar_optuna import __version__
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import cached
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks._disjoint import without_copies
from avatar_optuna.tasks._kind import task_kind, task_shape_of, with_labels
from avatar_optuna.tasks._rows_kind import RowsKind
from avatar_optuna.tasks._task import SPLITS, Split, Task, sample


def load_task(settings: TaskSettings, *, cache_dir: Path | None = None) -> Task:
    """Read or make the task.

    Args:
        cache_dir: Where a built-in task is kept once made, for this version of Python; None makes it anew.

    Raises:
        DataError: A row of the user's files breaks the format.
        InputError: The data cannot serve as asked.
    """
    kind = task_kind(settings.kind)
    if faults := kind.faults(settings):
        raise InputError("; ".join(f"task.{fault}" for fault in faults))
    if settings.split_shares and not isinstance(kind, RowsKind):
        raise InputError(
            f"task.split must be given, disjoint or unseen for the kind {settings.kind}, got {settings.split!r}"
        )
    settings = with_labels(settings)  # so that the data is read for them once
    language = str(settings.options.get("language", kind.language))
    whole = kind.read(settings, cache_dir=cache_dir)
    if settings.without_copies:
        whole = without_copies(whole, language, of=settings.without_copies)
    limits = {"train": settings.max_train, "valid": settings.max_valid, "test": settings.max_test}
    splits = {name: sample(whole[name], limits[name], seed=settings.seed + index) for index, name in enumerate(SPLITS)}
    return Task(
        kind=settings.kind,
        shape=task_shape_of(settings),
        language=language,
        label_names=kind.label_names(settings),
        **splits,
    )


def made_once(
    settings: TaskSettings,
    inputs: Mapping[str, int],
    make: Callable[[], Mapping[str, Split]],
    cache_dir: Path | None,
) -> Mapping[str, Split]:
    """Splits that a kind makes, or those that it made before with the same versions of Python, NumPy and this library.

    Args:
        settings: Their kind and seed name the file.
        inputs: Inputs of each split; they name the file as well.
        make: Makes the splits.
        cache_dir: Folder of the cache; None makes them anew.
    """
    if cache_dir is None:
        return make()
    identity = [settings.kind, settings.seed, dict(inputs), platform.python_version(), np.__version__, __version__]
    key = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]
    path = cache_dir / "tasks" / f"{settings.kind}-{key}.json"
    written = json.loads(cached(path, lambda: json.dumps(_plain(make())).encode()))
    return {name: _split(values) for name, values in written.items()}


def _split(values: Mapping[str, Any]) -> Split:
    return Split(
        functions=tuple(values["functions"]),
        inputs=np.asarray(values["inputs"], dtype=np.int32),
        labels=np.asarray(values["labels"], dtype=np.int64),
    )


def _plain(splits: Mapping[str, Split]) -> dict[str, Any]:
    return {
        name: {"functions": split.functions, "inputs": split.inputs.tolist(), "labels": split.labels.tolist()}
        for name, split in splits.items()
    }
