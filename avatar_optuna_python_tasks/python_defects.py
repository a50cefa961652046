"""`python-defects`, which was removed: stored studies of it can be read, new ones are refused."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split

_RULE = (
    "kind must not be python-defects in a new study: no model tried on it, teachers included, was better than chance"
)


class _PythonDefects:
    """Seeded faults in functions of the Python standard library."""

    title = "defect prediction on seeded faults in Python’s standard library"
    arity = 1
    language = "python"
    is_built_in = True
    option_names: tuple[str, ...] = ()
    path_names: tuple[str, ...] = ()

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        return ("sound", "defective")

    def faults(self, settings: TaskSettings) -> list[str]:
        return [_RULE]

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        raise InputError(f"task.{_RULE}")


KIND = _PythonDefects()
