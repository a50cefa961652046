"""How children come from parents, on the lattice of codes."""

from __future__ import annotations

import numpy as np

from avatar_optuna.configurations import Codes, Lattice


def crossed(first: Codes, second: Codes, lattice: Lattice, rng: np.random.Generator) -> Codes:
    """Each value from either parent; half of the numbers from a blend of both that may reach a little beyond.

    Args:
        first, second: Shape (n, hyperparameters).
        lattice: Tells numbers from categories.
        rng: Draws.

    Returns:
        Shape (n, hyperparameters), not clipped to the lattice.
    """
    shape = first.shape
    picked = np.where(rng.random(shape) < 0.5, first, second)
    weight = rng.uniform(-0.1, 1.1, size=shape)
    blended = np.rint(first + weight * (second - first)).astype(np.int64)
    return np.where(lattice.is_numeric & (rng.random(shape) < 0.5), blended, picked)


def mutated(codes: Codes, lattice: Lattice, rng: np.random.Generator, *, boldness: float = 1.0) -> Codes:
    """About two values a child changed: numbers by a step whose size is drawn in the logarithm, categories anew.

    Args:
        codes: Shape (n, hyperparameters).
        lattice: Gives the number of values of each hyperparameter.
        rng: Draws.
        boldness: Factor on the chance of a change.

    Returns:
        Shape (n, hyperparameters), on the lattice.
    """
    changes = rng.random(codes.shape) < np.minimum(2.0 * boldness / codes.shape[1], 0.9)
    sizes = lattice.sizes
    reach = sizes ** rng.uniform(-0.2, 1.0, size=codes.shape)
    steps = np.rint(rng.standard_normal(codes.shape) * 0.5 * np.maximum(reach, 1.0)).astype(np.int64)
    steps = np.where(steps == 0, np.where(rng.random(codes.shape) < 0.5, -1, 1), steps)
    redrawn = rng.integers(0, sizes, size=codes.shape)
    moved = np.where(lattice.is_numeric, codes + steps, redrawn)
    result: Codes = np.clip(np.where(changes, moved, codes), 0, sizes - 1)
    return result
