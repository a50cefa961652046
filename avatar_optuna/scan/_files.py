"""The source files of a folder."""

from __future__ import annotations

import fnmatch
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from avatar_optuna.languages import Language, language_of

VENDORED = frozenset(
    {
        *("node_modules", "bower_components", "vendor", "third_party", "site-packages", "dist-packages"),
        *("venv", "__pycache__"),
    }
)
"""Names of folders that hold code of others, or none."""


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file to scan.

    Args:
        name: Its path below the folder, with slashes.
        path: Where it lies.
        language: What its name says it holds.
    """

    name: str
    path: Path
    language: Language


@dataclass(kw_only=True)
class FileFinder:
    """Finds the files to scan below a folder; links are not followed.

    Args:
        languages: Of the files.
        excluded: Patterns such as `tests/*`; a file or folder whose path below the folder matches one is left out.
        has_all_folders: Whether hidden folders and those of `VENDORED` are looked into.
        skipped: How many were left out, by reason.
    """

    languages: Sequence[Language]
    excluded: Sequence[str] = ()
    has_all_folders: bool = False
    skipped: Counter[str] = field(default_factory=Counter)

    def find(self, folder: Path) -> list[SourceFile]:
        """The files, by name."""
        files: list[SourceFile] = []
        for place, folders, names in os.walk(folder):
            inner = Path(place).relative_to(folder)
            folders[:] = [name for name in folders if self._is_entered(Path(place, name), inner / name)]
            files += [file for name in names if (file := self._file(Path(place, name), inner / name)) is not None]
        return sorted(files, key=lambda file: file.name)

    def _is_entered(self, path: Path, inner: PurePath) -> bool:
        is_foreign = inner.name in VENDORED or inner.name.startswith(".")
        if path.is_symlink():
            self.skipped["links"] += 1
        elif is_foreign and not self.has_all_folders:
            self.skipped["hidden and vendored folders"] += 1
        elif self._is_excluded(inner):
            self.skipped["excluded"] += 1
        else:
            return True
        return False

    def _file(self, path: Path, inner: PurePath) -> SourceFile | None:
        language = language_of(inner)
        if language is None or language not in self.languages:
            return None
        if path.is_symlink():
            self.skipped["links"] += 1
        elif self._is_excluded(inner):
            self.skipped["excluded"] += 1
        elif path.is_file():
            return SourceFile(name=printable(inner.as_posix()), path=path, language=language)
        return None

    def _is_excluded(self, inner: PurePath) -> bool:
        return any(fnmatch.fnmatchcase(inner.as_posix(), pattern) for pattern in self.excluded)


def printable(name: str) -> str:
    """A file's name as UTF-8 can hold it."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
