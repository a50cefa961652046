"""How children come from parents, on the lattice of codes."""

from __future__ import annotations

import numpy as np

from avatar_optuna.configurations import Codes, is_numeric
from avatar_optuna.hyperparameters import NAMES

_NUMERIC = np.asarray([is_numeric(name) for name in NAMES])


def crossed(first: Codes, second: Codes, rng: np.random.Generator) -> Codes:
    """Each value from either parent; half of the numbers from a blend of both that may reach a little beyond.

    Args:
        first, second: Shape (n, 13).

    Returns:
        Shape (n, 13), not clipped to the lattice.
    """
    shape = first.shape
    picked = np.where(rng.random(shape) < 0.5, first, second)
    weight = rng.uniform(-0.1, 1.1, size=shape)
    blended = np.rint(first + weight * (second - first)).astype(np.int64)
    return np.where(_NUMERIC & (rng.random(shape) < 0.5), blended, picked)


def mutated(codes: Codes, sizes: Codes, rng: np.random.Generator, *, boldness: float = 1.0) -> Codes:
    """About two values a child changed: numbers by a step whose size is drawn in the logarithm, categories anew.

    Args:
        codes: Shape (n, 13).
        sizes: Shape (13,): number of values of each hyperparameter.
        rng: Draws.
        boldness: Factor on the chance of a change.

    Returns:
        Shape (n, 13), on the lattice.
    """
    changes = rng.random(codes.shape) < np.minimum(2.0 * boldness / len(NAMES), 0.9)
    reach = sizes ** rng.uniform(-0.2, 1.0, size=codes.shape)
    steps = np.rint(rng.standard_normal(codes.shape) * 0.5 * np.maximum(reach, 1.0)).astype(np.int64)
    steps = np.where(steps == 0, np.where(rng.random(codes.shape) < 0.5, -1, 1), steps)
    redrawn = rng.integers(0, sizes, size=codes.shape)
    moved = np.where(_NUMERIC, codes + steps, redrawn)
    result: Codes = np.clip(np.where(changes, moved, codes), 0, sizes - 1)
    return result
