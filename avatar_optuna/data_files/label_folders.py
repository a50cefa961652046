"""A folder for each label, and in it a file for each function."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avatar_optuna.data_files._format import Row, Rows
from avatar_optuna.exceptions import DataError
from avatar_optuna.files import read_text

_COLUMNS = ("code", "label", "path")


class _LabelFolders:
    title = "a folder for each label with a file for each function"
    suffixes: tuple[str, ...] = ()

    def is_folder(self, path: Path) -> bool:
        return any(entry.is_dir() and not entry.name.startswith(".") for entry in path.iterdir())

    def columns(self, path: Path) -> tuple[str, ...]:
        return _COLUMNS

    def value_names(self, path: Path) -> Mapping[str, Sequence[str]]:
        return {}

    def rows(self, path: Path, columns: Sequence[str] = ()) -> Rows:
        """By label and name; hidden files and folders, and links to folders, are left out."""
        for file in sorted(_files(path), key=lambda file: file.relative_to(path).parts):
            inner = file.relative_to(path)
            if len(inner.parts) == 1:
                yield DataError(file, None, f"a file must lie in the folder of its label, below {path}")
                continue
            try:
                text = read_text(file)
            except DataError as error:
                yield error
                continue
            yield Row(file, None, {"code": text, "label": inner.parts[0], "path": inner.as_posix()})


FORMAT = _LabelFolders()


def _files(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))
