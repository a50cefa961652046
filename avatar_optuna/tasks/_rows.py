"""Rows of data files read strictly into splits: a row that cannot be used is named, or left out and counted."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from avatar_optuna.data_files import DataFile, Row, Rows, shown
from avatar_optuna.exceptions import DataError
from avatar_optuna.files import source_fault
from avatar_optuna.tasks._columns import Columns
from avatar_optuna.tasks._labels import Labels, value_text
from avatar_optuna.tasks._task import SkippedRows, Split


class Record(NamedTuple):
    """What a row says. (A tuple: there may be millions.)

    Args:
        codes: The functions.
        label: The value of its label.
        id: What the data calls the function, or None.
        groups: The group of each function, or () where the data is not read for groups.
        pair: Of what function before and after a fix it is one, or None.
        split: The name of the split, or None.
        kept: What may not stand in two splits.
        time: When, or None.
    """

    codes: tuple[str, ...]
    label: Any
    id: str | None = None
    groups: tuple[str | None, ...] = ()
    pair: str | None = None
    split: str | None = None
    kept: tuple[str, ...] = ()
    time: int | float | None = None


class UnusableRows:
    """What becomes of rows that cannot be used: the first is refused, or all are left out and counted."""

    def __init__(self, *, are_skipped: bool) -> None:
        self._are_skipped = are_skipped
        self.skipped = SkippedRows()

    def add(self, error: DataError) -> None:
        """One more.

        Raises:
            DataError: It is refused.
        """
        if not self._are_skipped:
            raise error
        self.skipped = self.skipped.with_reason(str(error))

    def usable(self, rows: Rows) -> Iterator[Row]:
        """The rows that could be read."""
        for row in rows:
            if isinstance(row, Row):
                yield row
            else:
                self.add(row)


class RecordReader:
    """Reads rows by the names of their columns.

    Args:
        columns: Those names.
        value_names: Names that the file gives to whole numbers of the label's column, from 0, or ().
    """

    def __init__(self, columns: Columns, value_names: Sequence[str] = ()) -> None:
        self._columns = columns
        self._value_names = value_names
        self._are_dates: bool | None = None
        more = (columns.id, columns.groups, columns.pair, columns.split, columns.kept, columns.time)
        self._has_more = any(more)
        self._sound: set[str] = set()  # functions that were looked at: those of pairs stand often

    def read(self, row: Row) -> Record:
        """What a row says; a `DataError` if it cannot be used."""
        names = self._columns
        codes, label = tuple([self._function(row, name) for name in names.codes]), self._label(row)
        if not self._has_more:
            return Record(codes, label)
        return Record(
            codes=codes,
            label=label,
            id=required_name(row, names.id) if names.id is not None else None,
            groups=tuple([name_of(row, name) for name in names.groups]),
            pair=name_of(row, names.pair) if names.pair is not None else None,
            split=required_name(row, names.split) if names.split is not None else None,
            kept=tuple([required_name(row, name) for name in names.kept]),
            time=self._time(row, names.time) if names.time is not None else None,
        )

    def _function(self, row: Row, name: str) -> str:
        function = row.values.get(name)
        if not isinstance(function, str) or function not in self._sound:
            function = function_of(row, name)
            self._sound.add(function)
        return function

    def _label(self, row: Row) -> Any:
        value = value_of(row, self._columns.label)
        if not self._value_names or not isinstance(value, int):
            return value
        if not 0 <= value < len(self._value_names):
            raise row.error(f"{self._columns.label} must be from 0 to {len(self._value_names) - 1}, got {value}")
        return self._value_names[value]

    def _time(self, row: Row, name: str) -> int | float:
        value = value_of(row, name)
        number = _number(value)
        time = number if number is not None else _timestamp(value)
        is_date = number is None
        if time is None or self._are_dates not in (None, is_date):
            kinds = {None: "a number or a date (ISO 8601)", True: "a date (ISO 8601)", False: "a number"}
            raise row.error(f"{name} must be {kinds[self._are_dates]}, got {shown(value)}")
        self._are_dates = is_date
        return time


def value_of(row: Row, name: str) -> Any:
    if name not in row.values:
        raise row.error(f"{name} is missing, got the keys {', '.join(row.values) or 'none'}")
    return row.values[name]


def function_of(row: Row, name: str) -> str:
    """The source text of a function."""
    value = value_of(row, name)
    if not isinstance(value, str):
        raise row.error(f"{name} must be text, got {shown(value)}")
    if (fault := source_fault(value)) is not None:
        raise row.error(f"{name} {fault}")
    return value


def name_of(row: Row, name: str) -> str | None:
    """Of a group or a pair: text or a whole number; a missing value is none."""
    value = value_of(row, name)
    if value is None:
        return None
    text = None if isinstance(value, bool) else value_text(value)
    if text is None:
        raise row.error(f"{name} must be text or a whole number, got {shown(value)}")
    return text


def required_name(row: Row, name: str) -> str:
    """A name that may not be missing."""
    text = name_of(row, name)
    if text is None:
        raise row.error(f"{name} must be text or a whole number, got none")
    return text


def _number(value: Any) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    for read in (int, float):
        try:
            number = read(value) if isinstance(value, str) else value
        except ValueError:
            continue
        return number if isfinite(number) else None
    return None


def _timestamp(value: Any) -> float | None:
    """Seconds since 1970; a date without a time zone is one of UTC."""
    try:
        moment = datetime.fromisoformat(value.strip()) if isinstance(value, str) else value
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime(moment.year, moment.month, moment.day)
        if not isinstance(moment, datetime):
            return None
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


class SplitBuilder:
    """Collects inputs; functions of one text are one.

    Args:
        labels: What the values of labels mean.
        arity: Functions an input.
        has_groups: Whether records have groups.
        has_fixes: Whether records have pairs.
        has_ids: Whether records have identifiers.
    """

    def __init__(self, labels: Labels, *, arity: int, has_groups: bool, has_fixes: bool, has_ids: bool) -> None:
        self._labels = labels
        self._arity = arity
        self._places: dict[str, int] = {}
        self._inputs, self._numbers = array("i"), array("h")
        self._ids: list[str] | None = [] if has_ids else None
        self._groups = Names() if has_groups else None
        self._fixes = Names() if has_fixes else None

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, record: Record, refuse: Callable[[str], DataError], label_name: str = "label") -> None:
        """One input more; a `DataError` if its label is none.

        Args:
            refuse: Makes the error of a fault.
            label_name: Of the column, for the message.
        """
        label = self._labels.place(record.label)
        if label is None:
            raise refuse(f"{label_name} {self._labels.rule(record.label)}")
        for code in record.codes:
            place = self._places.setdefault(code, len(self._places))
            self._inputs.append(place)
            if self._ids is not None and place == len(self._ids):
                self._ids.append(str(record.id))
        self._numbers.append(label)
        if self._groups is not None:
            self._groups.extend(record.groups)
        if self._fixes is not None:
            self._fixes.append(record.pair)

    def split(self, skipped: SkippedRows) -> Split:
        """All of it."""
        return split_of(
            tuple(self._places),
            self._inputs,
            self._numbers,
            arity=self._arity,
            ids=tuple(self._ids or ()),
            groups=self._groups,
            fixes=self._fixes,
            skipped=skipped,
        )


class Names:
    """Names in the order in which rows give them, as numbers; -1 where a row gives none."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._numbers = array("i")

    def append(self, name: str | None) -> None:
        self._numbers.append(-1 if name is None else self._places.setdefault(name, len(self._places)))

    def extend(self, names: Iterable[str | None]) -> None:
        for name in names:
            self.append(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._places)

    @property
    def numbers(self) -> npt.NDArray[np.int32]:
        return np.asarray(self._numbers, dtype=np.int32)


