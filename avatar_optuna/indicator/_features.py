"""The columns of the regression: what it sees of a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.configurations import ConfigurationTable, Lattice
from avatar_optuna.space import SearchSpace

Array = npt.NDArray[np.float64]

_CATEGORY_SCALE = 2.0  # a category is told from half the others by chance alone: it is believed later than a size


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One column of the regression.

    Args:
        name: Of the hyperparameter.
        category: The value whose presence it tells, or None for a number.
        centre: Taken off.
        scale: Divided by.
        degree: Power that the scaled number is raised to.
    """

    name: str
    category: str | None
    centre: float
    scale: float
    degree: int = 1

    def of(self, columns: ConfigurationTable) -> Array:
        """Its values; shape (n,)."""
        raw = getattr(columns, self.name)
        if self.category is not None:
            values = (raw == self.category).astype(np.float64)
        else:
            values = _scaled(raw, columns.family.by_name[self.name].is_logarithmic)
        return np.asarray(((values - self.centre) / self.scale) ** self.degree)


def features_of(space: SearchSpace) -> tuple[Feature, ...]:
    """One feature a number that varies (two where it is curved), one a category value, scaled by the space's spread."""
    lattice = Lattice(space)
    features: list[Feature] = []
    for spec, axis in zip(space.hyperparameters, lattice.axes, strict=True):
        name = spec.name
        if spec.is_category:
            share = 1 / len(axis)
            features += [
                Feature(name=name, category=str(value), centre=share, scale=_CATEGORY_SCALE)
                for value in axis
                if len(axis) > 1
            ]
        else:
            values = _scaled(axis, spec.is_logarithmic)
            span = float(values.max() - values.min())
            if span > 0:
                centre = float(values.max() + values.min()) / 2
                degrees = (1, 2) if spec.is_curved else (1,)
                features += [
                    Feature(name=name, category=None, centre=centre, scale=span / 2, degree=degree)
                    for degree in degrees
                ]
    return tuple(features)


def matrix_of(features: Sequence[Feature], columns: ConfigurationTable) -> Array:
    """The features of configurations; shape (configurations, features)."""
    if not features:
        return np.zeros((len(columns), 0))
    return np.stack([feature.of(columns) for feature in features], axis=1)


def _scaled(values: npt.NDArray[Any], is_logarithmic: bool) -> Array:
    return np.asarray(np.log2(np.maximum(values, 1e-12)) if is_logarithmic else values.astype(np.float64))
