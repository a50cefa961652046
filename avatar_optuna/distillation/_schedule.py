"""Learning rate and averaging of a training, as pure functions of the step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a step takes from its number alone.

    Args:
        steps_per_epoch: Of which an average of weights looks back over one.
        steps: Of the whole training, also where it is to end sooner.
        highest_rate: The learning rate at the end of the warm-up.
        warmup_ratio: Share of all steps in which the rate climbs.
    """

    steps_per_epoch: int
    steps: int
    highest_rate: float
    warmup_ratio: float

    def rate_at(self, step: int) -> float:
        """Learning rate: a linear climb, then a linear fall to 0."""
        warmup = max(1, round(self.warmup_ratio * self.steps))
        share = min((step + 1) / warmup, max(0.0, (self.steps - step) / max(1, self.steps - warmup)))
        return self.highest_rate * share

    def weight_at(self, step: int) -> float:
        """Weight of the new parameters in their average: early on it looks back over few steps, later over an epoch."""
        return 1.0 - min(1.0 - 1.0 / (1.0 + self.steps_per_epoch), (1.0 + step) / (10.0 + step))
