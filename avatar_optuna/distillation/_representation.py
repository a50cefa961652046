"""Learning a teacher's vectors of functions: the projection that is trained beside a student, and the loss."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avatar_optuna.distillation._randomness import seed_of, seeded
from avatar_optuna.distillation._recipe import Examples

_PROJECTION_SEED = 2  # beside those of order and reading


def new_projection(network: Any, train: Examples, size: int, *, seed: int) -> nn.Linear:
    """An untrained linear layer from a network's vectors (n, k) to vectors (n, size), on the network's device.

    Its weights are a function of the seed. They are drawn on the CPU, so that they are the same on every device.
    """
    network.eval()
    with torch.no_grad():
        vectors = network.encode(*train.tokens.batch(np.array([0])))  # (1, k)
    with seeded(seed_of(seed, _PROJECTION_SEED)):
        projection = nn.Linear(vectors.shape[1], size)
    return projection.to(vectors.device)


def representation_loss(projected: Tensor, teacher: Tensor) -> Tensor:
    """One less the cosine of each projected vector and the teacher's, in the mean of functions: a scalar from 0 to 2.

    It is half the squared distance of the vectors brought to length 1. The lengths of the teacher's are not learnt.

    Args:
        projected: The student's vectors of functions, projected, shape (n, size).
        teacher: The teacher's vectors of the same functions, shape (n, size).
    """
    return (1.0 - functional.cosine_similarity(projected.float(), teacher.float(), dim=-1)).mean()
