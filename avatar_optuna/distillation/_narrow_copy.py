"""A copy of a network in bf16 that the steps of its training compute with, while the network itself is updated."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor


class NarrowCopy:
    """Weights and activations in bf16 throughout, so that no step casts a weight or an activation.

    Under autocast a layer of a small student casts some 35 tensors a step, nearly half of its operations; here two
    operations cast all weights and all gradients. The weights that are updated, averaged and evaluated stay the
    network's own, in float32.

    Args:
        network: In float32; its parameters are updated by gradients that `hand_over_gradients` puts there.
    """

    def __init__(self, network: Any) -> None:
        self.network = copy.deepcopy(network).to(torch.bfloat16)
        is_trained = [parameter.requires_grad for parameter in network.parameters()]
        self._wide, self._narrow = (
            [parameter for parameter, trained in zip(of.parameters(), is_trained, strict=True) if trained]
            for of in (network, self.network)
        )
        self._joining = [module for module in self.network.modules() if hasattr(module, "join")]
        for module in self._joining:
            module.join()

    @torch.no_grad()
    def refresh(self) -> None:
        """Take over the network's weights, and have no gradients."""
        torch._foreach_copy_(self._narrow, self._wide)
        for parameter in self._narrow:
            parameter.grad = None

    @torch.no_grad()
    def hand_over_gradients(self) -> None:
        """Give the network the gradients that the copy has."""
        for module in self._joining:
            module.split_gradients()
        reached = [pair for pair in zip(self._wide, self._narrow, strict=True) if pair[1].grad is not None]
        for wide, _ in reached:
            wide.grad = torch.empty_like(wide)
        narrow: list[Tensor] = [parameter.grad for _, parameter in reached if parameter.grad is not None]
        torch._foreach_copy_([wide.grad for wide, _ in reached if wide.grad is not None], narrow)
