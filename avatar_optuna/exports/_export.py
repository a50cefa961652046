"""Export a distilled student of a study in one of the formats."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports._format import ExportFormat, StudentToExport
from avatar_optuna.files import appearing
from avatar_optuna.registry import Registry
from avatar_optuna.renderers import model_card
from avatar_optuna.storage import artifact_store, download_directory
from avatar_optuna.study import AvatarStudy
from avatar_optuna.view import read_view

FORMATS: Registry[ExportFormat] = Registry(
    "exports", noun="export format", built_in={"hf": "avatar_optuna.exports.hf:FORMAT"}
)
"""The formats, by name."""


def export_student(study: AvatarStudy, job_number: int, out: Path, *, format_name: str = "hf") -> None:
    """Write a distilled student; the directory appears with all its files or not at all.

    Args:
        job_number: Number of the student's trial among the distilled.
        out: A directory that does not exist yet.

    Raises:
        InputError: There is no such student or format, the format needs a package that is missing, or `out` exists.
        StorageError: A file is missing from the artifact store, or was changed.
    """
    if out.exists():
        raise InputError(f"--out must be a new directory, got {str(out)!r}, which exists")
    export_format = FORMATS.get(format_name)
    if missing := [module for module in export_format.requires if find_spec(module) is None]:
        raise InputError(f"the export format {format_name} needs {' and '.join(missing)}: install what is missing")
    view = read_view(study.storage, study.name)
    student = view.student(job_number)
    if student is None:
        done = sorted(student.job for student in (*view.students, *view.indicator_samples))
        raise InputError(f"--trial must be a finished job of {study.name}, one of {done}, got {job_number}")
    with tempfile.TemporaryDirectory() as files, appearing(out) as draft:
        download_directory(artifact_store(study.artifacts), student.result.files, Path(files))
        export_format.write(
            StudentToExport(
                name=f"{study.name}-{job_number}",
                task_shape=view.task_shape,
                hyperparameters=student.hyperparameters,
                files=Path(files),
                card=model_card(view, student),
            ),
            draft,
        )
