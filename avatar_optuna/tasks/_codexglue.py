"""Files in CodeXGLUE's layout, read strictly: a bad row is named with its file and line."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.files import parse_json
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, source_fault

LANGUAGE = "language"  # the key that says another one than the kind's


@dataclass(frozen=True, kw_only=True)
class CodexglueKind:
    """A kind of task with fixed labels that reads a folder in one of CodeXGLUE's layouts.

    Args:
        title: As in the report.
        arity: Functions an input.
        language: Of the functions, where the key `language` does not say another.
        names: Of the labels 0 and 1.
        read_folder: Reads the three splits, with what the keys say that the data is to be read for.
        field_names: Keys of the section that name a field of the data: `group`, `pair`.
    """

    title: str
    arity: int
    language: str
    names: tuple[str, ...]
    read_folder: Callable[[Path, Mapping[str, str]], Mapping[str, Split]]
    field_names: tuple[str, ...]
    is_built_in: bool = field(default=False, init=False)
    path_names: tuple[str, ...] = field(default=("data",), init=False)

    @property
    def option_names(self) -> tuple[str, ...]:
        return (*self.field_names, LANGUAGE)

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        return self.names

    def faults(self, settings: TaskSettings) -> list[str]:
        faults = [
            f"{key} must be the name of a field of the data, got {value!r}"
            for key, value in settings.options.items()
            if key in self.field_names and not (isinstance(value, str) and value.strip())
        ]
        language = settings.options.get(LANGUAGE, self.language)
        if not (isinstance(language, str) and language.strip() and language == language.lower()):
            faults.append(f'{LANGUAGE} must be a name in small letters, such as "python", got {language!r}')
        if settings.data is None:
            faults.append(f"data is missing: the kind {settings.kind} reads a folder in CodeXGLUE's layout")
        return faults

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        folder = Path(settings.data or "")
        if not folder.is_dir():
            raise InputError(f"task.data must be a folder, got {settings.data!r}, which is none")
        return self.read_folder(
            folder, {key: str(settings.options[key]) for key in self.field_names if key in settings.options}
        )


def read_functions(path: Path) -> Mapping[str, str]:
    """Functions by `idx`: one JSON object with `idx` and `func` a line. A bad row is a `DataError`."""
    functions: dict[str, str] = {}
    for row, record in _records(path):
        idx = _field(record, "idx", (str, int), path, row)
        if str(idx) in functions:
            raise DataError(path, row, f"idx must be unique, got {idx!r} again")
        functions[str(idx)] = _function(record, path, row)
    return functions


def read_groups(path: Path, key: str) -> Mapping[str, str]:
    """The group of each function by `idx`, as a field of its row says; functions whose field is null have none."""
    named = ((record, _name(record, key, path, row)) for row, record in _records(path))
    return {str(record["idx"]): name for record, name in named if name is not None}


def read_labelled(path: Path, keys: Mapping[str, str]) -> Split:
    """Functions with labels: one JSON object with `func` and `target` a line. A bad row is a `DataError`.

    Args:
        keys: Which field says the `group` of a row, and which says of what `pair` before and after a fix it is one.
    """
    places: dict[str, int] = {}
    inputs, labels = array("i"), array("b")
    names: dict[str, _Names] = {key: _Names() for key in keys}
    for row, record in _records(path):
        target = _field(record, "target", (int,), path, row)
        if target not in (0, 1):
            raise DataError(path, row, f"target must be 0 or 1, got {target!r}")
        inputs.append(places.setdefault(_function(record, path, row), len(places)))
        labels.append(int(target))
        for key, field_name in keys.items():
            names[key].append(_name(record, field_name, path, row))
    if not labels:
        raise DataError(path, None, "must hold at least one function, got none")
    return _split(tuple(places), inputs, labels, arity=1, groups=names.get("group"), fixes=names.get("pair"))


def read_pairs(path: Path, functions: Mapping[str, str], groups: Mapping[str, str] | None = None) -> Split:
    """Labelled pairs of functions, `idx1<TAB>idx2<TAB>label` a line. A bad row is a `DataError`.

    Args:
        groups: Of functions, by idx; None where the data is not read for groups.
    """
    places: dict[str, int] = {}
    inputs, labels = array("i"), array("b")
    names = _Names()
    for row, line in _lines(path):
        parts = line.split("\t")
        if len(parts) != 3:
            raise DataError(path, row, f"a line is idx1, idx2 and label between tabs, got {line[:80]!r}")
        for idx in parts[:2]:
            if idx not in functions:
                raise DataError(path, row, f"idx must be one of data.jsonl, got {idx!r}")
            if groups is not None:
                names.append(groups.get(idx))
        if parts[2] not in ("0", "1"):
            raise DataError(path, row, f"label must be 0 or 1, got {parts[2]!r}")
        inputs.extend([places.setdefault(idx, len(places)) for idx in parts[:2]])
        labels.append(int(parts[2]))
    if not labels:
        raise DataError(path, None, "must hold at least one pair, got none")
    texts = tuple(functions[idx] for idx in places)
    own = names if groups is not None else None
    return _split(texts, inputs, labels, arity=2, ids=tuple(places), groups=own)


class _Names:
    """Names in the order in which rows give them, as numbers; -1 where a row gives none."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._numbers = array("i")

    def append(self, name: str | None) -> None:
        self._numbers.append(-1 if name is None else self._places.setdefault(name, len(self._places)))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._places)

    @property
    def numbers(self) -> npt.NDArray[np.int32]:
        return np.asarray(self._numbers, dtype=np.int32)


def _split(
    functions: tuple[str, ...],
    inputs: array[int],
    labels: array[int],
    *,
    arity: int,
    ids: tuple[str, ...] = (),
    groups: _Names | None = None,
    fixes: _Names | None = None,
) -> Split:
    return Split(
        functions=functions,
        inputs=np.asarray(inputs, dtype=np.int32).reshape(-1, arity),
        labels=np.asarray(labels, dtype=np.int64),
        ids=ids,
        group_names=groups.names if groups is not None else (),
        groups=groups.numbers.reshape(-1, arity) if groups is not None else None,
        fixes=fixes.numbers if fixes is not None else None,
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


def _name(record: Mapping[str, Any], key: str, path: Path, row: int) -> str | None:
    """Of a group or a pair: text or a whole number; null is none."""
    if key in record and record[key] is None:
        return None
    return str(_field(record, key, (str, int), path, row))


def _function(record: Mapping[str, Any], path: Path, row: int) -> str:
    function = _field(record, "func", (str,), path, row)
    if (fault := source_fault(function)) is not None:
        raise DataError(path, row, f"func {fault}")
    return str(function)
