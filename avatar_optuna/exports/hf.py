"""The format `hf`: a directory as Hugging Face lays it out, with a model card."""

from __future__ import annotations

import shutil
from pathlib import Path

from avatar_optuna.exports._card import write_card
from avatar_optuna.exports._export import StudentToExport

_USAGE = "`avatar-optuna predict DIR {files}`, or in Python `avatar_optuna.load_student(DIR).predict(inputs)`."


class HuggingFaceDirectory:
    """Configuration, weights, tokenizer and manifest as they are stored, and the model card as `README.md`."""

    name = "hf"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        shutil.copytree(student.files, out_dir, dirs_exist_ok=True)
        write_card(student, out_dir, _USAGE.format(files="FILE FILE" if student.task_shape.is_pair else "FILE"))


FORMAT = HuggingFaceDirectory()
