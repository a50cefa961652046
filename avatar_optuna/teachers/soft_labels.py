"""`soft_labels`: what another model answered, in a file or a folder (see `avatar_optuna.teachers._answers`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._answers import read_answers
from avatar_optuna.teachers._kind import PathKind, fingerprint

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, Teacher


class _SoftLabels(PathKind):
    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        self.load(settings, task, cache_dir=cache_dir, device="cpu", on_epoch=None)

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.distillation import Teacher
        from avatar_optuna.files import sha256_of

        logits, paths = read_answers(Path(settings.source), task)
        learnt_from = [path for path in paths if not path.stem.endswith("_test")]
        return Teacher(
            source=f"soft_labels: {settings.source}",
            fingerprint=fingerprint(task, [sha256_of(path) for path in learnt_from]),
            task=task,
            classifier=None,
            soft_labels=logits,
        )


KIND = _SoftLabels("soft_labels")
