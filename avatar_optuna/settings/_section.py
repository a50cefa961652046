"""What the sections of a study file share: frozen objects whose fields are checked by rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, asdict, field, fields
from typing import Any, Self

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings._rules import Rule


def setting(rule: Rule, default: Any = MISSING) -> Any:
    """A field of a section, and what it accepts; without a default it must be given."""
    return field(default=default, metadata={"rule": rule})


class SectionError(InputError):
    """Faults of one section; the reader of the file puts the section's name before each.

    Args:
        faults: One sentence each.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))


class Section:
    """What the sections share: each field is checked by its rule when the object is made."""

    def __post_init__(self) -> None:
        faults = []
        for entry in fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            if isinstance(value, list):
                object.__setattr__(self, entry.name, tuple(value))
            rule: Rule | None = entry.metadata.get("rule")
            if rule is not None and (fault := rule(value)) is not None:
                faults.append(f"{entry.name} {fault}, got {value!r}")
        faults.extend(self._cross_faults() if not faults else ())
        if faults:
            raise SectionError(faults)

    def _cross_faults(self) -> list[str]:
        """Faults between fields, looked for once each field is sound."""
        return []

    @classmethod
    def from_mapping(cls, table: Any) -> Self:
        """Read a TOML table or the dictionary of `to_dict`.

        Raises:
            SectionError: Unknown, missing and refused keys, all of them.
        """
        if not isinstance(table, Mapping):
            raise SectionError([f"must be a table, got {table!r}"])
        known = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]
        faults = [f"{key} is unknown, expected one of {', '.join(known)}" for key in table if key not in known]
        faults += [f"{key} is missing" for key, e in known.items() if e.default is MISSING and key not in table]
        values = {key: value for key, value in table.items() if key in known}
        if not faults:
            return cls(**values)
        for key, value in values.items():
            if (fault := known[key].metadata["rule"](value)) is not None:
                faults.append(f"{key} {fault}, got {value!r}")
        raise SectionError(faults)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()  # type: ignore[call-overload]
        }


class OpenSection(Section):
    """A section whose kind may take further keys: they stand in `options`, as plain JSON values.

    What a kind makes of them is checked where a study file is read; what is stored was checked then.
    """

    options: Mapping[str, Any]

    def __init__(self, **values: Any) -> None:
        own = [entry for entry in fields(self) if entry.name != "options"]  # type: ignore[arg-type]
        for entry in own:
            if entry.default is MISSING and entry.name not in values:
                raise SectionError([f"{entry.name} is missing"])
            object.__setattr__(self, entry.name, values.get(entry.name, entry.default))
        names = {entry.name for entry in own}
        given = {key: value for key, value in values.items() if key not in names and value is not None}
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
        object.__setattr__(self, "options", options)
        self.__post_init__()

    @classmethod
    def from_mapping(cls, table: Any) -> Self:
        """Read a TOML table or the dictionary of `to_dict`.

        Raises:
            SectionError: Missing and refused keys, all of them.
        """
        if not isinstance(table, Mapping):
            raise SectionError([f"must be a table, got {table!r}"])
        return cls(**table)

    def to_dict(self) -> dict[str, Any]:
        """The fields and the options as plain JSON values."""
        values = super().to_dict()
        return {**{key: value for key, value in values.items() if key != "options"}, **self.options}
