"""Named entries of one kind: built in, registered in code, or found in other packages by entry points."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from avatar_optuna.exceptions import InputError

T = TypeVar("T")


class Registry(Generic[T]):
    """The entries of one kind, by name. Nothing is imported before an entry is asked for.

    An entry point with the name of an entry that is built in or registered in code is ignored.

    Args:
        kind: Plural noun: other packages declare their entries in the entry point group `avatar_optuna.<kind>`.
        noun: What one entry is called in messages.
        built_in: Where each built-in entry is defined: "module:object", or "module" where it is the module itself.
    """

    def __init__(self, kind: str, *, noun: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self.noun = noun
        self._built_in = dict(built_in)
        self._entries: dict[str, T] = {}
        self._discovered: dict[str, EntryPoint] | None = None

    @property
    def group(self) -> str:
        """The entry point group in which other packages declare their entries."""
        return f"avatar_optuna.{self.kind}"

    def register(self, name: str, entry: T) -> None:
        """Add an entry in this process; tests and notebooks need no entry point.

        Raises:
            InputError: Another entry of this name was registered before.
        """
        if self._entries.get(name, entry) is not entry or name in self._built_in:
            raise InputError(f"the {self.noun} {name!r} is registered already: choose another name")
        self._entries[name] = entry

    def unregister(self, name: str) -> None:
        """Remove an entry that `register` added."""
        del self._entries[name]

    def get(self, name: str) -> T:
        """The entry of this name.

        Raises:
            InputError: There is none, or the package that declares it cannot be imported.
        """
        if name not in self._entries:
            self._entries[name] = self._load(name)
        return self._entries[name]

    def names(self) -> tuple[str, ...]:
        """Names of all entries, sorted."""
        return tuple(sorted({*self._built_in, *self._entries, *self._entry_points()}))

    def _load(self, name: str) -> T:
        if name in self._built_in:
            module, _, attribute = self._built_in[name].partition(":")
            entry: Any = import_module(module)
            return getattr(entry, attribute) if attribute else entry  # type: ignore[no-any-return]
        point = self._entry_points().get(name)
        if point is None:
            raise InputError(f"{self.noun} must be one of {', '.join(self.names())}, got {name!r}")
        try:
            loaded: Any = point.load()
        except (ImportError, AttributeError) as error:
            raise InputError(
                f"the {self.noun} {name!r} must be importable from {point.value}, it is not: {error}"
            ) from error
        return loaded  # type: ignore[no-any-return]

    def _entry_points(self) -> dict[str, EntryPoint]:
        if self._discovered is None:
            self._discovered = {point.name: point for point in entry_points(group=self.group)}
        return self._discovered
