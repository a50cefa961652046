"""`checkpoint`: a directory or hub name of a fine-tuned classifier, or of an encoder with `pair_head.safetensors`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._kind import PathKind

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, Teacher


class _Checkpoint(PathKind):
    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        """Read the model, let it answer for a few inputs and read some functions."""
        from avatar_optuna.teachers._directory import require_answers

        classifier = self.load(settings, task, cache_dir=cache_dir, device="cpu", on_epoch=None).classifier
        assert classifier is not None
        require_answers(classifier, settings.source, task)

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.distillation import model_directory
        from avatar_optuna.teachers._directory import teacher_of_directory

        return teacher_of_directory(
            model_directory(settings.source),
            f"checkpoint: {settings.source}",
            task,
            cache_dir,
            device,
            max_sequence_length=settings.max_sequence_length,
        )


KIND = _Checkpoint("checkpoint")
