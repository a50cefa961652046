"""A student that is only predicted, and one that is distilled and measured: two types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_optuna.decision import Decision
from avatar_optuna.schema import (
    Difference,
    Disagreement,
    Energy,
    Fidelity,
    Flips,
    JobResult,
    Latency,
    Purpose,
    ResampledFigure,
)
from avatar_optuna.students import Configuration


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the indicator says of a configuration.

    Args:
        effectiveness: Mean, a fraction.
        std: Its standard deviation.
    """

    effectiveness: float
    std: float


@dataclass(frozen=True, kw_only=True)
class PredictedStudent:
    """A configuration of the predicted front, not distilled.

    Args:
        trial: Number of its trial in the search study.
        hyperparameters: The configuration.
        prediction: Of its effectiveness.
        figures: By name of an objective: what a formula gives, `size_bytes` and `flops` among them.
        predicted_costs: By name of an objective: what a calibrated cost model gives.
    """

    trial: int
    hyperparameters: Configuration
    prediction: Prediction
    figures: Mapping[str, float]
    predicted_costs: Mapping[str, float]

    @property
    def size_bytes(self) -> int:
        """Bytes of its weights, by formula."""
        return int(self.figures["size_bytes"])

    @property
    def flops(self) -> int:
        """Forward FLOPs of one input, by formula."""
        return int(self.figures["flops"])


@dataclass(frozen=True, kw_only=True)
class DistilledStudent:
    """A student that was distilled and measured.

    Args:
        job: Number of its trial among the distilled.
        trial: Number of the search trial that proposed it, or None for a sample of the indicator.
        purpose: "front" or "indicator".
        hyperparameters: The configuration.
        epochs: How long it was to be distilled.
        prediction: Of its effectiveness, from before; None for a sample of the indicator.
        result: What its job measured.
        figures: By name of an objective: `effectiveness`, `size_bytes`, `latency_ms` and (where there is a counter)
            `energy_j`, measured; `flops`, by formula; then the study's further objectives.
        predicted_costs: By name of an objective: what a calibrated cost model gave.
        is_compared: Whether its latency was timed side by side with its teacher's; else its own worker timed it, beside
            other work, and the figure is provisional.
        latency_interval_ms: 95 % interval of that latency; None where an earlier version timed it.
        energy: Measured energy of one input, from the comparison; None before it, and without a counter.
        flips: How often edits change its label on test, from the comparison; None before it, and where the study does
            not ask for it.
        times_less_than: For "teacher" and "codebert", where they were compared: how many times less it takes, as
            `size`, `latency`, and where known `flops` and `energy`.
        fidelity: How alike it and its teacher answer the test inputs, from the comparison; None before it, where the
            teacher's answers are not known, and in earlier versions.
        timed: That latency with what else is known of it; None where it was not timed at batch 1.
        differences: By split and by the other model ("teacher", "baseline"): how much better it is on the same inputs;
            empty before the comparison and in earlier versions.
        resampled: Its figures on test in each draw of resampled functions, from the comparison: what a difference to a
            student of another study is made of; empty before it and in earlier versions.
        disagreements: Test inputs that it and its teacher give different labels, from the comparison.
        on_front: Whether no other distilled student of a front is at least as good in every figure that is compared.
    """

    job: int
    trial: int | None
    purpose: Purpose
    hyperparameters: Configuration
    epochs: int
    prediction: Prediction | None
    result: JobResult
    figures: Mapping[str, float]
    predicted_costs: Mapping[str, float]
    is_compared: bool
    energy: Energy | None
    times_less_than: Mapping[str, Mapping[str, float]]
    fidelity: Fidelity | None = None
    on_front: bool = False
    latency_interval_ms: tuple[float, float] | None = None
    flips: Flips | None = None
    timed: Latency | None = None
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()
    resampled: tuple[ResampledFigure, ...] = ()

    def difference(self, split: str, other: str) -> Difference | None:
        """How much better it is than the "teacher" or the "baseline" on "valid" or "test"; None where not known."""
        return self.differences.get(split, {}).get(other)

    @property
    def decision(self) -> Decision:
        """How its logits become probabilities and labels."""
        return self.result.decision or Decision()

    def metrics(self, split: str) -> Mapping[str, Any]:
        """Of "valid" or "test", those beside its teacher among them."""
        beside = self.fidelity.to_dict() if self.fidelity is not None and split == "test" else {}
        return {**self.result.figures(split), **beside}

    @property
    def effectiveness(self) -> float:
        """On the validation split, a fraction."""
        return self.result.effectiveness

    @property
    def size_bytes(self) -> int:
        """Bytes of its weights, on disk."""
        return self.result.size_bytes

    @property
    def flops(self) -> int:
        """Forward FLOPs of one input, by formula."""
        return self.result.flops

    @property
    def latency_ms(self) -> float:
        """Median of one input: as compared, else as its own worker timed it."""
        return self.figures["latency_ms"]
