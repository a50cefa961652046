"""The format `hf`: a directory as Hugging Face lays it out, with a model card."""

from __future__ import annotations

import shutil
from pathlib import Path

from avatar_optuna.exports._export import StudentToExport


class HuggingFaceDirectory:
    """Configuration, weights, tokenizer and manifest as they are stored, and the model card as `README.md`."""

    name = "hf"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        shutil.copytree(student.files, out_dir, dirs_exist_ok=True)
        (out_dir / "README.md").write_text(student.card, encoding="utf-8")


FORMAT = HuggingFaceDirectory()
