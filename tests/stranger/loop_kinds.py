"""A task of five labels: what does a Python function do with the numbers it is given? Made here from templates."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split

_BODIES = {
    "adds": "{t} = 0\n    for {v} in {a}:\n        {t} += {v}\n    return {t}",
    "maximizes": "{t} = {a}[0]\n    for {v} in {a}:\n        if {v} > {t}:\n            {t} = {v}\n    return {t}",
    "counts": "{t} = 0\n    while {a}:\n        {a}.pop()\n        {t} = {t} + 1\n    return {t}",
    "reverses": "{t} = []\n    for {v} in {a}:\n        {t}.insert(0, {v})\n    return {t}",
    "prints": "for {v} in {a}:\n        print({v}, end=str({t}))\n    return None",
}
_NAMES = ("total", "value", "numbers", "item", "result", "entry", "data", "left", "right", "node")
_SIZES = {"train": 100, "valid": 40, "test": 40}


class _LoopKinds:
    title = "loop kinds: what does a function do with its numbers?"
    arity = 1
    language = "python"
    is_built_in = True
    option_names: tuple[str, ...] = ()
    path_names: tuple[str, ...] = ()

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        return tuple(_BODIES)

    def faults(self, settings: TaskSettings) -> list[str]:
        return [] if settings.data is None else [f"data must be absent, got {settings.data!r}"]

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        return {name: _split(name, size, settings.seed) for name, size in _SIZES.items()}


def _split(name: str, size: int, seed: int) -> Split:
    rng = np.random.default_rng([seed, size, len(name)])
    labels = np.arange(size, dtype=np.int64) % len(_BODIES)
    functions = []
    for index, label in enumerate(labels):
        t, v, a = rng.choice(_NAMES, 3, replace=False)
        functions.append(f"def {name}{index}({a}):\n    {list(_BODIES.values())[label].format(t=t, v=v, a=a)}")
    return Split(functions=tuple(functions), inputs=np.arange(size, dtype=np.int32)[:, None], labels=labels)


KIND = _LoopKinds()
