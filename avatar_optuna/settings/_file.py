"""A study file: TOML, read with every fault reported at once."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from avatar_optuna import presets
from avatar_optuna.constraints import parse_for_any
from avatar_optuna.exceptions import DataError, InputError, StudyFileError
from avatar_optuna.files import read_text
from avatar_optuna.kinds import TASK_KINDS, TEACHER_KINDS, Kind
from avatar_optuna.registry import Registry
from avatar_optuna.settings._rules import each, some_text, study_name
from avatar_optuna.settings._section import Section, SectionError
from avatar_optuna.settings._study import SECTIONS, StudySettings
from avatar_optuna.settings._teacher import TeacherSettings
from avatar_optuna.space_union import StudySpace, space_from_mapping
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, StudentFamily

_REQUIRED = ("task", "teacher")
_KINDS: Mapping[str, Registry[Kind]] = {"task": TASK_KINDS, "teacher": TEACHER_KINDS}
_METRICS = {"predicted_effectiveness": "effectiveness"}
"""Names that the stored study gives its metrics, as a study file may write them too."""
_COMPARISON = re.compile(r"\s*(<=|>=|<|>|==|!=)\s*(.+)")


def load_study_file(path: Path | str) -> StudySettings:
    """Read and check a study file.

    Raises:
        StudyFileError: Everything that is wrong with the file, at once.
    """
    path = Path(path)
    document = _read_toml(path)
    faults: list[str] = []
    document = _with_preset(document, faults)
    known = ("name", presets.KEY, "space", "constraints", *SECTIONS)
    faults += [f"{key} is unknown, expected one of {', '.join(known)}" for key in document if key not in known]
    if (fault := study_name(document.get("name"))) is not None:
        faults.append(f"name {fault}, got {document.get('name')!r}")
    sections = {key: _read_section(key, cls, document, path, faults) for key, cls in SECTIONS.items()}
    space = _read_space(document.get("space", {}), faults)
    families = [one.family for one in space.members] if space is not None else [FAMILIES.get(DEFAULT_FAMILY)]
    constraints = _read_constraints(document.get("constraints", {}), families, faults)
    if faults:
        raise StudyFileError(path, faults)
    values: dict[str, Any] = {"name": document["name"], "space": space, "constraints": constraints, **sections}
    return StudySettings(**values)


def _with_preset(document: dict[str, Any], faults: list[str]) -> dict[str, Any]:
    """The study file with what its preset has and it lacks."""
    name, known = document.get(presets.KEY), presets.preset_names()
    if name is None:
        return document
    if name not in known:
        faults.append(f"{presets.KEY} must be one of {', '.join(known)}, got {name!r}")
        return document
    return presets.completed(document, presets.read_preset(name))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(read_text(path))
    except DataError as error:
        raise StudyFileError(path, [f"the study file {error.fault}"]) from error
    except RecursionError as error:
        raise StudyFileError(path, ["it must be TOML that is not nested too deeply"]) from error
    except ValueError as error:  # TOMLDecodeError, or Python's of an integer of thousands of digits
        raise StudyFileError(path, [f"it must be TOML: {error}"]) from error
    if faults := [f"{key} must be a whole number of at most 64 bits, as in TOML" for key in _longer_numbers(document)]:
        raise StudyFileError(path, faults)
    return document


def _longer_numbers(value: Any, key: str = "") -> Iterator[str]:
    """The keys of whole numbers of more than 64 bits: of thousands of hexadecimal digits, Python cannot even write."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _longer_numbers(entry, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for entry in value:
            yield from _longer_numbers(entry, key)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield key


def _read_section(
    key: str, section: type[Section], document: Mapping[str, Any], path: Path, faults: list[str]
) -> Section | None:
    if key not in document and key in _REQUIRED:
        faults.append(f"[{key}] is missing")
        return None
    table = document.get(key, {})
    if isinstance(table, Mapping):
        if isinstance(table.get("objectives"), list):
            table = {**table, "objectives": [_METRICS.get(name, name) for name in map(str, table["objectives"])]}
        if key in _KINDS:
            return _read_open_section(key, section, table, path, faults)
    try:
        return section.from_mapping(table)
    except SectionError as error:
        faults.extend(_placed(key, fault) for fault in error.faults)
        return None


