"""The search space of a study: the hyperparameters of a family as Optuna distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
    json_to_distribution,
)

from avatar_optuna.exceptions import InputError
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, Configuration, Hyperparameter, StudentFamily

FAMILY_KEY = "family"


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A family and the distributions of its hyperparameters.

    Args:
        distributions: One distribution for each hyperparameter; those that may be omitted may be missing.
        family: Of all students of the study.

    Raises:
        InputError: A name is missing or unknown.
    """

    distributions: Mapping[str, BaseDistribution]
    family: StudentFamily = field(default_factory=lambda: FAMILIES.get(DEFAULT_FAMILY))

    def __post_init__(self) -> None:
        names = self.family.names
        missing = sorted(set(names) - set(self.distributions) - set(self.family.omitted))
        if missing or not set(self.distributions) <= set(names):
            unknown = sorted(set(self.distributions) - set(names))
            raise InputError(
                f"a space holds exactly the {len(names)} hyperparameters of {self.family.name}: missing {missing}, "
                f"unknown {unknown}"
            )
        ordered = {name: self.distributions[name] for name in names if name in self.distributions}
        object.__setattr__(self, "distributions", MappingProxyType(ordered))

    @classmethod
    def default(cls, family: StudentFamily) -> SearchSpace:
        """The space of a family where a study file does not say otherwise."""
        return cls(distributions=_defaults(family), family=family)

    @classmethod
    def paper(cls) -> SearchSpace:
        """The space of the paper's table 1."""
        return cls.default(FAMILIES.get("transformer"))

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any], *, place: str = "space") -> SearchSpace:
        """A family's space with some hyperparameters narrowed or widened, as a study file writes them.

        The entry `family` names the family. Any other is a single value, a list of values, or a table with `low`,
        `high` and optionally `step` or `log`.

        Args:
            entries: By name.
            place: Where they stand in the study file, for messages.

        Raises:
            InputError: All faults of all entries, separated by "; ".
        """
        family = installed_family(entries.get(FAMILY_KEY, DEFAULT_FAMILY))
        distributions = _defaults(family)
        faults = []
        for name, entry in entries.items():
            if name == FAMILY_KEY:
                continue
            try:
                distributions[name] = _parse_entry(family, name, entry)
            except InputError as error:
                faults.append(f"{place}.{name}: {error}")
        if faults:
            raise InputError("; ".join(faults))
        return cls(distributions=distributions, family=family)

    @classmethod
    def from_dict(cls, values: Mapping[str, str]) -> SearchSpace:
        """Read what `to_dict` wrote.

        Raises:
            InputError: The family is not installed here.
        """
        family = FAMILIES.get(values.get(FAMILY_KEY, DEFAULT_FAMILY))
        distributions: dict[str, BaseDistribution] = {
            name: json_to_distribution(text) for name, text in values.items() if name != FAMILY_KEY
        }
        return cls(distributions=distributions, family=family)

    @property
    def members(self) -> tuple[SearchSpace, ...]:
        """The spaces of its families: itself."""
        return (self,)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Hyperparameters that it has a distribution of, in the order of the family."""
        return tuple(self.distributions)

    @cached_property
    def hyperparameters(self) -> tuple[Hyperparameter, ...]:
        """What the family declares of these."""
        return tuple(self.family.by_name[name] for name in self.names)

    @cached_property
    def omitted(self) -> Mapping[str, Any]:
        """What the others are in all of its students, by name."""
        return {name: value for name, value in self.family.omitted.items() if name not in self.distributions}

    def key(self, params: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """What tells a student from others, by the parameters of a trial; None where these describe none."""
        if any(name not in params for name in self.names):
            return None
        return tuple(params[name] for name in self.names)

    def is_student(self, params: Mapping[str, Any]) -> bool:
        """Whether the parameters of a trial keep the rules of the family (heads divide the width)."""
        return all(params[rule.dividend] % params[rule.divisor] == 0 for rule in self.family.divides)

    def params(self, configuration: Configuration) -> dict[str, Any]:
        """The parameters of a trial that describe a student of this space."""
        return {name: configuration.values[name] for name in self.names}

    def to_dict(self) -> dict[str, str]:
        """Distributions as Optuna's JSON, by name, and the family where it is another than the default."""
        distributions = {name: distribution_to_json(dist) for name, dist in self.distributions.items()}
        return distributions if self.family.name == DEFAULT_FAMILY else {FAMILY_KEY: self.family.name, **distributions}

    def configuration(self, params: Mapping[str, Any]) -> Configuration:
        """The student that a trial's parameters describe; parameters that are no hyperparameters are left out.

        Raises:
            InputError: A hyperparameter is missing, or no student could have these.
        """
        return Configuration(self.family, {name: params[name] for name in self.family.names if name in params})

    def replace(self, **distributions: BaseDistribution) -> SearchSpace:
        """This space with other distributions under the names given."""
        return replace(self, distributions={**self.distributions, **distributions})

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Draw all hyperparameters from a trial, as plain values (they may not be feasible together).

        Optuna's public `suggest_...` methods make and check a new distribution object for each value, which takes a
        fifth of the time of a search.
        """
        draw = trial._suggest  # type: ignore[attr-defined]
        return {name: draw(name, distribution) for name, distribution in self.distributions.items()}

    def contains(self, configuration: Configuration) -> bool:
        """Whether it is of this family, and every value lies in its distribution."""
        if configuration.family is not self.family:
            return False
        values = configuration.values
        return all(values[name] == value for name, value in self.omitted.items()) and all(
            contains_value(dist, values[name]) for name, dist in self.distributions.items()
        )


def values_of(distribution: BaseDistribution) -> tuple[Any, ...]:
    """Every value of a discrete distribution, in order.

    Raises:
        ValueError: The distribution is continuous.
    """
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return tuple(range(distribution.low, distribution.high + 1, distribution.step))
    if isinstance(distribution, FloatDistribution) and distribution.step is not None:
        count = round((distribution.high - distribution.low) / distribution.step) + 1
        return tuple(round(distribution.low + i * distribution.step, 12) for i in range(count))
    raise ValueError(f"{distribution} is continuous")


def contains_value(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a value, in the user's representation, belongs to a distribution."""
    try:
        internal = distribution.to_internal_repr(value)
    except ValueError:
        return False
    return bool(distribution._contains(internal))


