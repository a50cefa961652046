"""Tables of Apache Arrow: the one home of pyarrow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from avatar_optuna.data_files._format import Row, Rows
from avatar_optuna.exceptions import AvatarError, DataError, InputError, is_failure


def require_pyarrow(path: Path) -> Any:
    """The module.

    Raises:
        InputError: It is not installed; the message says what installs it.
    """
    try:
        import pyarrow as pa
    except ImportError as error:
        raise InputError(
            f"{path}: reading it needs pyarrow, which is not installed: pip install 'avatar-optuna[arrow]'"
        ) from error
    return pa


@contextmanager
def readable(path: Path, title: str) -> Iterator[None]:
    """What pyarrow raises of a file that is not in its format, and that is whatever it can, becomes a `DataError`."""
    try:
        yield
    except AvatarError:
        raise
    except BaseException as error:
        if not is_failure(error):
            raise
        reason = getattr(error, "strerror", None) or next(iter(str(error).splitlines()), type(error).__name__)
        raise DataError(path, None, f"must be {title}: {reason}") from error


def column_names(schema: Any, path: Path) -> tuple[str, ...]:
    """Of a schema, each once."""
    names = tuple(schema.names)
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(path, None, f"each column must have a name of its own, got {twice[0]!r} again")
    return names


def names_of_values(schema: Any) -> Mapping[str, Sequence[str]]:
    """The label names that the library `datasets` keeps with a schema, by column."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            column: [str(name) for name in feature["names"]]
            for column, feature in features.items()
            if isinstance(feature, Mapping) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (KeyError, TypeError, AttributeError, ValueError):  # no such metadata, or none of that library
        return {}


def rows_of_batches(batches: Callable[[], Iterator[Any]], columns: Sequence[str], path: Path, title: str) -> Rows:
    """The rows of record batches, numbered from 1.

    Args:
        batches: Opens the file and gives its batches.
        columns: Those that are read.
        title: Of the format, for messages.
    """
    number = 0
    with readable(path, title):
        opened = batches()
    while True:
        with readable(path, title):
            batch = next(opened, None)
            if batch is None:
                return
            values = [_plain(batch.column(batch.schema.get_field_index(name))) for name in columns]
        for entries in zip(*values, strict=True):
            number += 1
            row = Row(path, number, dict(zip(columns, entries, strict=True)))
            yield row if _UNREADABLE not in entries else _unreadable(row)


_UNREADABLE = object()


def _unreadable(row: Row) -> DataError:
    name = next(name for name, entry in row.values.items() if entry is _UNREADABLE)
    return row.error(f"{name} must be a value that Python can hold, such as UTF-8 text")


def _plain(column: Any) -> list[Any]:
    """Values of a column as Python's own; one that none can hold is `_UNREADABLE`."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError, ImportError):  # text that is no UTF-8, a time out of range
        return [_one(entry) for entry in column]


def _one(entry: Any) -> Any:
    try:
        return entry.as_py()
    except (ValueError, OverflowError, ImportError):
        return _UNREADABLE