def _read_open_section(
    key: str, section: type[Section], table: Mapping[str, Any], path: Path, faults: list[str]
) -> Section | None:
    """A section whose keys depend on the kind that it selects; the kind has its say once the section is sound."""
    try:
        kind = _kind_of(key, table)
    except InputError as error:
        wrong = list(error.faults) if isinstance(error, SectionError) else []
        faults += [] if isinstance(error, SectionError) else [str(error)]
        settings, more = _section_and_faults(section, table, None)
    else:
        known = [*(e.name for e in fields(section) if e.name != "options"), *kind.option_names]  # type: ignore[arg-type]
        wrong = [f"{name} is unknown, expected one of {', '.join(known)}" for name in table if name not in known]
        table = {name: _resolve(v, path) if name in kind.path_names else v for name, v in table.items()}
        settings, more = _section_and_faults(section, table, kind)
    faults.extend(_placed(key, fault) for fault in dict.fromkeys([*wrong, *more]))
    return settings


def _section_and_faults(
    section: type[Section], table: Mapping[str, Any], kind: Kind | None
) -> tuple[Section | None, list[str]]:
    try:
        settings = section.from_mapping(table)
        return settings, kind.faults(settings) if kind is not None else []
    except SectionError as error:
        return None, list(error.faults)


def _kind_of(key: str, table: Mapping[str, Any]) -> Kind:
    """The kind that a section selects: by the key `kind` of a task, by the name of a key of a teacher."""
    if key == "teacher":
        names = set(TEACHER_KINDS.names())
        return TEACHER_KINDS.get(TeacherSettings(**{name: table[name] for name in table if name in names}).kind)
    if "kind" not in table:
        raise SectionError(["kind is missing"])
    return TASK_KINDS.get(str(table["kind"]))


def _resolve(value: Any, study_file: Path) -> Any:
    """A path relative to the study file, absolute; a hub name (nothing on disk, no leading dot) stays as it is."""
    if some_text(value) is not None:
        return value
    resolved = (study_file.parent / Path(value).expanduser()).resolve()
    is_path = resolved.exists() or value.startswith((".", "/", "~"))
    return str(resolved) if is_path else value


def _read_space(table: Any, faults: list[str]) -> StudySpace | None:
    if not isinstance(table, Mapping):
        faults.append(f"space must be a table, got {table!r}")
        return None
    try:
        return space_from_mapping(table)
    except InputError as error:
        faults.extend(str(error).split("; "))
        return None


def _read_constraints(table: Any, families: Sequence[StudentFamily], faults: list[str]) -> tuple[str, ...]:
    """`size_mb = "<= 3"` becomes "size_mb <= 3"; `expressions` is a list taken as it stands."""
    if not isinstance(table, Mapping):
        faults.append(f"constraints must be a table, got {table!r}")
        return ()
    texts: list[tuple[str, str]] = []
    for key, value in table.items():
        if key == "expressions":
            if (fault := each(some_text)(value)) is not None:
                faults.append(f"constraints.expressions {fault}, got {value!r}")
            else:
                texts.extend((key, text) for text in value)
        elif isinstance(value, str) and _COMPARISON.fullmatch(value):
            texts.append((key, f"{key} {value.strip()}"))
        else:
            faults.append(f'constraints.{key} must be a comparison such as "<= 3", got {value!r}')
    for key, text in texts:
        try:
            parse_for_any(text, families)
        except InputError as error:
            faults.append(f"constraints.{key}: {error}")
    return tuple(text for _, text in texts)


def _placed(section: str, fault: str) -> str:
    """A fault with its place: of a key ("task.kind must ...") or of the whole section ("task must ...")."""
    return f"{section} {fault}" if fault.startswith(("must", "needs")) else f"{section}.{fault}"
