"""What a format of data files is: the protocol that each module of this package satisfies with its `FORMAT`."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from avatar_optuna.exceptions import DataError

_SHOWN = 80


class Row(NamedTuple):
    """One row. (A tuple: there may be millions.)

    Args:
        path: The file that holds it.
        number: Its line or its place in the file, from 1; None where it is a file of its own.
        values: By name of the column; None is a value that is missing.
    """

    path: Path
    number: int | None
    values: Mapping[str, Any]

    def error(self, fault: str) -> DataError:
        """That the row breaks a rule."""
        return DataError(self.path, self.number, fault)


Rows = Iterator[Row | DataError]
"""Rows in their order, and in the place of each that cannot be read the reason."""


class DataFormat(Protocol):
    """A format of data files, or of folders that hold rows.

    Reading raises a `DataError` where a whole file cannot be read.
    """

    @property
    def title(self) -> str:
        """What people call it, such as "JSON Lines"."""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """How names of its files end, dot included; empty where it is a format of folders."""

    def is_folder(self, path: Path) -> bool:
        """Whether a folder is in this format."""

    def columns(self, path: Path) -> tuple[str, ...]:
        """Names of the columns, those of the first row that can be read; empty where there is no row."""

    def value_names(self, path: Path) -> Mapping[str, Sequence[str]]:
        """Names that the file gives to the whole numbers of a column, from 0, by column."""

    def rows(self, path: Path, columns: Sequence[str]) -> Rows:
        """The rows with at least these columns, read one after another."""


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, which is decompressed where its name ends in `.gz`; a `DataError` if it cannot be read."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            yield from stream
    except (OSError, EOFError, zlib.error, ValueError) as error:  # a path may hold a character that no name can
        raise DataError(path, None, f"cannot be read: {getattr(error, 'strerror', None) or error}") from error


def shown(value: Any) -> str:
    """A value in a message: its start."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
