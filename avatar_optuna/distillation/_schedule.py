"""Learning rate and averaging of a training, as pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from avatar_optuna.distillation._recipe import EpochRecord


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a step takes from its number alone.

    Args:
        steps_per_epoch: Of which an average of weights looks back over one.
        steps: Of the whole training, also where it is to end sooner.
        highest_rate: The learning rate at the end of the warm-up.
        warmup_ratio: Share of all steps in which the rate climbs.
        cooling: First step of a fall that ends the training sooner, and how many steps it takes; None: there is none.
    """

    steps_per_epoch: int
    steps: int
    highest_rate: float
    warmup_ratio: float
    cooling: tuple[int, int] | None = None

    def cooled(self, epoch: int, epochs: int) -> Schedule:
        """The same until so many epochs are done; then the rate falls to 0 in so many more."""
        return replace(self, cooling=(epoch * self.steps_per_epoch, epochs * self.steps_per_epoch))

    def rate_at(self, step: int) -> float:
        """Learning rate: a linear climb, then a linear fall to 0, steeper from where it cools."""
        if self.cooling is None or step < self.cooling[0]:
            return self._planned_rate_at(step)
        first, steps = self.cooling
        return min(self._planned_rate_at(step), self._planned_rate_at(first) * max(0.0, 1 - (step - first) / steps))

    def _planned_rate_at(self, step: int) -> float:
        warmup = max(1, round(self.warmup_ratio * self.steps))
        share = min((step + 1) / warmup, max(0.0, (self.steps - step) / max(1, self.steps - warmup)))
        return self.highest_rate * share

    def weight_at(self, step: int) -> float:
        """Weight of the new parameters in their average: early on it looks back over few steps, later over an epoch."""
        return 1.0 - min(1.0 - 1.0 / (1.0 + self.steps_per_epoch), (1.0 + step) / (10.0 + step))


def cooling(
    history: Sequence[EpochRecord], *, patience: int, num_inputs: int, num_labels: int
) -> tuple[int, int] | None:
    """When a training runs out of patience, as a pure function of its epochs: a resumed one goes on as it would have.

    Never before the best epoch is two standard errors above chance: a network has not begun to learn by then.

    Args:
        history: Its epochs so far.
        patience: Epochs without a better one.
        num_inputs: Of the validation split.
        num_labels: That occur in it.

    Returns:
        The epochs that were done by then, and those in which the learning rate falls to 0, half as many; or None.
    """
    above_chance = 1 / num_labels + 2 * math.sqrt(num_labels - 1) / num_labels / math.sqrt(num_inputs)
    best = 0
    for done, record in enumerate(history, start=1):
        best = done if record.is_best else best
        has_learnt = history[best - 1].valid["balanced_accuracy"] > above_chance
        if has_learnt and done - best >= patience:
            return done, math.ceil(done / 2)
    return None
