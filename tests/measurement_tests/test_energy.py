"""Energy comes from counters: exactly what they recorded, or nothing."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from avatar_optuna.measurement import open_counter
from avatar_optuna.measurement._energy import RaplCounter, measure_energy
from avatar_optuna.testing.counters import ReplayedCounter


class Clock:
    """Moves by a second each time a pass is run, and as long as it is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float = 1.0) -> None:
        self.now += seconds


def test_a_replayed_counter_gives_exactly_what_it_recorded() -> None:
    clock = Clock()
    counter = ReplayedCounter([100.0, 120.0, 120.0, 270.0])  # 20 J in 2 s idle, 150 J in 5 passes of 1 s
    energy = measure_energy(clock.advance, counter, window_s=5.0, idle_s=2.0, clock=clock, sleep=clock.advance)
    assert energy is not None
    assert asdict(energy) == {
        "joules": 20.0,  # 150 J less 5 s at 10 W, over 5 passes
        "idle_watts": 10.0,
        "gross_joules": 30.0,
        "passes": 5,
        "window_s": 5.0,
        "source": "replayed",
    }


@pytest.mark.parametrize("readings", [[], [1.0], [1.0, 2.0, 3.0]])
def test_an_unreadable_counter_never_yields_a_number(readings: list[float]) -> None:
    clock = Clock()
    counter = ReplayedCounter(readings)
    assert measure_energy(clock.advance, counter, clock=clock, sleep=clock.advance) is None


def _zone(root: Path, name: str, energy_uj: int) -> Path:
    zone = root / name
    zone.mkdir(parents=True)
    (zone / "max_energy_range_uj").write_text("1000000\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    return zone


def test_rapl_sums_packages_and_undoes_the_wrap_around(tmp_path: Path) -> None:
    first = _zone(tmp_path, "intel-rapl:0", 900_000)
    second = _zone(tmp_path, "intel-rapl:1", 100_000)
    _zone(tmp_path, "intel-rapl:0:0", 5)  # a part of the first package, not to be counted twice
    counter = RaplCounter(tmp_path)
    (first / "energy_uj").write_text("100000")
    (second / "energy_uj").write_text("400000")
    assert counter.read_j() == pytest.approx(0.2 + 0.3)
    (first / "energy_uj").write_text("150000")
    assert counter.read_j() == pytest.approx(0.55)


def test_a_machine_without_counters_has_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="shows no energy counter"):
        RaplCounter(tmp_path)
    if not torch.cuda.is_available():
        assert open_counter("cuda:0") is None
