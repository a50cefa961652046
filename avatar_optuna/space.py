"""The search space: the thirteen hyperparameters as Optuna distributions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from avatar_optuna.exceptions import InputError
from avatar_optuna.hyperparameters import (
    ACTIVATIONS,
    CATEGORIES,
    INTEGERS,
    NAMES,
    POSITION_EMBEDDING_TYPES,
    TOKENIZERS,
    Hyperparameters,
)

PAPER_DISTRIBUTIONS: Mapping[str, BaseDistribution] = MappingProxyType(
    {
        "tokenizer": CategoricalDistribution(TOKENIZERS),
        "vocab_size": IntDistribution(1_000, 50_265),
        "num_hidden_layers": IntDistribution(1, 12),
        "hidden_size": IntDistribution(16, 768),
        "hidden_act": CategoricalDistribution(ACTIVATIONS),
        "hidden_dropout_prob": FloatDistribution(0.2, 0.5, step=0.1),
        "intermediate_size": IntDistribution(16, 3_072),
        "num_attention_heads": IntDistribution(1, 12),
        "attention_probs_dropout_prob": FloatDistribution(0.2, 0.5, step=0.1),
        "max_sequence_length": IntDistribution(256, 512),
        "position_embedding_type": CategoricalDistribution(POSITION_EMBEDDING_TYPES),
        "learning_rate": CategoricalDistribution((1e-3, 1e-4, 5e-5)),
        "batch_size": CategoricalDistribution((16, 32, 64)),
    }
)
"""Table 1 of the paper."""

# The most that a student could sensibly have; a study file may widen the paper's ranges up to these.
_LIMITS: Mapping[str, tuple[float, float]] = MappingProxyType(
    {
        "vocab_size": (16, 1_000_000),
        "num_hidden_layers": (1, 96),
        "hidden_size": (1, 16_384),
        "intermediate_size": (1, 65_536),
        "num_attention_heads": (1, 256),
        "max_sequence_length": (4, 32_768),
        "batch_size": (1, 65_536),
        "hidden_dropout_prob": (0.0, 0.99),
        "attention_probs_dropout_prob": (0.0, 0.99),
        "learning_rate": (1e-8, 1.0),
    }
)


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The thirteen names and their distributions.

    Args:
        distributions: One distribution for each hyperparameter.

    Raises:
        InputError: A name is missing or unknown.
    """

    distributions: Mapping[str, BaseDistribution]

    def __post_init__(self) -> None:
        if set(self.distributions) != set(NAMES):
            missing = sorted(set(NAMES) - set(self.distributions))
            unknown = sorted(set(self.distributions) - set(NAMES))
            raise InputError(f"a space holds exactly the 13 hyperparameters: missing {missing}, unknown {unknown}")
        ordered = {name: self.distributions[name] for name in NAMES}
        object.__setattr__(self, "distributions", MappingProxyType(ordered))

    @classmethod
    def paper(cls) -> SearchSpace:
        """The space of the paper."""
        return cls(distributions=PAPER_DISTRIBUTIONS)

    @classmethod
    def from_mapping(cls, entries: Mapping[str, Any]) -> SearchSpace:
        """The paper's space with some hyperparameters narrowed or widened, as a study file writes them.

        An entry is a single value, a list of values, or a table with `low`, `high` and optionally `step` or `log`.

        Raises:
            InputError: All faults of all entries, separated by "; ".
        """
        distributions = dict(PAPER_DISTRIBUTIONS)
        faults = []
        for name, entry in entries.items():
            try:
                distributions[name] = _parse_entry(name, entry)
            except InputError as error:
                faults.append(str(error))
        if faults:
            raise InputError("; ".join(faults))
        return cls(distributions=distributions)

    def replace(self, **distributions: BaseDistribution) -> SearchSpace:
        """This space with other distributions under the names given."""
        return replace(self, distributions={**self.distributions, **distributions})

    def suggest(self, trial: optuna.trial.BaseTrial) -> dict[str, Any]:
        """Draw all thirteen from a trial, as plain values (they may not be feasible together)."""
        return {name: _suggest(trial, name, dist) for name, dist in self.distributions.items()}

    def contains(self, hyperparameters: Hyperparameters) -> bool:
        """Whether every value lies in its distribution."""
        return all(contains_value(dist, getattr(hyperparameters, name)) for name, dist in self.distributions.items())

    def num_configurations(self) -> int | None:
        """How many configurations the space holds; None where a range is continuous."""
        total = 1
        for dist in self.distributions.values():
            size = _num_values(dist)
            if size is None:
                return None
            total *= size
        return total


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


