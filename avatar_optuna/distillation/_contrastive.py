"""Learning from groups of functions that do the same: the loss, and which functions a step reads together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from avatar_optuna.distillation._batches import Indices, in_batches

TEMPERATURE = 0.05
_TOGETHER = 4  # functions of a group that a step reads together, at most
_NEIGHBOURS = 8  # parts of groups that are told apart from each other, one after the other in a step


def contrastive_loss(vectors: Tensor, groups: Tensor) -> Tensor:
    """The supervised contrastive loss of cosines (Khosla et al., 2020, `L_out`), a scalar; 0 where no two are alike.

    A function whose group is not known neither attracts nor repels.

    Args:
        vectors: Of functions, shape (n, k).
        groups: Their groups, -1 where not known, shape (n,).
    """
    unit = functional.normalize(vectors.float(), dim=-1)  # (n, k)
    is_known = groups >= 0
    is_other = ~torch.eye(len(groups), dtype=torch.bool, device=groups.device) & is_known & is_known[:, None]  # (n, n)
    is_alike = is_other & (groups == groups[:, None])
    cosines = (unit @ unit.T / TEMPERATURE).masked_fill(~is_other, -torch.inf)
    others = torch.logsumexp(torch.where(is_other.any(dim=1, keepdim=True), cosines, 0.0), dim=1, keepdim=True)
    logs = torch.where(is_alike, cosines - others, 0.0)  # (n, n)
    counts = is_alike.sum(dim=1)  # (n,)
    means = logs.sum(dim=1) / counts.clamp(min=1)
    return -means.sum() / (counts > 0).sum().clamp(min=1)


class GroupPlan:
    """Which functions each step of an epoch reads, so that it holds functions of one group and of like groups.

    Args:
        groups: The group of each function, -1 where not known, shape (functions,).
        inputs: Listed pairs of places of functions, shape (n, 2).
        labels: Their labels, shape (n,). Groups that a pair of the label 0 tells apart are like each other: whoever
            listed it took a pair that is not plainly different.
    """

    def __init__(self, groups: Indices, inputs: npt.NDArray[np.int32], labels: npt.NDArray[np.int64]) -> None:
        self.functions = np.unique(inputs)
        self.groups = groups
        apart = groups[inputs[labels == 0]]  # (m, 2)
        apart = np.unique(apart[(apart >= 0).all(axis=1) & (apart[:, 0] != apart[:, 1])], axis=0)
        both = np.concatenate([apart, apart[:, ::-1]])
        both = both[np.argsort(both[:, 0], kind="stable")]
        self.starts = np.searchsorted(both[:, 0], np.arange(groups.max(initial=-1) + 2))
        self.neighbours = both[:, 1]

    def batches(self, batch_size: int, rng: np.random.Generator) -> list[Indices]:
        """Every listed function once, at most about `batch_size` at a time.

        Groups come in parts of four functions; after a part comes one of a group that is told apart from its own, up
        to eight times. Functions alone in their group follow.

        Returns:
            Places of functions, one array a step.
        """
        parts = self._parts(rng)
        of_group: dict[int, list[int]] = {}
        for number, part in enumerate(parts):
            of_group.setdefault(int(self.groups[part[0]]), []).append(number)
        order: list[Indices] = []
        for number in rng.permutation(len(parts)).tolist():
            group = int(self.groups[parts[number][0]])
            if number not in of_group.get(group, ()):
                continue
            of_group[group].remove(number)
            order.append(parts[number])
            for _ in range(_NEIGHBOURS - 1):
                near = self.neighbours[self.starts[group] : self.starts[group + 1]]
                free = [one for one in near.tolist() if of_group.get(one)]
                if not free:
                    break
                group = free[int(rng.integers(len(free)))]
                order.append(parts[of_group[group].pop()])
        taken = np.concatenate(order) if order else np.empty(0, dtype=np.int64)
        rest = rng.permutation(np.setdiff1d(self.functions, taken))
        return in_batches(np.concatenate([taken, rest]), max(2, batch_size))

    def _parts(self, rng: np.random.Generator) -> list[Indices]:
        """Parts of groups of two functions or more; a last part of one function is joined to the one before."""
        shuffled = rng.permutation(self.functions)
        known = shuffled[self.groups[shuffled] >= 0]
        known = known[np.argsort(self.groups[known], kind="stable")]
        _, starts = np.unique(self.groups[known], return_index=True)
        return [
            part
            for members in np.split(known, starts[1:])
            if len(members) > 1
            for part in in_batches(members, _TOGETHER)
        ]
