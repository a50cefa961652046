"""Many configurations at once: columns of values, and the lattice of codes that the search moves on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import FloatDistribution, IntDistribution

from avatar_optuna.hyperparameters import CATEGORIES, INTEGERS, NAMES, POSITION_EMBEDDING_TYPES, Hyperparameters
from avatar_optuna.space import SearchSpace, values_of

CONTINUOUS_STEPS = 1_000
"""Steps into which a range without a step of its own is cut."""

Codes = npt.NDArray[np.int64]
"""Shape (configurations, 13): the index of each value among the values of its distribution."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ConfigurationTable:
    """Configurations by hyperparameter: arrays of one length, read like one `Hyperparameters`.

    Args:
        values: The thirteen names; whole numbers int64, real numbers float64, categories arrays of text.
    """

    values: Mapping[str, npt.NDArray[Any]]

    def __len__(self) -> int:
        return len(self.values["vocab_size"])

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        if name in NAMES:
            return np.asarray(self.values[name])
        raise AttributeError(name)

    @property
    def head_size(self) -> npt.NDArray[Any]:
        """Width of a head, rounded down where the heads do not divide the width."""
        size: npt.NDArray[Any] = self.values["hidden_size"] // self.values["num_attention_heads"]
        return size

    @property
    def has_absolute_positions(self) -> npt.NDArray[Any]:
        """1 or 0."""
        return np.asarray(self.values["position_embedding_type"] == "absolute", dtype=np.int64)

    @property
    def num_distance_products(self) -> npt.NDArray[Any]:
        """0, 1 or 2."""
        kinds = self.values["position_embedding_type"]
        return np.asarray(sum((kinds == kind) * index for index, kind in enumerate(POSITION_EMBEDDING_TYPES)))

    @classmethod
    def from_students(cls, students: Sequence[Hyperparameters]) -> ConfigurationTable:
        """Columns in the order of the students."""
        return cls(values={name: _column(name, [getattr(s, name) for s in students]) for name in NAMES})

    @classmethod
    def from_mappings(cls, configurations: Sequence[Mapping[str, Any]]) -> ConfigurationTable:
        """Columns of configurations that need not be valid students."""
        return cls(values={name: _column(name, [c[name] for c in configurations]) for name in NAMES})

    def students(self) -> list[Hyperparameters]:
        """The configurations one by one, as plain values.

        Raises:
            InputError: One is no valid student.
        """
        lists = [self.values[name].tolist() for name in NAMES]
        return [Hyperparameters(**dict(zip(NAMES, row, strict=True))) for row in zip(*lists, strict=True)]


def _column(name: str, values: Sequence[Any]) -> npt.NDArray[Any]:
    if name in CATEGORIES:
        return np.asarray(values, dtype=np.str_)
    return np.asarray(values, dtype=np.int64 if name in INTEGERS else np.float64)


class Lattice:
    """The values of each hyperparameter, numbered.

    Args:
        space: Ranges without a step are cut into `CONTINUOUS_STEPS`, evenly or in the logarithm.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.axes: list[npt.NDArray[Any]] = [_axis(name, space) for name in NAMES]
        self.sizes: Codes = np.asarray([len(axis) for axis in self.axes], dtype=np.int64)

    def decode(self, codes: Codes) -> ConfigurationTable:
        """Codes of shape (n, 13) to columns of length n."""
        return ConfigurationTable(values={name: self.axes[i][codes[:, i]] for i, name in enumerate(NAMES)})

    def encode(self, columns: ConfigurationTable) -> Codes:
        """Columns to codes, each value to the nearest one that is there (a foreign category to the first)."""
        return np.stack(
            [_nearest(axis, columns.values[name]) for name, axis in zip(NAMES, self.axes, strict=True)], axis=1
        )


def _axis(name: str, space: SearchSpace) -> npt.NDArray[Any]:
    distribution = space.distributions[name]
    if isinstance(distribution, IntDistribution):
        return np.arange(distribution.low, distribution.high + 1, distribution.step, dtype=np.int64)
    if isinstance(distribution, FloatDistribution) and distribution.step is None:
        low, high, count = distribution.low, distribution.high, CONTINUOUS_STEPS + 1
        if low == high:
            return np.asarray([low])
        axis = np.geomspace(low, high, count) if distribution.log else np.linspace(low, high, count)
        return np.clip(axis, low, high)
    values = values_of(distribution)
    return _column(name, sorted(values) if name not in CATEGORIES else values)


def _nearest(axis: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    if axis.dtype.kind == "U":
        matches = values[:, None] == axis[None, :]
        return np.asarray(matches.argmax(axis=1), dtype=np.int64)
    right = np.clip(np.searchsorted(axis, values), 0, len(axis) - 1)
    left = np.maximum(right - 1, 0)
    nearer_left = np.abs(axis[left] - values) <= np.abs(axis[right] - values)
    return np.asarray(np.where(nearer_left, left, right), dtype=np.int64)


def is_numeric(name: str) -> bool:
    """Whether values of the hyperparameter have an order that means something."""
    return name not in CATEGORIES
