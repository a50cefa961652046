"""What an export format is, and what it is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from avatar_optuna.costs import TaskShape
from avatar_optuna.students import Configuration


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
