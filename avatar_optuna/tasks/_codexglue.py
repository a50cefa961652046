"""Files in CodeXGLUE's layout, read strictly: a bad row is named with its file and line."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.files import parse_json
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, source_fault


@dataclass(frozen=True, kw_only=True)
class CodexglueKind:
    """A kind of task with fixed labels that reads a folder in one of CodeXGLUE's layouts.

    Args:
        title: As in the report.
        arity: Functions an input.
        language: Of the functions.
        names: Of the labels 0 and 1.
        read_folder: Reads the three splits.
    """

    title: str
    arity: int
    language: str
    names: tuple[str, ...]
    read_folder: Callable[[Path], Mapping[str, Split]]
    is_built_in: bool = field(default=False, init=False)
    option_names: tuple[str, ...] = field(default=(), init=False)
    path_names: tuple[str, ...] = field(default=("data",), init=False)

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        return self.names

    def faults(self, settings: TaskSettings) -> list[str]:
        if settings.data is not None:
            return []
        return [f"data is missing: the kind {settings.kind} reads a folder in CodeXGLUE's layout"]

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        folder = Path(settings.data or "")
        if not folder.is_dir():
            raise InputError(f"task.data must be a folder, got {settings.data!r}, which is none")
        return self.read_folder(folder)


def read_functions(path: Path) -> Mapping[str, str]:
    """Functions by `idx`: one JSON object with `idx` and `func` a line. A bad row is a `DataError`."""
    functions: dict[str, str] = {}
    for row, record in _records(path):
        idx = _field(record, "idx", (str, int), path, row)
        if str(idx) in functions:
            raise DataError(path, row, f"idx must be unique, got {idx!r} again")
        functions[str(idx)] = _function(record, path, row)
    return functions


def read_labelled(path: Path) -> Split:
    """Functions with labels: one JSON object with `func` and `target` a line. A bad row is a `DataError`."""
    places: dict[str, int] = {}
    inputs, labels = array("i"), array("b")
    for row, record in _records(path):
        target = _field(record, "target", (int,), path, row)
        if target not in (0, 1):
            raise DataError(path, row, f"target must be 0 or 1, got {target!r}")
        inputs.append(places.setdefault(_function(record, path, row), len(places)))
        labels.append(int(target))
    if not labels:
        raise DataError(path, None, "must hold at least one function, got none")
    return _split(tuple(places), inputs, labels, arity=1)


def read_pairs(path: Path, functions: Mapping[str, str]) -> Split:
    """Labelled pairs of functions, `idx1<TAB>idx2<TAB>label` a line. A bad row is a `DataError`."""
    places: dict[str, int] = {}
    inputs, labels = array("i"), array("b")
    for row, line in _lines(path):
        parts = line.split("\t")
        if len(parts) != 3:
            raise DataError(path, row, f"a line is idx1, idx2 and label between tabs, got {line[:80]!r}")
        for idx in parts[:2]:
            if idx not in functions:
                raise DataError(path, row, f"idx must be one of data.jsonl, got {idx!r}")
        if parts[2] not in ("0", "1"):
            raise DataError(path, row, f"label must be 0 or 1, got {parts[2]!r}")
        inputs.extend([places.setdefault(idx, len(places)) for idx in parts[:2]])
        labels.append(int(parts[2]))
    if not labels:
        raise DataError(path, None, "must hold at least one pair, got none")
    return _split(tuple(functions[idx] for idx in places), inputs, labels, arity=2, ids=tuple(places))


def _split(
    functions: tuple[str, ...], inputs: array[int], labels: array[int], *, arity: int, ids: tuple[str, ...] = ()
) -> Split:
    return Split(
        functions=functions,
        inputs=np.asarray(inputs, dtype=np.int32).reshape(-1, arity),
        labels=np.asarray(labels, dtype=np.int64),
        ids=ids,
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, numbered from 1."""
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for row, line in enumerate(file, 1):
                if line.strip():
                    yield row, line.rstrip("\r\n")
    except OSError as error:
        raise DataError(path, None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(path, None, f"must be UTF-8 text: {error}") from error


def _records(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for row, line in _lines(path):
        try:
            record = parse_json(line)
        except ValueError as error:
            raise DataError(path, row, f"a line must be a JSON object: {error}") from error
        if not isinstance(record, dict):
            raise DataError(path, row, f"a line must be a JSON object, got {line[:80]!r}")
        yield row, record


def _field(record: Mapping[str, Any], key: str, types: tuple[type, ...], path: Path, row: int) -> Any:
    if key not in record:
        raise DataError(path, row, f"{key} is missing, got the keys {', '.join(record) or 'none'}")
    value = record[key]
    if isinstance(value, bool) or not isinstance(value, types):
        raise DataError(path, row, f"{key} must be {' or '.join(kind.__name__ for kind in types)}, got {value!r}")
    return value


def _function(record: Mapping[str, Any], path: Path, row: int) -> str:
    function = _field(record, "func", (str,), path, row)
    if (fault := source_fault(function)) is not None:
        raise DataError(path, row, f"func {fault}")
    return str(function)
