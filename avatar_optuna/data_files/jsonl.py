"""JSON Lines: one object a line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from avatar_optuna.data_files._format import Row, Rows, lines_of, shown
from avatar_optuna.exceptions import DataError
from avatar_optuna.files import parse_json

_MARK = b"\xef\xbb\xbf"  # a byte order mark


class _JsonLines:
    title = "JSON Lines"
    suffixes = (".jsonl", ".jsonl.gz")

    def is_folder(self, path: Path) -> bool:
        return False

    def columns(self, path: Path) -> tuple[str, ...]:
        error: DataError | None = None
        for row in self.rows(path):
            if isinstance(row, Row):
                return tuple(row.values)
            error = error or row
        if error is not None:
            raise error
        return ()

    def value_names(self, path: Path) -> Mapping[str, Sequence[str]]:
        return {}

    def rows(self, path: Path, columns: Sequence[str] = ()) -> Rows:
        return json_rows(lines_of(path), path)


FORMAT = _JsonLines()


def json_rows(lines: Iterable[bytes], path: Path) -> Rows:
    """The objects of lines, numbered from 1; blank lines are none.

    Args:
        path: Where the lines are from, for messages.
    """
    for number, raw in enumerate(lines, 1):
        raw = raw.removeprefix(_MARK) if number == 1 else raw
        if raw.strip():
            yield _row(raw, path, number)


def _row(raw: bytes, path: Path, number: int) -> Row | DataError:
    try:
        line = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        return DataError(path, number, f"a line must be UTF-8 text: {error.reason}")
    try:
        value = parse_json(line)
    except ValueError as error:
        return DataError(path, number, f"a line must be a JSON object: {error}")
    if not isinstance(value, dict):
        return DataError(path, number, f"a line must be a JSON object, got {shown(line)}")
    return Row(path, number, value)
