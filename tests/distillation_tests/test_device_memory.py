"""A process keeps to its share of a GPU's memory, and says so where a student does not fit."""

from __future__ import annotations

import pytest
import torch

from avatar_optuna.distillation import limit_device_memory, within_device_memory
from avatar_optuna.exceptions import AvatarError

GIB = 2**30


def test_memory_that_is_used_up_is_said_in_one_sentence() -> None:
    with pytest.raises(AvatarError) as caught, within_device_memory(0.25):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 4.00 GiB. GPU 0 has a capacity of ...")
    assert str(caught.value) == "a student must fit in 25% of the device's memory, it does not"


def test_a_processor_has_no_share() -> None:
    limit_device_memory("cpu", 0.001)
    torch.zeros(2**20)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="it needs a CUDA device")
@pytest.mark.parametrize("device", ["cuda:0", "cuda"])
def test_a_process_takes_no_more_than_its_share(device: str) -> None:
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    limit_device_memory(device, 2 * GIB / total)
    try:
        torch.empty(GIB, dtype=torch.uint8, device=device)
        with pytest.raises(AvatarError, match="must fit in"), within_device_memory(2 * GIB / total):
            torch.empty(4 * GIB, dtype=torch.uint8, device=device)
    finally:
        limit_device_memory("cuda:0", 1.0)