def split_of(
    functions: tuple[str, ...],
    inputs: array[int],
    labels: array[int],
    *,
    arity: int,
    ids: tuple[str, ...] = (),
    groups: Names | None = None,
    fixes: Names | None = None,
    skipped: SkippedRows,
) -> Split:
    return Split(
        functions=functions,
        inputs=np.asarray(inputs, dtype=np.int32).reshape(-1, arity),
        labels=np.asarray(labels, dtype=np.int64),
        ids=ids,
        group_names=groups.names if groups is not None else (),
        groups=groups.numbers.reshape(-1, arity) if groups is not None else None,
        fix_names=fixes.names if fixes is not None else (),
        fixes=fixes.numbers if fixes is not None else None,
        skipped=skipped,
    )


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of one file, and what of each row decides its split.

    Args:
        split: All inputs, in the order of their rows.
        split_names: Of each input, what its column of splits says; empty where there is none.
        kept: Shape (inputs, 1 or 2): numbers of values that may not stand in two splits; or None.
        times: Of each input; empty where they are not asked for.
    """

    split: Split
    split_names: Sequence[str]
    kept: npt.NDArray[np.int32] | None
    times: Sequence[int | float]


def read_table(
    file: DataFile, columns: Columns, labels: Labels, *, unusable: UnusableRows, split_aliases: Mapping[str, str]
) -> Table:
    """Read a file to its end.

    Args:
        split_aliases: What a column of splits may say, and what it means.

    Raises:
        DataError: The file cannot be read, or has no usable row, or a row is refused.
    """
    reader = RecordReader(columns, file.value_names().get(columns.label, ()))
    builder = SplitBuilder(
        labels,
        arity=len(columns.codes),
        has_groups=bool(columns.groups),
        has_fixes=columns.pair is not None,
        has_ids=columns.id is not None,
    )
    kept, times, split_names = Names(), list[int | float](), list[str]()
    for row in unusable.usable(file.rows(columns.names)):
        try:
            record = reader.read(row)
            if record.split is not None and record.split not in split_aliases:
                raise row.error(f"{columns.split} must be one of {', '.join(split_aliases)}, got {record.split!r}")
            builder.add(record, row.error, columns.label)
        except DataError as error:
            unusable.add(error)
            continue
        kept.extend(record.kept)
        if record.time is not None:
            times.append(record.time)
        if record.split is not None:
            split_names.append(split_aliases[record.split])
    if not len(builder):
        raise DataError(file.path, None, _EMPTY + (f" ({unusable.skipped})" if unusable.skipped.count else ""))
    return Table(
        split=builder.split(unusable.skipped),
        split_names=split_names,
        kept=kept.numbers.reshape(-1, len(columns.kept)) if columns.kept else None,
        times=times,
    )


def label_texts(file: DataFile, columns: Columns, unusable: UnusableRows) -> tuple[set[str], Sequence[str]]:
    """The labels that the usable rows of a file have, as texts, and the list of names that the file itself has.

    Raises:
        DataError: The file cannot be read, or a row is refused.
    """
    names = file.value_names().get(columns.label, ())
    reader = RecordReader(columns, names)
    texts: set[str] = set()
    for row in unusable.usable(file.rows(columns.names)):
        try:
            value = reader.read(row).label
            if (text := value_text(value)) is None:
                raise row.error(f"{columns.label} must be a whole number, true or false, or text, got {shown(value)}")
        except DataError as error:
            unusable.add(error)
        else:
            texts.add(text)
    return texts, names


_EMPTY = "must hold at least one row that can be used, got none"
