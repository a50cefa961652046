"""The memory of a GPU that several processes share: each keeps to its share, and what does not fit is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from avatar_optuna.exceptions import AvatarError


def limit_device_memory(device: str, share: float) -> None:
    """Let this process take at most a share of a GPU's memory, above 0 and at most 1; nothing is done on a processor.

    Beyond it torch says that the memory is used up, though the device may have more: steps are then done in smaller
    chunks, and other processes keep what is theirs.
    """
    found = torch.device(device)
    if found.type == "cuda":
        index = found.index if found.index is not None else torch.cuda.current_device()
        torch.cuda.set_per_process_memory_fraction(min(share, 1.0), index)


@contextmanager
def within_device_memory(share: float) -> Iterator[None]:
    """Say in one sentence (`AvatarError`) that a GPU's memory does not hold what is computed in this block."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise AvatarError(f"a student must fit in {share:.0%} of the device's memory, it does not") from error
