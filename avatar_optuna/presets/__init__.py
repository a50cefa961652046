"""Presets of study files: one TOML file each beside this one, whose keys stand below those of the study file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from avatar_optuna.space import FAMILY_KEY
from avatar_optuna.students import DEFAULT_FAMILY

KEY = "preset"
_SUFFIX = ".toml"


def preset_names() -> list[str]:
    """Of the presets that there are, in order."""
    return sorted(
        entry.name.removesuffix(_SUFFIX) for entry in files(__name__).iterdir() if entry.name.endswith(_SUFFIX)
    )


def read_preset(name: str) -> dict[str, Any]:
    """The sections of a preset; a `KeyError` of one that there is not."""
    if name not in preset_names():
        raise KeyError(name)
    return tomllib.loads(files(__name__).joinpath(f"{name}{_SUFFIX}").read_text(encoding="utf-8"))


def completed(document: Mapping[str, Any], preset: Mapping[str, Any]) -> dict[str, Any]:
    """A study file with what a preset has and the file lacks, key by key; a section that is no table stays as it is.

    Of `[space]`, the preset has a table a family. Those of the families of the study are taken: what the file says of a
    hyperparameter, for all families or for one, goes before them.
    """
    tables = {key: table for key, table in preset.items() if key != "space"}
    whole = {key: _above(document.get(key, {}), table) for key, table in tables.items()}
    return {**document, **whole, "space": _space(document.get("space", {}), preset["space"])}


def _above(given: Any, table: Mapping[str, Any]) -> Any:
    return {**table, **given} if isinstance(given, Mapping) else given


def _space(given: Any, preset: Mapping[str, Any]) -> Any:
    if not isinstance(given, Mapping):
        return given
    family = given.get(FAMILY_KEY, preset.get(FAMILY_KEY, DEFAULT_FAMILY))
    names = [name for name in (family if isinstance(family, list) else [family]) if isinstance(name, str)]
    own = {name: given[name] for name in names if name in given}
    shared = {key: entry for key, entry in given.items() if key not in own and key != FAMILY_KEY}
    tables = {
        name: _above(own.get(name, {}), {key: e for key, e in preset.get(name, {}).items() if key not in shared})
        for name in names
    }
    if len(names) == 1 and not own:
        return {FAMILY_KEY: family, **shared, **tables[names[0]]}
    return {FAMILY_KEY: family, **shared, **tables}
