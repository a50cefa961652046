"""The kinds that a study file may select, by name: of tasks, and of teachers.

A built-in kind is one file, named after it, that defines `KIND`; nothing else lists it. Kinds of other packages are
declared in the entry point groups `avatar_optuna.tasks` and `avatar_optuna.teachers`; `avatar_optuna_python_tasks`,
which is installed with this one, does so.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol

from avatar_optuna.registry import Registry


class Kind(Protocol):
    """What the reader of study files asks of a kind; the kind's own file says the rest."""

    @property
    def option_names(self) -> Collection[str]:
        """Keys of the section that this kind takes besides those of every kind."""

    @property
    def path_names(self) -> Collection[str]:
        """The keys whose values are paths, relative to the study file."""

    def faults(self, settings: Any) -> list[str]:
        """Broken rules of the section, one sentence each, such as "data must be absent, got 'here'"; empty if none."""


def _built_in(package: str) -> dict[str, str]:
    """Where each kind of a package of this library is defined: file `some_kind.py` holds the kind "some-kind"."""
    files = sorted((Path(__file__).parent / package).glob("[a-z]*.py"))
    return {path.stem: f"avatar_optuna.{package}.{path.stem}:KIND" for path in files}


TASK_KINDS: Registry[Kind] = Registry(
    "tasks",
    noun="task.kind",
    built_in={name.replace("_", "-"): place for name, place in _built_in("tasks").items()},
)
TEACHER_KINDS: Registry[Kind] = Registry("teachers", noun="teacher kind", built_in=_built_in("teachers"))
