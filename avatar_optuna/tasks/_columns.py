"""Which column of the data holds what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avatar_optuna.data_files import shown
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.settings import TaskSettings

_DEFAULTS: Mapping[str, tuple[str, ...]] = {
    "code": ("func", "code"),
    "code1": ("func1", "code1"),
    "code2": ("func2", "code2"),
    "label": ("target", "label"),
}
"""Names that a column may have where the study file names none."""
_OF_FUNCTIONS = ("code", "label", "id", "group", "pair", "split")
_OF_PAIRS = ("code1", "code2", "label", "code", "id", "group", "split")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Names of the columns that are read.

    Args:
        codes: Of the functions: one, or two for pairs.
        label: Of the label.
        id: Of what the data calls a function, or None.
        groups: Of the group of each function, the same column twice where both functions have one; or ().
        pair: Of what a function before and after a fix have in common, or None.
        split: Of the name of the split, or None.
        kept: Of values that may not stand in two splits; or ().
        time: Of the time by which rows are split, or None.
    """

    codes: tuple[str, ...]
    label: str
    id: str | None = None
    groups: tuple[str, ...] = ()
    pair: str | None = None
    split: str | None = None
    kept: tuple[str, ...] = ()
    time: str | None = None

    @property
    def names(self) -> list[str]:
        """All of them, each once."""
        single = (self.label, self.id, self.pair, self.split, self.time)
        given = (name for name in single if name is not None)
        return list(dict.fromkeys((*self.codes, *given, *self.groups, *self.kept)))


def columns_faults(settings: TaskSettings, arity: int) -> list[str]:
    """Broken rules of `[task] columns`."""
    table, roles = settings.options.get("columns", {}), _OF_FUNCTIONS if arity == 1 else _OF_PAIRS
    if not isinstance(table, Mapping):
        return [f'columns must be a table such as {{ code = "source" }}, got {shown(table)}']
    faults = [f"columns may have {', '.join(roles)}, got {role!r}" for role in table if role not in roles]
    faults += [
        f"columns.{role} must be the name of a column, got {shown(name)}"
        for role, name in table.items()
        if role in roles and not (isinstance(name, str) and name.strip())
    ]
    both = [key for key in ("group", "pair") if key in table and key in settings.options]
    return faults + [f"{key} must be given once, got it in columns too" for key in both]


def column_of(role: str, settings: TaskSettings) -> str | None:
    """The column that the study file names for a role, or None."""
    named = settings.options.get("columns", {}).get(role)
    return named if named is not None else settings.options.get(role) if role in ("group", "pair") else None


class ColumnFinder:
    """Finds the columns among those that are there; what is not there, or not clear, is asked for.

    Args:
        there: Names of the columns of the data.
        settings: What the study file says of them.
        place: Of the data, for messages.

    Raises:
        DataError: There are none.
    """

    def __init__(self, there: Sequence[str], settings: TaskSettings, place: Path) -> None:
        if not there:
            raise DataError(place, None, "must hold at least one row that can be used, got none")
        self._there = tuple(there)
        self._settings = settings
        self._place = place

    def columns(self, arity: int) -> Columns:
        """Those of rows that hold whole inputs.

        Raises:
            InputError: One is not there, or it is not clear which is meant; it lists those that are there.
        """
        options = self._settings.options
        roles = ("code",) if arity == 1 else ("code1", "code2")
        unread = next((role for role in ("code", "id") if arity == 2 and column_of(role, self._settings)), None)
        if unread is not None:
            raise self._error(f"task.columns.{unread} must be absent where a row holds both functions of a pair")
        codes, label = tuple(self.required(role) for role in roles), self.required("label")
        if len({*codes, label}) < len(codes) + 1:
            named = ", ".join(f"{role} {name!r}" for role, name in zip((*roles, "label"), (*codes, label), strict=True))
            raise self._error(f"task.columns must name functions and labels apart, got {named}")
        return Columns(
            codes=codes,
            label=label,
            id=self.optional("columns.id", column_of("id", self._settings)) if arity == 1 else None,
            groups=self._of_each("group", column_of("group", self._settings), arity),
            pair=self.optional("pair", column_of("pair", self._settings)),
            split=self.optional("columns.split", column_of("split", self._settings)),
            kept=tuple(dict.fromkeys(self._of_each("split_by_group", options.get("split_by_group"), arity))),
            time=self.optional("split_by_time", options.get("split_by_time")),
        )

    def required(self, role: str, defaults: Sequence[str] = ()) -> str:
        """The column of a role that every row must have."""
        named = column_of(role, self._settings)
        if named is not None:
            return str(self.optional(f"columns.{role}", named))
        names = defaults or _DEFAULTS[role]
        found = [name for name in names if name in self._there]
        if len(found) == 1:
            return found[0]
        what = f"there is {' and '.join(found)}" if found else f"none is called {' or '.join(names)}"
        raise self._error(f"task.columns.{role} must name the column of the {_WORDS[role]}, {what}")

    def optional(self, key: str, named: Any) -> str | None:
        """The column that a key of the study file names, or None where the key is absent."""
        if named is not None and named not in self._there:
            raise self._error(f"task.{key} must name a column, got {named!r}")
        return None if named is None else str(named)

    def _of_each(self, key: str, named: Any, arity: int) -> tuple[str, ...]:
        """The column for each function of an input: one for all, or of pairs those that end in 1 and 2."""
        if named is None or arity == 1 or named in self._there:
            only = self.optional(key, named)
            return (only,) * arity if only is not None else ()
        each = tuple(f"{named}{place}" for place in (1, 2))
        if not set(each) <= set(self._there):
            raise self._error(f"task.{key} must name a column, or two that end in 1 and 2, got {named!r}")
        return each

    def _error(self, fault: str) -> InputError:
        return InputError(f"{self._place}: {fault}; the columns are {', '.join(self._there)}")


_WORDS = {
    "code": "functions",
    "code1": "first functions",
    "code2": "second functions",
    "label": "labels",
    "id": "identifiers",
}
