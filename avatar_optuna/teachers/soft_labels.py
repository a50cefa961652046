"""`soft_labels`: a folder with `soft_labels_train.npy` and `soft_labels_valid.npy`: logits (inputs, labels)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from avatar_optuna.exceptions import InputError
from avatar_optuna.files import read_array
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._kind import PathKind, fingerprint

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, Teacher

_SPLITS = ("train", "valid")


class _SoftLabels(PathKind):
    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        self.load(settings, task, cache_dir=cache_dir, device="cpu", on_epoch=None)

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.distillation import Teacher
        from avatar_optuna.files import sha256_of

        paths = {name: Path(settings.source) / f"soft_labels_{name}.npy" for name in _SPLITS}
        logits = {name: _read(path, len(task.splits[name]), task.shape.num_labels) for name, path in paths.items()}
        return Teacher(
            source=f"soft_labels: {settings.source}",
            fingerprint=fingerprint(task, [sha256_of(path) for path in paths.values()]),
            task=task,
            classifier=None,
            soft_labels=logits,
        )


def _read(path: Path, inputs: int, labels: int) -> npt.NDArray[np.float32]:
    array = read_array(path)
    if array.shape != (inputs, labels) or not np.issubdtype(array.dtype, np.floating):
        raise InputError(f"{path}: it must hold floats of shape {(inputs, labels)}, got {array.dtype} {array.shape}")
    return array.astype(np.float32)


KIND = _SoftLabels("soft_labels")
