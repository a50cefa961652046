"""Pairs in CodeXGLUE's layout of two files: functions with an index each, and lists of two indices and a label."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path

from avatar_optuna.data_files import DataFile, data_file, lines_of, shown
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks._columns import ColumnFinder, column_of
from avatar_optuna.tasks._labels import Labels
from avatar_optuna.tasks._rows import Names, UnusableRows, function_of, name_of, required_name, split_of
from avatar_optuna.tasks._task import SPLITS, Split

_ID = "idx"


def is_indexed(folder: Path) -> bool:
    """Whether a folder holds a list of indexed pairs."""
    return any((folder / f"{name}.txt").exists() for name in SPLITS)


def read_indexed_pairs(
    folder: Path, settings: TaskSettings, labels: Labels, *, are_skipped: bool
) -> Mapping[str, Split]:
    """The splits of `data.jsonl`, or `data` in another format, and `train.txt`, `valid.txt`, `test.txt`.

    Args:
        settings: What the study file says of the columns of `data`.
        labels: What the third field of a line means.
        are_skipped: Whether what cannot be used is left out, and not refused.

    Raises:
        DataError: A file cannot be read, or a row is refused.
    """
    file = _functions_file(folder)
    unusable = UnusableRows(are_skipped=are_skipped)
    functions, groups = _read_functions(file, settings, unusable)
    splits = {}
    for name in SPLITS:
        splits[name] = _read_pairs(folder / f"{name}.txt", file.path.name, functions, groups, labels, unusable)
        unusable = UnusableRows(are_skipped=are_skipped)  # those of the functions are counted with `train`
    return splits


def _functions_file(folder: Path) -> DataFile:
    candidates = [path for path in sorted(folder.iterdir()) if path.name.startswith("data.")]
    files = [file for path in candidates if (file := data_file(path)) is not None]
    if len(files) > 1:
        raise InputError(f"{folder}: must hold data once, got {' and '.join(file.path.name for file in files)}")
    if not files:
        raise DataError(folder / "data.jsonl", None, "must be there beside lists of pairs such as train.txt")
    return files[0]


def _read_functions(
    file: DataFile, settings: TaskSettings, unusable: UnusableRows
) -> tuple[dict[str, str], dict[str, str] | None]:
    """Functions by index; and the groups of those that have one, or None where the data is not read for groups."""
    finder = ColumnFinder(file.columns(), settings, file.path)
    code, idx = finder.required("code"), finder.required("id", (_ID,))
    group = finder.optional("group", column_of("group", settings))
    functions: dict[str, str] = {}
    groups: dict[str, str] = {}
    names = [code, idx] if group is None else [code, idx, group]
    for row in unusable.usable(file.rows(names)):
        try:
            index, function = required_name(row, idx), function_of(row, code)
            own = name_of(row, group) if group is not None else None
            if index in functions:
                raise row.error(f"{idx} must be unique, got {index!r} again")
        except DataError as error:
            unusable.add(error)
            continue
        functions[index] = function
        if own is not None:
            groups[index] = own
    return functions, groups if group is not None else None


def _read_pairs(
    path: Path,
    functions_name: str,
    functions: Mapping[str, str],
    groups: Mapping[str, str] | None,
    labels: Labels,
    unusable: UnusableRows,
) -> Split:
    places: dict[str, int] = {}
    inputs, numbers = array("i"), array("h")
    names = Names()
    for line_number, line in _lines(path):
        parts = line.split("\t")
        label = labels.place(parts[2]) if len(parts) == 3 else None
        unknown = next((index for index in parts[:2] if index not in functions), None)
        if len(parts) != 3:
            fault = f"a line is {_ID}1, {_ID}2 and label between tabs, got {shown(line)}"
        elif unknown is not None:
            fault = f"{_ID} must be one of {functions_name}, got {shown(unknown)}"
        elif label is None:
            fault = f"label {labels.rule(parts[2])}"
        else:
            inputs.extend([places.setdefault(index, len(places)) for index in parts[:2]])
            numbers.append(label)
            if groups is not None:
                names.extend(groups.get(index) for index in parts[:2])
            continue
        unusable.add(DataError(path, line_number, fault))
    if not len(numbers):
        raise DataError(path, None, "must hold at least one pair that can be used, got none")
    return split_of(
        tuple(functions[index] for index in places),
        inputs,
        numbers,
        arity=2,
        ids=tuple(places),
        groups=names if groups is not None else None,
        skipped=unusable.skipped,
    )


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, numbered from 1."""
    for number, raw in enumerate(lines_of(path), 1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(path, number, f"a line must be UTF-8 text: {error.reason}") from error
        if line.strip():
            yield number, line.rstrip("\r\n")
