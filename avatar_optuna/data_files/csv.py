"""CSV: a first line of names, then a record a row, which may go over several lines where a field is quoted."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from avatar_optuna.data_files._format import Row, Rows, lines_of
from avatar_optuna.exceptions import DataError

_LONGEST_FIELD = 2**28  # characters; Python's own limit of 131,072 is less than some functions have


class _Csv:
    title = "CSV"
    suffixes = (".csv", ".csv.gz")

    def is_folder(self, path: Path) -> bool:
        return False

    def columns(self, path: Path) -> tuple[str, ...]:
        return tuple(_Records(path).names)

    def value_names(self, path: Path) -> Mapping[str, Sequence[str]]:
        return {}

    def rows(self, path: Path, columns: Sequence[str] = ()) -> Rows:
        """All values are texts; an empty field has no value."""
        for row in csv_rows(path):
            if isinstance(row, Row):
                row = Row(row.path, row.number, {name: text or None for name, text in row.values.items()})
            yield row


FORMAT = _Csv()


def csv_rows(path: Path) -> Rows:
    """The records, with their texts as they stand, by the line with which each begins."""
    records = _Records(path)
    for number, fields in records:
        if isinstance(fields, csv.Error):
            yield DataError(path, number, f"must be CSV: {fields}")
        elif len(fields) != len(records.names):
            yield DataError(
                path, number, f"must have as many fields as the first line, {len(records.names)}, got {len(fields)}"
            )
        else:
            yield Row(path, number, dict(zip(records.names, fields, strict=True)))


class _Records:
    """The records of a file after its first, which names the columns."""

    def __init__(self, path: Path) -> None:
        csv.field_size_limit(_LONGEST_FIELD)
        self._reader = csv.reader(_texts(lines_of(path), path), strict=True)
        try:
            self.names = next((fields for fields in self._reader if fields), [])
        except csv.Error as error:
            raise DataError(path, self._reader.line_num, f"must be CSV: {error}") from error
        if twice := [name for name in self.names if self.names.count(name) > 1]:
            raise DataError(path, 1, f"the first line must name each column once, got {twice[0]!r} again")

    def __iter__(self) -> Iterator[tuple[int, list[str] | csv.Error]]:
        while True:
            number = self._reader.line_num + 1
            try:
                fields = next(self._reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield number, error
                continue
            if fields:  # a blank line has none
                yield number, fields


def _texts(lines: Iterable[bytes], path: Path) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(path, number, f"a line must be UTF-8 text: {error.reason}") from error
