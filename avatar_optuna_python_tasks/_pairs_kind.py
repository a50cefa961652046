"""What the built-in kinds of pairs have in common: they make their data of the library of the user's Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import SPLITS, Split, made_once


@dataclass(frozen=True, kw_only=True)
class BuiltInPairs:
    """A kind of task; `max_train`, `max_valid` and `max_test` say how many pairs are made.

    Args:
        title: As the report calls it.
        labels: Their names, in their order.
        default_inputs: Number of pairs of each split where the study file says none.
        make: Makes the splits by `seed` and `inputs`, the number of pairs of each.
    """

    title: str
    labels: tuple[str, ...]
    default_inputs: Mapping[str, int]
    make: Callable[..., dict[str, Split]]
    arity: int = 2
    language: str = "python"
    is_built_in: bool = True
    option_names: tuple[str, ...] = ()
    path_names: tuple[str, ...] = ()

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        return self.labels

    def faults(self, settings: TaskSettings) -> list[str]:
        if settings.data is None:
            return []
        return [f"data must be absent for the built-in kind {settings.kind}, got {settings.data!r}"]

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        inputs = {name: getattr(settings, f"max_{name}") or self.default_inputs[name] for name in SPLITS}
        return made_once(settings, inputs, lambda: self.make(seed=settings.seed, inputs=inputs), cache_dir)
