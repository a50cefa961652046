"""Functions to classify, as people name them: files, folders, patterns, standard input, and rows of JSON Lines."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avatar_optuna.data_files import Row, json_rows, lines_of
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.files import read_text, source_fault
from avatar_optuna.languages import known_language

_STDIN = "-"
_JSONL_SUFFIXES = (".jsonl",)
_PROBE_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Source:
    """One input of a student.

    Args:
        files: Where it stands: a file each function, or the one file of a row of JSON Lines; "-" is standard input.
        line: The row's line, counted from 1; None for whole files.
        texts: The functions.
    """

    files: tuple[str, ...]
    line: int | None
    texts: tuple[str, ...]


@dataclass(kw_only=True)
class SourceReader:
    """Reads what a user names; what cannot be read is left out and kept in `faults`.

    Args:
        arity: Functions an input: 1, or 2 for a pair.
        language: Of the functions: a folder gives the files of this language; all text files where it is not known.
    """

    arity: int
    language: str

    def __post_init__(self) -> None:
        self.faults: list[DataError] = []

    def read_files(self, names: Sequence[Path]) -> list[Source]:
        """Each file a function.

        Raises:
            InputError: The student reads pairs and the files are not two.
        """
        language = known_language(self.language)
        suffixes = (*language.suffixes, *language.further_suffixes) if language is not None else None
        files = list(self._files(names, suffixes))
        if self.arity == 1:
            return [Source(files=(file,), line=None, texts=(text,)) for file in files for text in self._text(file)]
        if len(files) != self.arity and not self.faults:
            raise InputError(f"FILE must be two files for a student of pairs, or --jsonl, got {len(files)}")
        texts = [text for file in files for text in self._text(file)]
        return [] if self.faults else [Source(files=tuple(files), line=None, texts=tuple(texts))]

    def read_rows(self, names: Sequence[Path]) -> list[Source]:
        """Each row of a JSON Lines file an input: an object with `func`, or `func1` and `func2` for a pair."""
        sources = []
        for file in self._files(names, _JSONL_SUFFIXES):
            for row in self._json_rows(file):
                try:
                    sources.append(Source(files=(file,), line=row.number, texts=self._row(row)))
                except DataError as error:
                    self.faults.append(error)
        return sources

    def _json_rows(self, file: str) -> Iterator[Row]:
        """The rows of a file, or of standard input, that are objects; why the others are none goes to `faults`."""
        lines = sys.stdin.buffer if file == _STDIN else lines_of(Path(file))
        try:
            for row in json_rows(lines, Path(file)):
                if isinstance(row, Row):
                    yield row
                else:
                    self.faults.append(row)
        except DataError as error:  # the file cannot be read, or not to its end
            self.faults.append(error)

    def _row(self, row: Row) -> tuple[str, ...]:
        keys = ("func",) if self.arity == 1 else ("func1", "func2")
        texts = []
        for key in keys:
            text = row.values.get(key)
            if not isinstance(text, str):
                raise row.error(f"must be an object with texts under {' and '.join(keys)}, {key} is none")
            if (fault := source_fault(text)) is not None:
                raise row.error(f"{key} {fault}")
            texts.append(text)
        return tuple(texts)

    def _text(self, file: str) -> Iterator[str]:
        """The text of a file, or nothing where it is at fault."""
        try:
            text = self._read(file)
            if (fault := source_fault(text)) is not None:
                raise DataError(file, None, fault)
        except DataError as error:
            self.faults.append(error)
        else:
            yield text

    def _read(self, file: str) -> str:
        if file != _STDIN:
            return read_text(Path(file))
        try:
            return sys.stdin.buffer.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise DataError("standard input", None, "must be UTF-8 text") from error

    def _files(self, names: Sequence[Path], suffixes: tuple[str, ...] | None) -> Iterator[str]:
        """The files that names stand for: themselves, those of a folder by suffix, those that a pattern matches."""
        for name in names:
            try:
                is_folder, is_pattern = name.is_dir(), glob.has_magic(str(name)) and not name.exists()
            except OSError:  # too long a name, say: reading it tells
                is_folder = is_pattern = False
            if is_folder:
                rule = "must hold a text file" if suffixes is None else f"must hold a file ({', '.join(suffixes)})"
                yield from self._some(name, _in_folder(name, suffixes), rule)
            elif is_pattern:
                matches = (Path(match) for match in glob.glob(str(name), recursive=True))  # noqa: PTH207 (or absolute)
                yield from self._some(name, [match for match in matches if match.is_file()], "must match a file")
            else:
                yield str(name)

    def _some(self, name: Path, files: list[Path], rule: str) -> list[str]:
        if not files:
            self.faults.append(DataError(name, None, f"{rule}, there is none"))
        return [str(file) for file in sorted(files)]


def _in_folder(folder: Path, suffixes: tuple[str, ...] | None) -> list[Path]:
    """Its files and those of the folders in it; hidden ones and links to folders are left out."""
    files: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(place, name) for name in names if not name.startswith(".")]
        files += [path for path in paths if (_is_text(path) if suffixes is None else path.name.endswith(suffixes))]
    return files


def _is_text(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return b"\0" not in stream.read(_PROBE_BYTES)
    except OSError:
        return True  # whoever reads it says what is wrong
