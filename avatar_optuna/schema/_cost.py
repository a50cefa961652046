"""What a study itself took, and when a student has paid it back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avatar_optuna.codec import Stored

PHASES = ("teacher", "calibration", "samples", "search", "distillation", "audit", "comparison")
"""What a run does, in its order, as its cost is kept."""


@dataclass(frozen=True, kw_only=True)
class PhaseCost:
    """What one phase of a study took, over all runs of the study.

    Args:
        seconds: Time of the processes that worked on it: of jobs the sum, though workers did them side by side.
        energy_j: Joules that the device's counter counted meanwhile, idle power and other work included; None where
            no counter could be read, or the workers were elsewhere.
        energy_source: The counter: "nvml" or "rapl".
        jobs: Distillation jobs that were done, 0 for other phases.
    """

    seconds: float
    energy_j: float | None = None
    energy_source: str | None = None
    jobs: int = 0


@dataclass(frozen=True, kw_only=True)
class StudyCost(Stored):
    """What a study took, phase by phase; what was not done yet is not there.

    Args:
        phases: By names of `PHASES`.
    """

    phases: Mapping[str, PhaseCost]

    @property
    def seconds(self) -> float:
        """Of all phases."""
        return sum(phase.seconds for phase in self.phases.values())

    @property
    def energy_j(self) -> float | None:
        """Of all phases; None where any of them was not counted."""
        joules = [phase.energy_j for phase in self.phases.values()]
        counted = [value for value in joules if value is not None]
        return sum(counted) if counted and len(counted) == len(joules) else None

    def inferences_to_repay_time(self, saved_ms: float) -> int | None:
        """After how many inferences the time is saved again.

        Args:
            saved_ms: What the student saves at each inference, in milliseconds.

        Returns:
            None where it saves nothing.
        """
        return math.ceil(self.seconds * 1000 / saved_ms) if saved_ms > 0 else None

    def inferences_to_repay_energy(self, saved_j: float) -> int | None:
        """The same of the energy, in joules; None also where the study's energy was not counted."""
        spent = self.energy_j
        return math.ceil(spent / saved_j) if spent is not None and saved_j > 0 else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: by phase."""
        phases = super().to_dict()["phases"]
        return {name: phases[name] for name in PHASES if name in phases}

    @classmethod
    def _upgraded(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"phases": {name: values[name] for name in PHASES if name in values}}


@dataclass(frozen=True, kw_only=True)
class EstimatedPower(Stored):
    """An assumption about a device without a counter: an estimate from it is time in disguise, and shown as such.

    Args:
        watts: Assumed while it computes.
        assumption: Where that comes from, as a sentence.
        source: What assumed it.
    """

    watts: float
    assumption: str
    source: str

    def joules(self, seconds: float) -> float:
        """What the assumption makes of a time."""
        return self.watts * seconds
