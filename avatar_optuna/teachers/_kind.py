"""What a kind of teacher is, and the teacher that a study file names."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from avatar_optuna.exceptions import InputError
from avatar_optuna.kinds import TEACHER_KINDS, Kind
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, Teacher


class TeacherKind(Kind, Protocol):
    """A kind of teacher, selected in `[teacher]` by the key of its name; `settings.source` is that key's value.

    A kind's file is imported with every study file: it imports what is heavy inside its methods.
    """

    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        """Refuse a teacher that cannot be read, without training one.

        Raises:
            InputError: It is absent, malformed, or not for this task.
        """

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        """The teacher; one that must be trained is trained, and found trained the next time.

        The fingerprint of the teacher covers everything that its answers depend on (see `fingerprint`): it names the
        cache of its answers, and the students that learn from it.

        Args:
            settings: The section `[teacher]`.
            task: What it answers for.
            cache_dir: For trained teachers and function vectors.
            device: cpu, cuda or cuda:N.
            on_epoch: Called after each epoch of its training.

        Raises:
            InputError: It is absent, malformed, or not for this task.
            DivergenceError: Its training diverged (loss or weights not finite).
        """


class PathKind:
    """What kinds have in common that are selected by one key, whose value is a path or the name of a model."""

    def __init__(self, name: str) -> None:
        self.option_names: tuple[str, ...] = (name,)
        self.path_names: tuple[str, ...] = (name,)

    def faults(self, settings: TeacherSettings) -> list[str]:
        """The fault of a source that is no text, if it is none."""
        if isinstance(settings.source, str) and settings.source.strip():
            return []
        return [f"{settings.kind} must be text, got {settings.source!r}"]


def fingerprint(task: Task, *parts: Any) -> str:
    """SHA-256 (hex) over a task and further JSON values, such as the SHA-256 of each file that is read."""
    return hashlib.sha256(json.dumps([*parts, task.fingerprint], sort_keys=True).encode()).hexdigest()


def load_teacher(
    settings: TeacherSettings,
    task: Task,
    *,
    cache_dir: Path,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> Teacher:
    """The teacher that a study file names (see `TeacherKind.load`).

    Processes that want the same untrained teacher at once wait for the first to train it. Its training goes on from
    its last finished epoch after an interruption.

    Raises:
        InputError: The source is absent, of another shape, or not for this task.
        DivergenceError: Its training diverged.
    """
    return _kind(settings).load(settings, task, cache_dir=cache_dir, device=device, on_epoch=on_epoch)


def check_teacher(settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
    """Refuse a teacher that cannot be read, without training one (see `TeacherKind.check`).

    Raises:
        InputError: The source is absent, of another shape, or not for this task.
    """
    _kind(settings).check(settings, task, cache_dir=cache_dir)


def _kind(settings: TeacherSettings) -> TeacherKind:
    kind = cast(TeacherKind, TEACHER_KINDS.get(settings.kind))
    if faults := kind.faults(settings):
        raise InputError("; ".join(f"teacher.{fault}" for fault in faults))
    return kind
