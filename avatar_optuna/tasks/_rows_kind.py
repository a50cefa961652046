"""A kind of task that reads rows of data files, in any format and with any names of columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from avatar_optuna.data_files import SPLIT_NAMES, DataFile, data_file, format_titles, split_files
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks._columns import ColumnFinder, Columns, column_of, columns_faults
from avatar_optuna.tasks._indexed_pairs import is_indexed, read_indexed_pairs
from avatar_optuna.tasks._labels import Labels, labels_faults, labels_of_data, stated_labels
from avatar_optuna.tasks._rows import Table, UnusableRows, label_texts, read_table
from avatar_optuna.tasks._splitting import by_group, by_label, by_time
from avatar_optuna.tasks._task import SPLITS, SkippedRows, Split

_ALIASES = {alias: name for name, aliases in SPLIT_NAMES.items() for alias in aliases}
_UNUSABLE = ("refuse", "skip")


@dataclass(frozen=True, kw_only=True)
class RowsKind:
    """A kind of task whose data is rows of files.

    Args:
        title: As in the report.
        arity: Functions an input.
        language: Of the functions, where the key `language` does not say another.
        default_labels: Names of the labels 0 and 1, where `labels` does not say others; or () where the data has them.
    """

    title: str
    arity: int
    language: str
    default_labels: tuple[str, ...] = ()
    is_built_in: bool = field(default=False, init=False)
    path_names: tuple[str, ...] = field(default=("data",), init=False)

    @property
    def option_names(self) -> tuple[str, ...]:
        of_fields = ("group", "pair") if self.arity == 1 else ("group",)
        return ("columns", "labels", *of_fields, "language", "split_by_group", "split_by_time", "unusable_rows")

    def faults(self, settings: TaskSettings) -> list[str]:
        options = settings.options
        faults = columns_faults(settings, self.arity)
        faults += [
            f"{key} must be the name of a field of the data, got {options[key]!r}"
            for key in ("group", "pair", "split_by_group", "split_by_time")
            if key in options and not (isinstance(options[key], str) and options[key].strip())
        ]
        faults += [
            f'{key} needs a split by percentages, such as split = "80/10/10", got {settings.split!r}'
            for key in ("split_by_group", "split_by_time")
            if key in options and not settings.split_shares
        ]
        if "split_by_group" in options and "split_by_time" in options:
            faults.append("split_by_time must be absent where split_by_group is given")
        if "labels" in options:
            faults += labels_faults(options["labels"], self.default_labels)
        language = options.get("language", self.language)
        if not (isinstance(language, str) and language.strip() and language == language.lower()):
            faults.append(f'language must be a name in small letters, such as "python", got {language!r}')
        if (unusable := options.get("unusable_rows", "refuse")) not in _UNUSABLE:
            faults.append(f"unusable_rows must be one of {', '.join(_UNUSABLE)}, got {unusable!r}")
        if settings.data is None:
            faults.append(f"data is missing: the kind {settings.kind} reads a file or a folder")
        return faults

    def label_names(self, settings: TaskSettings) -> tuple[str, ...]:
        labels = stated_labels(settings.options.get("labels"), self.default_labels)
        return labels.names if labels is not None else self._label_names_of_data(settings)

    def _label_names_of_data(self, settings: TaskSettings) -> tuple[str, ...]:
        source = self._source(settings)
        unusable = self._unusable(settings)
        texts: set[str] = set()
        named: list[str] = []
        for file in [source] if isinstance(source, DataFile) else source.values():
            own, names = label_texts(file, self._columns(file, settings), unusable)
            texts |= own
            named += names
        return labels_of_data(texts, named)

    def read(self, settings: TaskSettings, *, cache_dir: Path | None) -> Mapping[str, Split]:
        labels = stated_labels(settings.options.get("labels"), self.default_labels)
        labels = labels or Labels(self._label_names_of_data(settings))
        if self.arity == 2 and is_indexed(folder := Path(settings.data or "")):
            _refuse_shares(settings, folder)
            if found := split_files(folder):
                names = ", ".join(file.path.name for file in found.values())
                raise InputError(f"{folder}: must hold lists of pairs such as train.txt, or {names}, got both")
            are_skipped = settings.options.get("unusable_rows") == "skip"
            return read_indexed_pairs(folder, settings, labels, are_skipped=are_skipped)
        source = self._source(settings)
        if isinstance(source, DataFile):
            table = self._table(source, settings, labels)
            return dict(zip(SPLITS, _divided(table, settings, source), strict=True))
        tables = {name: self._table(file, settings, labels) for name, file in source.items()}
        if "valid" not in tables:
            train, valid = _divided(tables["train"], settings, source["train"])
            return {"train": train, "valid": valid, "test": tables["test"].split}
        return {name: table.split for name, table in tables.items()}

    def _source(self, settings: TaskSettings) -> DataFile | Mapping[str, DataFile]:
        """One file that is split here, or the files of all splits, or those of training and test.

        Raises:
            InputError: There is no data, or it is not clear which is meant.
        """
        path = Path(settings.data or "")
        if not path.exists():
            raise InputError(f"task.data must be a file or a folder, got {settings.data!r}, which is none")
        source = _in_folder(path, settings) if path.is_dir() else data_file(path)
        if source is None:
            raise InputError(f"task.data must be one of: {format_titles()}; got {path.name!r}")
        if isinstance(source, DataFile) and len(settings.split_shares) != 3 and column_of("split", settings) is None:
            raise InputError(
                'task.split must be percentages such as "80/10/10" where data is one file, or task.columns.split must '
                f"name the column that says train, valid or test, got {settings.split!r} and {path.name}"
            )
        return source

    def _columns(self, file: DataFile, settings: TaskSettings) -> Columns:
        return ColumnFinder(file.columns(), settings, file.path).columns(self.arity)

    def _table(self, file: DataFile, settings: TaskSettings, labels: Labels) -> Table:
        columns = self._columns(file, settings)
        return read_table(file, columns, labels, unusable=self._unusable(settings), split_aliases=_ALIASES)

    def _unusable(self, settings: TaskSettings) -> UnusableRows:
        return UnusableRows(are_skipped=settings.options.get("unusable_rows") == "skip")


def _in_folder(folder: Path, settings: TaskSettings) -> DataFile | Mapping[str, DataFile]:
    splits = split_files(folder)
    if not splits:
        if (whole := data_file(folder)) is not None:
            return whole
        names = ", ".join(sorted(path.name for path in folder.iterdir())[:9]) or "nothing"
        each = f"each one of: {format_titles()}"
        raise InputError(f"task.data: the folder {folder} must hold train, valid and test, {each}; got {names}")
    shares = settings.split_shares
    needed = ("train", "test") if len(shares) == 2 else SPLITS
    if tuple(splits) != needed:
        there = ", ".join(file.path.name for file in splits.values())
        advice = '; split = "90/10" takes validation from train' if tuple(splits) == ("train", "test") else ""
        raise InputError(f"task.data: the folder {folder} must hold {', '.join(needed)}, got {there}{advice}")
    if len(shares) != 2:
        _refuse_shares(settings, folder)
    return splits


def _refuse_shares(settings: TaskSettings, folder: Path) -> None:
    where = f"where the data comes in splits, as in {folder}"
    if settings.split_shares:
        raise InputError(f"task.split must be given, disjoint or unseen {where}, got {settings.split!r}")
    if (column := column_of("split", settings)) is not None:
        raise InputError(f"task.columns.split must be absent {where}, got {column!r}")


def _divided(table: Table, settings: TaskSettings, file: DataFile) -> list[Split]:
    """The splits of one file; what was skipped is counted in the first.

    Raises:
        InputError: It is not said how, or nothing is left of a split.
    """
    shares = settings.split_shares
    names = SPLITS[: len(shares) or 3]
    whole, options = table.split, settings.options
    if table.split_names:
        if shares:
            where = "where a column says the splits"
            raise InputError(f"task.split must be given, disjoint or unseen {where}, got {settings.split!r}")
        given = np.asarray(table.split_names)
        rows = [np.flatnonzero(given == name) for name in names]
    elif table.kept is not None:
        rows = by_group(whole.labels, table.kept, shares, seed=settings.seed)
    else:
        by = "split_by_time" in options
        rows = by_time(table.times, shares) if by else by_label(whole.labels, shares, seed=settings.seed)
    for name, own in zip(names, rows, strict=True):
        if not len(own):
            raise InputError(f"{file.path}: the split must leave some rows of {name}, got none of {len(whole):,}")
    parts = [whole.take(own) for own in rows]
    return [parts[0], *(_without_skipped(part) for part in parts[1:])]


def _without_skipped(split: Split) -> Split:
    return replace(split, skipped=SkippedRows())
