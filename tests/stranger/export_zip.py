"""An export format: the whole student in one zip file."""

from __future__ import annotations

import zipfile
from pathlib import Path

from avatar_optuna.exports import StudentToExport


class ZipFormat:
    """`student.zip`, with the model card inside."""

    name = "zip"
    requires: tuple[str, ...] = ()

    def write(self, student: StudentToExport, out_dir: Path) -> None:
        with zipfile.ZipFile(out_dir / "student.zip", "w") as archive:
            for path in sorted(student.files.iterdir()):
                archive.write(path, path.name)
            archive.writestr("README.md", student.card)


FORMAT = ZipFormat()