def _num_values(distribution: BaseDistribution) -> int | None:
    try:
        return len(values_of(distribution))
    except ValueError:
        return None


def _suggest(trial: optuna.trial.BaseTrial, name: str, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    if isinstance(distribution, FloatDistribution):
        return trial.suggest_float(
            name, distribution.low, distribution.high, step=distribution.step, log=distribution.log
        )
    assert isinstance(distribution, CategoricalDistribution)
    return trial.suggest_categorical(name, distribution.choices)


def _parse_entry(name: str, entry: Any) -> BaseDistribution:
    if name not in NAMES:
        raise InputError(f"space.{name}: unknown hyperparameter, expected one of {', '.join(NAMES)}")
    if isinstance(entry, Mapping):
        return _parse_range(name, entry)
    values = entry if isinstance(entry, list | tuple) else [entry]
    return _parse_list(name, list(values))


def _parse_list(name: str, values: list[Any]) -> BaseDistribution:
    if not values:
        raise InputError(f"space.{name}: a list needs at least one value, got []")
    for value in values:
        _check_value(name, value)
    if len(set(values)) < len(values):
        raise InputError(f"space.{name}: a list may not repeat a value, got {values!r}")
    return CategoricalDistribution(tuple(values))


def _parse_range(name: str, entry: Mapping[str, Any]) -> BaseDistribution:
    if name in CATEGORIES:
        raise InputError(f"space.{name}: categories take a list, got the range {dict(entry)!r}")
    unknown = sorted(set(entry) - {"low", "high", "step", "log"})
    if unknown or not {"low", "high"} <= set(entry):
        raise InputError(f"space.{name}: a range has low, high and optionally step or log, got {dict(entry)!r}")
    low, high, step, log = entry["low"], entry["high"], entry.get("step"), entry.get("log", False)
    _check_value(name, low)
    _check_value(name, high)
    if low > high:
        raise InputError(f"space.{name}: low must not exceed high, got {low!r} and {high!r}")
    if not isinstance(log, bool) or (log and step is not None):
        raise InputError(f"space.{name}: log is true or false and excludes step, got {dict(entry)!r}")
    if name in INTEGERS:
        step = 1 if step is None else step
        if isinstance(step, bool) or not isinstance(step, int) or step < 1:
            raise InputError(f"space.{name}: step must be a whole number of at least 1, got {step!r}")
        return IntDistribution(low, high - (high - low) % step, step=step, log=log)
    if step is not None and (isinstance(step, bool) or not isinstance(step, int | float) or not step > 0):
        raise InputError(f"space.{name}: step must be a positive number, got {step!r}")
    if step is not None:
        high = round(low + int((high - low) / step + 1e-9) * step, 12)
    return FloatDistribution(float(low), float(high), step=step, log=log)


def _check_value(name: str, value: Any) -> None:
    if name in CATEGORIES:
        if value not in CATEGORIES[name]:
            raise InputError(f"space.{name}: must be one of {', '.join(CATEGORIES[name])}, got {value!r}")
        return
    kind, kinds = ("a whole number", (int,)) if name in INTEGERS else ("a number", (int, float))
    if isinstance(value, bool) or not isinstance(value, kinds):
        raise InputError(f"space.{name}: must be {kind}, got {value!r}")
    low, high = _LIMITS[name]
    if not low <= value <= high:
        raise InputError(f"space.{name}: must lie in [{low:g}, {high:g}], got {value!r}")
