"""What a kind of task is: the protocol that a file of `tasks/`, or of another package, satisfies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast

from avatar_optuna.costs import TaskShape
from avatar_optuna.kinds import TASK_KINDS, Kind
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks._rows_kind import RowsKind
from avatar_optuna.tasks._task import Split


class TaskKind(Kind, Protocol):
    """A kind of task, selected by `[task] kind`."""

    @property
    def title(self) -> str:
        """What the report calls it, such as "clone detection: do two functions do the same?"."""

    @property
    def arity(self) -> int:
        """Functions that one input holds: 1 or 2."""

    @property
    def language(self) -> str:
        """Of the functions, such as "java"."""

    @property
    def is_built_in(self) -> bool:
        """Whether it makes its data itself and needs no `[task] data`."""

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        """Names of the labels, in their order.

        A kind whose labels depend on the data has `labels` among its `option_names`: it takes them from there, or
        reads them from the data; a new study stores what was read, so that it can be shown without its data.
        """

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        """The splits "train", "valid" and "test", whole: `load_task` draws the samples that the settings ask for.

        Args:
            settings: The section `[task]`.
            cache_dir: Where a kind may keep what it made; None makes it anew.

        Raises:
            InputError: The data cannot be read; a `DataError` names the file and row.
        """


def task_kind(name: str) -> TaskKind:
    """The kind of this name; an `InputError` where there is none."""
    return cast(TaskKind, TASK_KINDS.get(name))


def task_shape_of(settings: TaskSettings) -> TaskShape:
    """Functions an input and labels of a task; reads data only where the labels stand nowhere else."""
    kind = task_kind(settings.kind)
    return TaskShape(arity=kind.arity, num_labels=len(kind.label_names(settings)))


def with_labels(settings: TaskSettings) -> TaskSettings:
    """The settings with the labels of the data in them, for a kind that takes `labels`; else unchanged.

    A kind that has labels of its own where none are stated needs no data for them.
    """
    kind = task_kind(settings.kind)
    if "labels" not in kind.option_names or "labels" in settings.options:
        return settings
    if isinstance(kind, RowsKind) and kind.default_labels:
        return settings
    return TaskSettings(**settings.to_dict(), labels=list(kind.label_names(settings)))
