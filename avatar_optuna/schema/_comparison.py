"""Latency and energy as they are measured, and models that were timed side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from avatar_optuna.codec import Stored


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Time of one forward pass, warm, tokenization apart.

    Args:
        batch_size: Inputs a pass.
        median_ms: Median over the repeats.
        p95_ms: 95th percentile.
        repeats: Timed passes, each on the next inputs of the test split.
        device: `{"name", "model", "threads"}`.
        precision: Of the weights and the arithmetic.
        interval_ms: 95 % interval of the median; None where an earlier version timed it.
        thread_ms: Median of the time in which the passes had a processor: what a quiet machine would take. None on a
            GPU, with several threads, and where an earlier version timed it.
        warm_ms: Median in a block of this model alone, where `median_ms` is of turns with others, whose order is drawn
            anew for each turn. None where it was timed alone, and where an earlier version timed it, whose turns all
            had the same order.
        warm_interval_ms: 95 % interval of that.
        warm_thread_ms: As `thread_ms`, in that block.
    """

    batch_size: int
    median_ms: float
    p95_ms: float
    repeats: int
    device: Mapping[str, Any]
    precision: str = "float32"
    interval_ms: tuple[float, float] | None = None
    thread_ms: float | None = None
    warm_ms: float | None = None
    warm_interval_ms: tuple[float, float] | None = None
    warm_thread_ms: float | None = None

    def saved_interval_ms(self, other: Latency) -> tuple[float, float] | None:
        """95 % interval of how much less time a pass takes than another model's; None where either has no interval.

        The two medians are independent: the distances to the ends of their intervals add up as squares (the method of
        variance estimates recovery, Zou and Donner 2008).
        """
        if self.interval_ms is None or other.interval_ms is None:
            return None
        saved = other.median_ms - self.median_ms
        (low, high), (other_low, other_high) = self.interval_ms, other.interval_ms
        return (
            saved - math.hypot(other.median_ms - other_low, high - self.median_ms),
            saved + math.hypot(other_high - other.median_ms, self.median_ms - low),
        )


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of one pass, from a counter.

    Args:
        joules: A pass, idle subtracted.
        idle_watts: Power of the device while it does nothing, measured just before.
        gross_joules: A pass, idle included.
        passes: How many were run in the window.
        window_s: How long they took.
        source: The counter.
    """

    joules: float
    idle_watts: float
    gross_joules: float
    passes: int
    window_s: float
    source: str


@dataclass(frozen=True, kw_only=True)
class Flips:
    """How often a model changes its label though functions do what they did.

    Args:
        edits: Of each function; an input is flipped where its label differs under any of them.
        flipped: How many inputs of the test split are.
        inputs: Of the test split.
        interval: 95 % interval of the share: Wilson's, for pairs at least as wide as that of resampled functions.
    """

    edits: int
    flipped: int
    inputs: int
    interval: tuple[float, float]

    @property
    def share(self) -> float:
        """The fraction of inputs that are flipped."""
        return self.flipped / self.inputs


@dataclass(frozen=True, kw_only=True)
class Fidelity(Stored):
    """How alike a student and its teacher answer the test inputs, whatever is right (see `metrics.fidelity`).

    Args:
        agreement: Share of the inputs that both give the same label.
        agreement_interval: 95 %.
        total_variation: Mean distance of their probabilities, from 0 to 1.
        total_variation_interval: 95 %.
    """

    agreement: float
    agreement_interval: tuple[float, float]
    total_variation: float
    total_variation_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ResampledFigure:
    """A figure of a model's answers to the test inputs, as it is and in each draw of resampled functions.

    Models that answered the same inputs have the same draws, so what is hard for both cancels out in their difference,
    wherever each was measured.

    Args:
        inputs: SHA-256 of the inputs, their labels and the draws.
        metric: Whose figure it is.
        value: Of all inputs, a fraction.
        draws: Of each draw; None where it says nothing.
    """

    inputs: str
    metric: str
    value: float
    draws: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far a figure of a student lies above that of another model on the same inputs (see `paired_difference`).

    Args:
        metric: Whose figures they are.
        value: The difference, a fraction.
        interval: 95 %, of both on the same resampled functions.
    """

    metric: str
    value: float
    interval: tuple[float, float]

    @property
    def is_above(self) -> bool:
        """Whether the student is better beyond noise."""
        return self.interval[0] > 0

    @property
    def is_below(self) -> bool:
        """Whether it is worse beyond noise."""
        return self.interval[1] < 0


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A test input to which a student and its teacher give different labels.

    Args:
        row: Place of the input in the test split, from 0.
        texts: Its functions, one or two, the long ones cut.
        label: The name of its true label.
        teacher_label: Of the label that the teacher gives.
        student_label: Of the label that the student gives.
        teacher_probability: That the teacher gives to its own label.
        student_probability: That the student gives to its own.
    """

    row: int
    texts: tuple[str, ...]
    label: str
    teacher_label: str
    student_label: str
    teacher_probability: float
    student_probability: float


@dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """What one model costs, how often edits change its label, and how far it answers as its teacher.

    `flops` is None for the CodeBERT architecture, `energy` where there is no counter, `flips` for that architecture and
    where the study does not ask for them, and `fidelity` for all but students whose teacher's answers to the test
    inputs are known. `differences` are those of a student, by split ("valid" and "test") and by the other model
    ("teacher" and "baseline"), `disagreements` those with its teacher in which the two are surest, and `resampled` what
    a difference to a student of another study is made of. Earlier versions had none of the last five.
    """

    parameters: int
    size_bytes: int
    flops: int | None
    latency: tuple[Latency, ...]
    energy: Energy | None
    flips: Flips | None = None
    fidelity: Fidelity | None = None
    differences: Mapping[str, Mapping[str, Difference]] = field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()
    resampled: tuple[ResampledFigure, ...] = ()

    @property
    def is_in_random_order(self) -> bool:
        """Whether it took its turns in an order that was drawn anew each time, and then had a warm block."""
        return self.of_one_input.warm_ms is not None

    @property
    def of_one_input(self) -> Latency:
        """Its latency at batch 1."""
        return next(entry for entry in self.latency if entry.batch_size == 1)

    @property
    def latency_ms(self) -> float:
        """Median of one input."""
        return self.of_one_input.median_ms

    def times_less_than(self, other: ComparedModel) -> dict[str, float]:
        """How many times less than another model it takes: `size`, `latency`, and where known `flops`, `energy`."""
        ratios = {"size": other.size_bytes / self.size_bytes, "latency": other.latency_ms / self.latency_ms}
        if other.flops and self.flops:
            ratios["flops"] = other.flops / self.flops
        if other.energy and self.energy and self.energy.joules > 0:
            ratios["energy"] = other.energy.joules / self.energy.joules
        return ratios


@dataclass(frozen=True, kw_only=True)
class Comparison(Stored):
    """Students, their teacher and the CodeBERT architecture, timed by turns.

    Students that are distilled later are timed in a comparison of their own, beside the same references anew: what was
    measured before stays as it is, and each ratio is of two models that were timed by turns.

    Args:
        device: `{"name", "model", "threads"}`.
        repeats: Timed passes of each model and batch size.
        models: By a job's number, "teacher" and "codebert".
        later: The comparisons of students that were distilled since, which have no later ones themselves.
    """

    device: Mapping[str, Any]
    repeats: int
    models: Mapping[str, ComparedModel]
    later: tuple[Comparison, ...] = ()

    def of(self, name: str) -> Comparison | None:
        """The first comparison in which a model was timed; None where it was in none."""
        return next((comparison for comparison in (self, *self.later) if name in comparison.models), None)

    def extended(self, comparison: Comparison) -> Comparison:
        """With a later one, of other students."""
        return replace(self, later=(*self.later, comparison))
