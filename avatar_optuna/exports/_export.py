"""What an export format is, and the export of a distilled student of a study in one of them."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import appearing
from avatar_optuna.manifest import store_threshold
from avatar_optuna.registry import Registry
from avatar_optuna.renderers import model_card
from avatar_optuna.storage import artifact_store, download_directory
from avatar_optuna.students import Configuration
from avatar_optuna.study import AvatarStudy, meaning
from avatar_optuna.view import read_view


@dataclass(frozen=True, kw_only=True)
class StudentToExport:
    """A distilled student.

    Args:
        name: Such as "clone-detection-12": its study and its number.
        task_shape: Functions an input, and labels.
        hyperparameters: Its configuration.
        files: A directory that holds its files as they were stored, each checked by its SHA-256: the configuration,
            the weights (`model.safetensors`), the tokenizer (`tokenizer.json`) and the manifest (`avatar.json`). To be
            read only; it is gone after `write`.
        card: The model card, in Markdown.
    """

    name: str
    task_shape: TaskShape
    hyperparameters: Configuration
    files: Path
    card: str


class ExportFormat(Protocol):
    """A format in which a student is exported. `avatar_optuna.testing.exports` checks one."""

    @property
    def name(self) -> str:
        """What `export --format` takes."""

    @property
    def requires(self) -> tuple[str, ...]:
        """Python modules that `write` imports beside those that avatar_optuna depends on."""

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        """Write the student.

        Args:
            student: The student.
            out_dir: An empty directory; it gets its final name when everything is written.

        Raises:
            InputError: A student of this kind cannot be written in this format.
        """


FORMATS: Registry[ExportFormat] = Registry(
    "exports",
    noun="export format",
    built_in={
        **{name: f"avatar_optuna.exports.{name}:FORMAT" for name in ("c", "hf", "js", "numpy", "onnx")},
        "onnx-int8": "avatar_optuna.exports.onnx:INT8_FORMAT",
    },
)
"""The formats, by name."""


def export_student(
    study: AvatarStudy, number: int, out: Path, *, format_name: str = "hf", threshold: float | None = None
) -> None:
    """Write a distilled student; the directory appears with all its files or not at all.

    Args:
        number: Of the student: of its trial in `NAME/distilled`.
        out: A directory that does not exist yet.
        threshold: Stored with a student of two labels: it gives the label 1 from this probability on. None leaves its
            own, or 0.5.

    Raises:
        InputError: There is no such student or format, the format needs a package that is missing, `out` exists, a
            threshold is given for another number of labels than two, or none is and the student's own misses its aim.
        StorageError: A file is missing from the artifact store, or was changed.
    """
    if out.exists():
        raise InputError(f"--out must be a new directory, got {str(out)!r}, which exists")
    export_format = FORMATS.get(format_name)
    if missing := [module for module in export_format.requires if find_spec(module) is None]:
        raise InputError(
            f"the export format {format_name} needs {' and '.join(missing)}: pip install {' '.join(missing)}"
        )
    view = read_view(study.storage, study.name)
    student = next((student for student in view.students if student.job == number), None)
    if student is None:
        done = sorted(student.job for student in view.students)
        raise InputError(
            f"--student must be a finished student of {study.name}, one of {done}, got {number}: "
            f"{meaning(study, number)}"
        )
    if threshold is not None and view.task_shape.num_labels != 2:
        raise InputError(f"--threshold is for students of two labels, this one has {view.task_shape.num_labels}")
    if threshold is None and student.decision.missed is not None:
        raise InputError(
            f"student {number} needs a --threshold to be exported, as its own misses its aim: {student.decision.missed}"
        )
    with tempfile.TemporaryDirectory() as files, appearing(out) as draft:
        download_directory(artifact_store(study.artifacts), student.result.files, Path(files))
        if threshold is not None:
            store_threshold(Path(files), threshold)
        export_format.write(
            StudentToExport(
                name=f"{study.name}-{number}",
                task_shape=view.task_shape,
                hyperparameters=student.hyperparameters,
                files=Path(files),
                card=model_card(view, student, threshold=threshold),
            ),
            draft,
        )
