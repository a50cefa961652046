"""Which file or folder is meant, and in which format it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import chain
from pathlib import Path

from avatar_optuna.data_files._format import DataFormat, Rows
from avatar_optuna.exceptions import DataError, InputError

SPLIT_NAMES: Mapping[str, tuple[str, ...]] = {
    "train": ("train",),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test",),
}
"""What people call each split."""
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})")


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """Rows of one format.

    Args:
        path: The file or folder that a user would name.
        parts: What holds the rows, in order: the path itself, or several files of which each has a part.
        format: How they are written.
    """

    path: Path
    parts: tuple[Path, ...]
    format: DataFormat

    def columns(self) -> tuple[str, ...]:
        """Names of the columns; empty where there is no row."""
        return next((names for part in self.parts if (names := self.format.columns(part))), ())

    def value_names(self) -> Mapping[str, Sequence[str]]:
        """Names that the files give to the whole numbers of a column, from 0, by column."""
        return self.format.value_names(self.parts[0])

    def rows(self, columns: Sequence[str]) -> Rows:
        """The rows with at least these columns, one after another.

        Raises:
            DataError: A file cannot be read, or has no such column.
        """
        return chain.from_iterable(self._rows_of(part, columns) for part in self.parts)

    def _rows_of(self, part: Path, columns: Sequence[str]) -> Rows:
        if part != self.parts[0]:
            there = self.format.columns(part)
            for name in columns:
                if there and name not in there:
                    raise DataError(part, None, f"must have the columns of {self.parts[0].name}, {name} is missing")
        return self.format.rows(part, columns)


@cache
def formats() -> tuple[DataFormat, ...]:
    """All formats, in the order in which a folder is held against them; file `some_format.py` of this package is one.

    Almost any folder is one of `label_folders`, so names of other formats of folders must stand before it.
    """
    names = sorted(path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    return tuple(import_module(f"avatar_optuna.data_files.{name}").FORMAT for name in names)


def format_titles() -> str:
    """The formats in words, with the suffixes of their files."""
    return ", ".join(f"{one.title} ({', '.join(one.suffixes)})" if one.suffixes else one.title for one in formats())


def data_file(path: Path) -> DataFile | None:
    """A file or folder of rows, by its name or by what it holds; None where it is in no known format."""
    if path.is_dir():
        known = next((one for one in formats() if not one.suffixes and one.is_folder(path)), None)
    else:
        known = next((one for one in formats() if one.suffixes and path.name.endswith(one.suffixes)), None)
    return DataFile(path=path, parts=(path,), format=known) if known is not None else None


def split_files(folder: Path) -> dict[str, DataFile]:
    """The files and folders of rows whose names say which split they are, such as `train.jsonl` or `validation/`.

    `train-00000-of-00002.parquet` is one of two parts of a split.

    Raises:
        InputError: A split is there twice or not whole, or the splits are in several formats.
    """
    found: dict[str, DataFile] = {}
    for name, aliases in SPLIT_NAMES.items():
        candidates = [file for path in sorted(folder.iterdir()) if (file := _of_split(path, aliases)) is not None]
        for file in _joined(candidates):
            if name in found:
                raise InputError(f"{folder}: must hold {name} once, got {found[name].path.name} and {file.path.name}")
            found[name] = file
    titles = {file.format.title for file in found.values()}
    if len(titles) > 1:
        names = ", ".join(file.path.name for file in found.values())
        raise InputError(f"{folder}: the splits must be in one format, got {names}")
    return found


def _of_split(path: Path, aliases: Sequence[str]) -> DataFile | None:
    """The file of a split, if its name, without suffix and number of the part, is one of these."""
    if path.name.startswith(".") or not path.name.startswith(tuple(aliases)):
        return None
    file = data_file(path)
    if file is None:
        return None
    suffix = next((suffix for suffix in file.format.suffixes if path.name.endswith(suffix)), "")
    return file if _SHARD.sub("", path.name.removesuffix(suffix)) in aliases else None


def _joined(files: Sequence[DataFile]) -> list[DataFile]:
    """The files, parts of one joined to one."""
    joined: dict[str, list[DataFile]] = {}
    for file in files:
        joined.setdefault(_SHARD.sub("", file.path.name), []).append(file)
    return [_whole(parts) for parts in joined.values()]


def _whole(files: Sequence[DataFile]) -> DataFile:
    numbers = [match for file in files if (match := _SHARD.search(file.path.name)) is not None]
    if not numbers:
        return files[0]
    wanted = [(f"{place:05}", numbers[0][2]) for place in range(int(numbers[0][2]))]
    if [(match[1], match[2]) for match in numbers] != wanted or len(files) != len(numbers):
        names = ", ".join(file.path.name for file in files)
        raise InputError(f"{files[0].path.parent}: all parts of {files[0].path.name} must be there, got {names}")
    return DataFile(path=files[0].path, parts=tuple(file.path for file in files), format=files[0].format)
