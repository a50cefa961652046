"""Devices as people write them."""

from __future__ import annotations

import os

import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.pool import parse_devices

CORES = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _four_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6f,7")


def test_a_slot_sees_only_its_device() -> None:
    one, other = parse_devices("cuda:1,cuda:2")
    assert (one.name, one.device, one.environment["CUDA_VISIBLE_DEVICES"]) == ("cuda:1", "cuda:0", "5")
    assert (other.name, other.device, other.environment["CUDA_VISIBLE_DEVICES"]) == ("cuda:2", "cuda:0", "GPU-6f")
    (cpu,) = parse_devices("cpu")
    assert (cpu.device, cpu.threads, cpu.environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", CORES, "")


def test_several_slots_on_one_device() -> None:
    assert [slot.name for slot in parse_devices("cuda:0*2,cpu*1")] == ["cuda:0", "cuda:0", "cpu"]
    assert [slot.name for slot in parse_devices("auto")] == [f"cuda:{index}" for index in range(4)]
    assert [slot.name for slot in parse_devices("cuda:0,cuda:1", workers=3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert len(parse_devices("cpu", workers=0)) == 0


def test_slots_of_a_gpu_share_its_memory() -> None:
    slots = parse_devices("cuda:0*4,cuda:1,cpu")
    assert [slot.memory_share for slot in slots] == [0.25] * 4 + [1.0, 1.0]


def test_processor_cores_are_split() -> None:
    slots = parse_devices("cpu", workers=2)
    assert [slot.threads for slot in slots] == [max(1, CORES // 2)] * 2
    assert slots[0].environment["OMP_NUM_THREADS"] == str(max(1, CORES // 2))


def test_auto_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [slot.name for slot in parse_devices("auto")] == ["cpu"]
    with pytest.raises(InputError, match="no CUDA device, got cuda:0"):
        parse_devices("cuda")


@pytest.mark.parametrize("devices", ["gpu", "", "cuda:x", "cuda:0*0", "auto,cpu", "cpu:1", "cuda:4"])
def test_other_words_are_refused(devices: str) -> None:
    with pytest.raises(InputError, match="devices must be"):
        parse_devices(devices)
