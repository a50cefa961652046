"""What the values of a label column mean."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from avatar_optuna.data_files import shown
from avatar_optuna.exceptions import InputError

_TRUTHS = ("false", "true")
_MOST_LABELS = 1_000
_MOST_SHOWN = 10


def value_text(value: Any) -> str | None:
    """A value of a label as text, the same in every format: 1, 1.0 and "1" are one, and true and "true"; else None."""
    if isinstance(value, bool):
        return _TRUTHS[value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        return str(value)
    return value if isinstance(value, str) and value.strip() else None


class Labels:
    """The labels of a task, and which value of the data means which.

    Args:
        names: In their order. A value is the label of that name; where no name is itself a number or a truth value,
            whole numbers from 0 and, of two labels, false and true are labels too.
        meanings: The label of each value, by the value's text; then no other value is one.
    """

    def __init__(self, names: Sequence[str], meanings: Mapping[str, str] | None = None) -> None:
        self.names = tuple(names)
        self._places = {name: place for place, name in enumerate(self.names)}
        if meanings is not None:
            values = {value: self._places[name] for value, name in meanings.items()}
        else:
            values = dict(self._places)
            if not any(_is_number(name) or name.lower() in _TRUTHS for name in self.names):
                values |= {str(place): place for place in range(len(self.names))}
                values |= dict(zip(_TRUTHS, range(2), strict=True)) if len(self.names) == 2 else {}
        self._values = {spelling: place for value, place in values.items() for spelling in _spellings(value)} | values
        self._known = list(meanings or self.names)

    def place(self, value: Any) -> int | None:
        """Which label a value is, or None where it is none."""
        text = value_text(value)
        return None if text is None else self._values.get(text)

    def rule(self, value: Any) -> str:
        """What a value that is no label breaks, as the end of a sentence."""
        known = self._known[:_MOST_SHOWN]
        if self.place(0) == 0 and "0" not in known:
            known = [f"{name} ({place})" for place, name in enumerate(known)]
        more = ", ..." if len(self._known) > _MOST_SHOWN else ""
        return f"must be one of {', '.join(known)}{more}, got {shown(value)} (task.labels says what other values mean)"


def stated_labels(stated: Any, defaults: Sequence[str]) -> Labels | None:
    """The labels of `[task] labels`, else the kind's own; None where the data has to tell.

    Args:
        stated: A list of names, a table from values to names, or None.
        defaults: Names of the kind's own labels, or none.
    """
    if isinstance(stated, Mapping):
        return Labels(defaults or list(dict.fromkeys(stated.values())), stated)
    names = stated if stated is not None else defaults
    return Labels(names) if names else None


def labels_faults(stated: Any, defaults: Sequence[str]) -> list[str]:
    """Broken rules of `[task] labels`."""
    is_table = isinstance(stated, Mapping)
    names = list(stated.values()) if is_table else stated
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name.strip() for name in names):
        return [f"labels must be a list of names, or a table from values of the data to names, got {shown(stated)}"]
    distinct = dict.fromkeys(names)
    if len(distinct) < 2 or len(distinct) > _MOST_LABELS or (not is_table and len(distinct) < len(names)):
        return [f"labels must be 2 to {_MOST_LABELS:,} different names, got {shown(stated)}"]
    if defaults and is_table and set(distinct) != set(defaults):
        return [f"labels must say which values mean {' and '.join(defaults)}, got {shown(stated)}"]
    if defaults and len(distinct) != len(defaults):
        return [f"labels must be {len(defaults)} names, those of the labels 0 and 1, got {shown(stated)}"]
    return []


def labels_of_data(texts: Collection[str], named: Iterable[str]) -> tuple[str, ...]:
    """Names of the labels that occur, in order: as the data's own list has them, numbers by size, else by the alphabet.

    Args:
        texts: Of the values.
        named: The data's own list of names; what does not occur is left out.

    Raises:
        InputError: There are fewer than two, or far too many to be labels.
    """
    if not 2 <= len(texts) <= _MOST_LABELS:
        raise InputError(
            f"task.columns.label must name a column of 2 to {_MOST_LABELS:,} different labels, got {len(texts):,}"
        )
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys(named))}
    if set(texts) <= set(ranks):
        return tuple(sorted(texts, key=ranks.__getitem__))
    if all(map(_is_number, texts)):
        return tuple(sorted(texts, key=int))
    return tuple(sorted(texts))


def _is_number(text: str) -> bool:
    return text.removeprefix("-").isdecimal() and text.isascii()


def _spellings(value: str) -> tuple[str, ...]:
    """How formats without types write it: CSV files have True, TRUE and 1.0."""
    if value in _TRUTHS:
        return value.capitalize(), value.upper()
    return (f"{value}.0",) if _is_number(value) else ()