def _defaults(family: StudentFamily) -> dict[str, BaseDistribution]:
    return {spec.name: spec.default for spec in family.hyperparameters if spec.omitted is None}


def installed_family(entry: Any) -> StudentFamily:
    """The family that an entry of a study file names; an `InputError` where it names none."""
    if isinstance(entry, list) and len(entry) == 1:
        entry = entry[0]
    if entry not in FAMILIES.names():
        raise InputError(f"space.{FAMILY_KEY}: must be one of {', '.join(FAMILIES.names())}, got {entry!r}")
    return FAMILIES.get(entry)


def _parse_entry(family: StudentFamily, name: str, entry: Any) -> BaseDistribution:
    if name not in family.by_name:
        raise InputError(f"unknown hyperparameter, expected one of {', '.join(family.names)}")
    spec = family.by_name[name]
    if isinstance(entry, Mapping):
        return _parse_range(spec, entry)
    values = entry if isinstance(entry, list | tuple) else [entry]
    return _parse_list(spec, list(values))


def _parse_list(spec: Hyperparameter, values: list[Any]) -> BaseDistribution:
    if not values:
        raise InputError("a list needs at least one value, got []")
    for value in values:
        _check_value(spec, value)
    if len(set(values)) < len(values):
        raise InputError(f"a list may not repeat a value, got {values!r}")
    return CategoricalDistribution(tuple(values))


def _parse_range(spec: Hyperparameter, entry: Mapping[str, Any]) -> BaseDistribution:
    if spec.is_category:
        raise InputError(f"categories take a list, got the range {dict(entry)!r}")
    unknown = sorted(set(entry) - {"low", "high", "step", "log"})
    if unknown or not {"low", "high"} <= set(entry):
        raise InputError(f"a range has low, high and optionally step or log, got {dict(entry)!r}")
    low, high, step, log = entry["low"], entry["high"], entry.get("step"), entry.get("log", False)
    _check_value(spec, low)
    _check_value(spec, high)
    if low > high:
        raise InputError(f"low must not exceed high, got {low!r} and {high!r}")
    if not isinstance(log, bool) or (log and step is not None):
        raise InputError(f"log is true or false and excludes step, got {dict(entry)!r}")
    if spec.is_whole:
        step = 1 if step is None else step
        if isinstance(step, bool) or not isinstance(step, int) or step < 1:
            raise InputError(f"step must be a whole number of at least 1, got {step!r}")
        return IntDistribution(low, high - (high - low) % step, step=step, log=log)
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float) or not step > 0):
        raise InputError(f"step must be a positive number, got {step!r}")
    if step is not None:
        high = round(low + int((high - low) / step + 1e-9) * step, 12)
    return FloatDistribution(float(low), float(high), step=step, log=log)


def _check_value(spec: Hyperparameter, value: Any) -> None:
    if (fault := spec.fault(value)) is not None:
        raise InputError(fault)
