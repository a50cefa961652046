"""How formulas read a student: its numbers by name, whatever stands for a number."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.students._hyperparameter import Divides
from avatar_optuna.students._precision import FULL_PRECISION, PRECISION

if TYPE_CHECKING:
    from avatar_optuna.students._family import StudentFamily


class Reading:
    """One student, or many at once, as the formulas of its family read it.

    Attributes are the hyperparameters, the quotients and the derived quantities of the family; each is an int, a float,
    an array, an interval or a Z3 term, as the reading gives. `Any` is meant: they share arithmetic, not a type.
    """

    family: StudentFamily

    def value(self, name: str) -> Any:
        """A hyperparameter."""
        raise NotImplementedError

    def place(self, name: str) -> Any:
        """The place of a category among its choices, a whole number from 0."""
        raise NotImplementedError

    def is_category(self, name: str, value: str) -> Any:
        """Whether a category has this value: a bool, an array of bools or a term; it multiplies like 1 or 0."""
        raise NotImplementedError

    def flag(self, name: str, value: str) -> Any:
        """The same as a number: 1 or 0."""
        raise NotImplementedError

    def select(self, name: str, cases: Mapping[str, Callable[[], Any]]) -> Any:
        """The number of the case that a category has, of one case for each of its values."""
        present = [value for value in cases if np.any(self.is_category(name, value))]
        return sum(self.flag(name, value) * cases[value]() for value in present or cases)

    def quotient(self, rule: Divides) -> Any:
        """The dividend of a rule over its divisor, a whole number."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("family", "values"):  # before these are set there is nothing to read
            raise AttributeError(name)
        family = self.family
        if name in family.by_name:
            return self.value(name)
        if name in family.derived:
            return family.derived[name](self)
        if name in family.quotients:
            return self.quotient(family.quotients[name])
        raise AttributeError(f"a student of the family {family.name} has no {name}")


class UncheckedConfiguration(Reading):
    """Values of a family's hyperparameters that need not make a student. It cannot be changed.

    Args:
        family: Whose hyperparameters they are.
        values: One for each hyperparameter, in any order; those that a space may omit may be missing.

    Raises:
        InputError: A name is missing or unknown.
    """

    __slots__ = ("family", "values")
    values: Mapping[str, Any]

    def __init__(self, family: StudentFamily, values: Mapping[str, Any]) -> None:
        names, values = family.names, {**family.omitted, **values}
        if len(values) != len(names) or any(name not in values for name in names):
            missing = [name for name in names if name not in values]
            unknown = [name for name in values if name not in names]
            raise InputError(
                f"hyperparameters must be exactly the {len(names)} of {family.name}: missing {missing}, "
                f"unknown {unknown}"
            )
        object.__setattr__(self, "family", family)
        object.__setattr__(self, "values", MappingProxyType({name: values[name] for name in names}))

    def value(self, name: str) -> Any:
        return self.values[name]

    def place(self, name: str) -> int:
        return self.family.by_name[name].choices.index(self.values[name])

    def is_category(self, name: str, value: str) -> bool:
        return bool(self.values[name] == value)

    def flag(self, name: str, value: str) -> int:
        return int(self.values[name] == value)

    def select(self, name: str, cases: Mapping[str, Callable[[], Any]]) -> Any:
        return cases[self.values[name]]()

    def quotient(self, rule: Divides) -> int:
        """Rounded down where the divisor does not divide, but at least 1."""
        return int(max(self.values[rule.dividend] // self.values[rule.divisor], 1))

    @property
    def precision_on_disk(self) -> str:
        """Of the weights once they are written; a family without the hyperparameter knows float32 alone."""
        return str(self.values.get(PRECISION.name, FULL_PRECISION))

    @property
    def shown(self) -> dict[str, Any]:
        """The family and all values by name, as people are shown them."""
        return {"family": self.family.name, **self.values, PRECISION.name: self.precision_on_disk}

    def to_dict(self) -> dict[str, Any]:
        """The values by name as they are stored: without those that are what a space that omits them gives."""
        omitted = self.family.omitted
        return {name: value for name, value in self.values.items() if omitted.get(name) != value}

    def replace(self, **values: Any) -> Any:
        """The same with other values under the names given."""
        return type(self)(self.family, {**self.values, **values})

    def __setattr__(self, name: str, value: object) -> None:
        raise FrozenInstanceError(f"a configuration cannot be changed: {name}")

    def __delattr__(self, name: str) -> None:
        raise FrozenInstanceError(f"a configuration cannot be changed: {name}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, UncheckedConfiguration):
            return NotImplemented
        return self.family is other.family and self.values == other.values

    def __hash__(self) -> int:
        return hash((self.family.name, tuple(self.values.values())))

    def __repr__(self) -> str:
        return f"{self.family.name}({', '.join(f'{name}={value!r}' for name, value in self.to_dict().items())})"

    def __copy__(self) -> UncheckedConfiguration:
        return self

    def __deepcopy__(self, memo: object) -> UncheckedConfiguration:
        return self


class Configuration(UncheckedConfiguration):
    """One student's choices; it refuses to exist if no student could be built from them.

    The ranges of a particular study are the business of `avatar_optuna.space`, not of this class.

    Raises:
        InputError: A name is missing or unknown, a value is one that no student can have, or one number does not
            divide another that it must divide.
    """

    __slots__ = ()

    def __init__(self, family: StudentFamily, values: Mapping[str, Any]) -> None:
        super().__init__(family, values)
        values = self.values
        for spec in family.hyperparameters:
            if (fault := spec.fault(values[spec.name])) is not None:
                raise InputError(f"{spec.name} {fault}")
        for rule in family.divides:
            dividend, divisor = values[rule.dividend], values[rule.divisor]
            if dividend % divisor:
                raise InputError(f"{rule.divisor} must divide {rule.dividend}, got {divisor} and {dividend}")
