"""Learning rate and averaging of a training, as pure functions of the step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from avatar_optuna.distillation._recipe import EpochRecord


@dataclass(frozen=True, kw_only=True)
class Cooldown:
    """A fall of the learning rate to 0 that ends a training sooner than planned.

    Args:
        after: Epochs that are done when it begins.
        epochs: In which the rate falls.
    """

    after: int
    epochs: int

    @property
    def end(self) -> int:
        """Epochs that are done when it ends."""
        return self.after + self.epochs


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """What a step takes from its number alone.

    Args:
        steps_per_epoch: Of which an average of weights looks back over one.
        steps: Of the whole training, also where it is to end sooner.
        highest_rate: The learning rate at the end of the warm-up.
        warmup_ratio: Share of all steps in which the rate climbs.
        cooldown: A fall that ends the training sooner, if there is one.
    """

    steps_per_epoch: int
    steps: int
    highest_rate: float
    warmup_ratio: float
    cooldown: Cooldown | None = None

    def rate_at(self, step: int) -> float:
        """Learning rate: a linear climb, then a linear fall to 0, steeper in a cool-down."""
        if self.cooldown is None or step < self.cooldown.after * self.steps_per_epoch:
            return self._planned_rate_at(step)
        first, steps = self.cooldown.after * self.steps_per_epoch, self.cooldown.epochs * self.steps_per_epoch
        return min(self._planned_rate_at(step), self._planned_rate_at(first) * max(0.0, 1 - (step - first) / steps))

    def _planned_rate_at(self, step: int) -> float:
        warmup = max(1, round(self.warmup_ratio * self.steps))
        share = min((step + 1) / warmup, max(0.0, (self.steps - step) / max(1, self.steps - warmup)))
        return self.highest_rate * share

    def weight_at(self, step: int) -> float:
        """Weight of the new parameters in their average: early on it looks back over few steps, later over an epoch."""
        return 1.0 - min(1.0 - 1.0 / (1.0 + self.steps_per_epoch), (1.0 + step) / (10.0 + step))


def cooldown_of(history: Sequence[EpochRecord], *, patience: int, num_inputs: int, num_labels: int) -> Cooldown | None:
    """The cool-down of a training that has run out of patience, half as long as what came before it.

    A pure function of the epochs, so that a resumed training goes on as it would have. Never before the best epoch is
    two standard errors above chance: a network has not begun to learn by then.

    Args:
        history: Epochs so far.
        patience: Epochs without a better one.
        num_inputs: Of the validation split.
        num_labels: That occur in it.
    """
    above_chance = 1 / num_labels + 2 * math.sqrt(num_labels - 1) / num_labels / math.sqrt(num_inputs)
    best = 0
    for done, record in enumerate(history, start=1):
        best = done if record.is_best else best
        has_learnt = history[best - 1].valid["balanced_accuracy"] > above_chance
        if has_learnt and done - best >= patience:
            return Cooldown(after=done, epochs=math.ceil(done / 2))
    return None
