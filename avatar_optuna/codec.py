"""The one codec of stored objects: frozen dataclasses to plain JSON values, and back with every field checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import msgspec
import numpy as np

from avatar_optuna.exceptions import InputError, StoredValueError

_LONGEST_EXCERPT = 60


class Stored:
    """A frozen dataclass that is stored as one JSON object.

    Fields that were added later have a default, unknown keys are ignored, and lists are read where tuples are declared.
    A class overrides `_upgraded` and `to_dict` where its JSON has another form than its fields.
    """

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        values: dict[str, Any] = _listed(msgspec.to_builtins(self, enc_hook=_encode))
        return values

    @classmethod
    def from_dict(cls, values: Any, *, place: str | None = None) -> Self:
        """Read what `to_dict` wrote.

        Args:
            values: What is stored.
            place: Where, for the message: the study and the attribute.

        Raises:
            StoredValueError: A field is missing, or holds something else than its type; one line.
        """
        place = place or cls.__name__
        try:
            if not isinstance(values, Mapping):
                raise StoredValueError(place, f"it must be an object, got {_excerpt(values)}")
            return msgspec.convert(cls._upgraded(values), cls, dec_hook=_decode)
        except msgspec.ValidationError as error:
            fault = str(error)
            path = fault.rpartition("`$")[2].rstrip("`") if "`$" in fault else ""
            raise StoredValueError(place, f"{fault}, got {_excerpt(_at(values, path))}") from None
        except (InputError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoredValueError(place, f"{type(error).__name__} {error}, got {_excerpt(values)}") from None

    @classmethod
    def _upgraded(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        """The fields by name, of JSON that this or an older version stored."""
        return values


StoredT = TypeVar("StoredT", bound=Stored)


def read_stored(kind: type[StoredT], attributes: Mapping[str, Any], key: str, *, study_name: str) -> StoredT | None:
    """An attribute of a study as an object, or None where it is not stored yet.

    Raises:
        StoredValueError: It is not what avatar_optuna stores.
    """
    if key not in attributes:
        return None
    return kind.from_dict(attributes[key], place=f"study {study_name!r}: {key}")


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return dict(value)
    return value.to_dict()  # what describes itself, such as a configuration


def _decode(kind: type[Any], value: Any) -> Any:
    """Arrays are stored as lists of finite numbers; anything else must already be of its kind."""
    origin = getattr(kind, "__origin__", kind)
    if origin is np.ndarray:
        array = np.asarray(value, dtype=np.float64)
        if not np.isfinite(array).all():
            raise ValueError("Expected finite numbers")
        return array
    if isinstance(value, origin):
        return value
    raise ValueError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _listed(value: Any) -> Any:
    """Tuples as lists, at any depth, as JSON gives them back."""
    if isinstance(value, dict):
        return {key: _listed(entry) for key, entry in value.items()}
    return [_listed(entry) for entry in value] if isinstance(value, list | tuple) else value


def _at(values: Any, path: str) -> Any:
    """The value at a path such as `.students[0].flops`, or the last one on the way to it that is there."""
    for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
        try:
            values = values[name or int(index)]
        except (KeyError, IndexError, TypeError):
            break
    return values


def _excerpt(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST_EXCERPT else f"{text[:_LONGEST_EXCERPT]}..."
