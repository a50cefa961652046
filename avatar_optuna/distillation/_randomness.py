"""Random numbers of torch's default generators, drawn from seeds of ours by one thread at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_on_processor, _on_gpus = threading.RLock(), threading.RLock()


def seed_of(*entropy: int) -> int:
    """A seed of torch (63 bits) from some numbers."""
    return int(np.random.SeedSequence(list(entropy)).generate_state(1, np.uint64)[0] >> np.uint64(1))


@contextmanager
def seeded(seed: int, device: torch.device | str = "cpu") -> Iterator[None]:
    """Let random operations on a device start from a seed; its default generator is given back untouched."""
    device = torch.device(device)
    if device.type == "cuda":
        own = torch.Generator(device)
        own.manual_seed(seed)
        with drawing_from(own):
            yield
        return
    with _on_processor, torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def drawing_from(generator: torch.Generator) -> Iterator[None]:
    """Let random operations on a GPU, captured ones too, draw from this generator in place of the default one.

    A captured graph keeps drawing from it, whatever the default generator is when the graph is replayed.
    """
    with _on_gpus:
        index = generator.device.index or 0
        torch.cuda.init()
        default = torch.cuda.default_generators[index]
        before = default.graphsafe_get_state()
        default.graphsafe_set_state(generator)
        try:
            yield
        finally:
            default.graphsafe_set_state(before)
