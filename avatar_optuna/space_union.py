"""The space of a study: that of one family, or the union of the spaces of several.

A trial of a union has the parameter `family`, and those of its family alone, each with the family's name and a full
stop before it: `hashed.width`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from avatar_optuna.exceptions import InputError
from avatar_optuna.space import FAMILY_KEY, SearchSpace, installed_family
from avatar_optuna.students import DEFAULT_FAMILY, Configuration, StudentFamily


@dataclass(frozen=True, kw_only=True)
class SpaceUnion:
    """The spaces of several families, searched together.

    Args:
        members: One space a family, in the order of the study file.

    Raises:
        InputError: There are fewer than two, or two of one family.
    """

    members: tuple[SearchSpace, ...]

    def __post_init__(self) -> None:
        names = [space.family.name for space in self.members]
        if len(names) < 2 or len(set(names)) < len(names):
            raise InputError(f"a union holds the spaces of several families, each once, got {names!r}")

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SpaceUnion:
        """Read what `to_dict` wrote.

        Raises:
            InputError: A family is not installed here.
        """
        members = (SearchSpace.from_dict({FAMILY_KEY: name, **values[name]}) for name in values[FAMILY_KEY])
        return cls(members=tuple(members))

    def to_dict(self) -> dict[str, Any]:
        """The families, and the distributions of each as Optuna's JSON, by name."""
        tables = {space.family.name: space.to_dict() for space in self.members}
        distributions = {family: {k: v for k, v in t.items() if k != FAMILY_KEY} for family, t in tables.items()}
        return {FAMILY_KEY: list(tables), **distributions}

    @cached_property
    def distributions(self) -> Mapping[str, BaseDistribution]:
        """Of all parameters that a trial may have, by name."""
        families = CategoricalDistribution(tuple(space.family.name for space in self.members))
        prefixed = {
            f"{space.family.name}.{name}": distribution
            for space in self.members
            for name, distribution in space.distributions.items()
        }
        return {FAMILY_KEY: families, **prefixed}

    def member(self, family_name: str) -> SearchSpace:
        """The space of a family; a `KeyError` where it is not among them."""
        return self._by_family[family_name]

    @cached_property
    def _by_family(self) -> Mapping[str, SearchSpace]:
        return {space.family.name: space for space in self.members}

    def split(self, params: Mapping[str, Any]) -> tuple[SearchSpace, dict[str, Any]]:
        """The space of a trial's family, and its parameters under the names that they have in it."""
        space = self.member(params[FAMILY_KEY])
        prefix = f"{space.family.name}."
        return space, {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}

    def configuration(self, params: Mapping[str, Any]) -> Configuration:
        """The student that a trial's parameters describe; parameters of other families are left out.

        Raises:
            InputError: A hyperparameter is missing, or no student could have these.
        """
        space, values = self.split(params)
        return space.configuration(values)

    def params(self, configuration: Configuration) -> dict[str, Any]:
        """The parameters of a trial that describe a student of this space."""
        name = configuration.family.name
        values = self.member(name).params(configuration)
        return {FAMILY_KEY: name, **{f"{name}.{key}": value for key, value in values.items()}}

    def key(self, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What tells a student from others, by the parameters of a trial; None where these describe none."""
        if params.get(FAMILY_KEY) not in self._by_family:
            return None
        space, values = self.split(params)
        key = space.key(values)
        return None if key is None else (space.family.name, *key)

    def is_student(self, params: Mapping[str, Any]) -> bool:
        """Whether the parameters of a trial keep the rules of its family (heads divide the width)."""
        space, values = self.split(params)
        return space.is_student(values)

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Draw a family, then its hyperparameters, from a trial (they may not be feasible together)."""
        draw = trial._suggest  # type: ignore[attr-defined]
        family = draw(FAMILY_KEY, self.distributions[FAMILY_KEY])
        names = (f"{family}.{name}" for name in self.member(family).names)
        return {FAMILY_KEY: family, **{name: draw(name, self.distributions[name]) for name in names}}

    def contains(self, configuration: Configuration) -> bool:
        """Whether it is of one of the families, and every value lies in its distribution."""
        return any(space.contains(configuration) for space in self.members)


StudySpace = SearchSpace | SpaceUnion


def space_from_mapping(entries: Mapping[str, Any]) -> StudySpace:
    """The space of a study file's `[space]`: of one family, or of several where `family` lists several.

    A hyperparameter that stands in `[space]` itself holds for every family of the study that has it; the table of a
    family goes before it.

    Raises:
        InputError: All faults of all entries, separated by "; ".
    """
    listed = entries.get(FAMILY_KEY, DEFAULT_FAMILY)
    families = [installed_family(name) for name in (listed if isinstance(listed, list) and listed else [listed])]
    if len(set(families)) < len(families):
        raise InputError(f"space.{FAMILY_KEY}: a list must name each family once, got {listed!r}")
    tables = {family.name: entries.get(family.name, {}) for family in families}
    shared = {name: entry for name, entry in entries.items() if name != FAMILY_KEY and name not in tables}
    if len(families) == 1 and shared.keys() == entries.keys() - {FAMILY_KEY}:
        return SearchSpace.from_mapping(entries)
    faults = [
        f"space.{name}: must be a hyperparameter of {' or '.join(tables)}, or the table of one of them"
        for name in shared
        if not any(name in family.by_name for family in families)
    ]
    members = []
    for family in families:
        try:
            members.append(_member(family, shared, tables[family.name]))
        except InputError as error:
            faults += [fault for fault in str(error).split("; ") if fault not in faults]
    if faults:
        raise InputError("; ".join(faults))
    return members[0] if len(members) == 1 else SpaceUnion(members=tuple(members))


def _member(family: StudentFamily, shared: Mapping[str, Any], own: Any) -> SearchSpace:
    """The space of one of several families, of entries that all families share and of its own."""
    place = f"space.{family.name}"
    if not isinstance(own, Mapping) or FAMILY_KEY in own:
        raise InputError(f"{place}: must be a table of its hyperparameters, got {own!r}")
    common = {name: entry for name, entry in shared.items() if name in family.by_name}
    spaces, faults = [], []
    for entries, at in ((common, "space"), (own, place)):
        try:
            spaces.append(SearchSpace.from_mapping({**entries, FAMILY_KEY: family.name}, place=at))
        except InputError as error:
            faults.append(str(error))
    if faults:
        raise InputError("; ".join(faults))
    space, narrowed = spaces
    return space.replace(**{name: narrowed.distributions[name] for name in own})


def space_from_dict(values: Mapping[str, Any]) -> StudySpace:
    """Read what `to_dict` of either wrote."""
    return SpaceUnion.from_dict(values) if isinstance(values.get(FAMILY_KEY), list) else SearchSpace.from_dict(values)
