"""The audit of the stand-ins: do FLOPs and parameters order students as a device does?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avatar_optuna.codec import Stored

_MOST_MISORDERED = 0.10


@dataclass(frozen=True, kw_only=True)
class AuditedStudent:
    """A student with random weights, timed: what a model costs does not depend on its weights.

    Args:
        hyperparameters: By name.
        flops: Forward FLOPs of one input at full length, by `costs`.
        parameters: By `costs`.
        latency_ms: Of one input at full length: the fastest of its turns, which is what it takes undisturbed.
        latency_interval_ms: From that to the 95th percentile of its turns.
        energy_j: Of one input, from a counter; None without one.
    """

    hyperparameters: Mapping[str, Any]
    flops: int
    parameters: int
    latency_ms: float
    latency_interval_ms: tuple[float, float]
    energy_j: float | None = None


@dataclass(frozen=True, kw_only=True)
class RankCorrelation:
    """How well a stand-in orders students, over all audited students.

    Args:
        stand_in: "flops" or "parameters".
        figure: What it stands in for: "latency_ms" or "energy_j".
        spearman: Spearman's rank correlation.
        spearman_interval: Its 95 % interval, by bootstrap over students.
        kendall: Kendall's tau-b.
        kendall_interval: Likewise.
    """

    stand_in: str
    figure: str
    spearman: float
    spearman_interval: tuple[float, float]
    kendall: float
    kendall_interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class MisorderedPair:
    """Two students of which the one with fewer FLOPs is the slower.

    Args:
        fewer_flops: Index of the student that FLOPs call cheaper.
        more_flops: Index of the other.
        times_flops: FLOPs of the other over those of the first: above 1.
        times_latency: Latency of the first over that of the other: above 1.
    """

    fewer_flops: int
    more_flops: int
    times_flops: float
    times_latency: float


@dataclass(frozen=True, kw_only=True)
class Audit(Stored):
    """Whether FLOPs and parameters stand in for time (and energy) on a device.

    Args:
        students: What was timed, by turns.
        correlations: One for each stand-in and figure; `energy_j` only where a counter could be read.
        pairs: Pairs of students whose latencies can be told apart: one is the faster in significantly more turns.
        misordered: How many of them FLOPs order the other way.
        misordered_interval: 95 % interval of their share, [low, high], by bootstrap over students.
        worst: The misordered pairs with the largest difference in latency, the worst first.
        trusted: Whether FLOPs may stand in for latency here.
        verdict: That, as one sentence.
        device: `{"name", "model", "threads"}`.
        batch_size: Inputs a pass.
        repeats: Timed passes of each student.
        waited_share: Share of the timed seconds in which the process computed nothing, for other work had the
            processor; None where that cannot be told (a GPU, several threads).
        seconds: How long the audit took.
        measured_utc: When, ISO 8601.
    """

    students: tuple[AuditedStudent, ...]
    correlations: tuple[RankCorrelation, ...]
    pairs: int
    misordered: int
    misordered_interval: tuple[float, float]
    worst: tuple[MisorderedPair, ...]
    trusted: bool
    verdict: str
    device: Mapping[str, Any]
    batch_size: int
    repeats: int
    waited_share: float | None
    seconds: float
    measured_utc: str

    @property
    def orders_wrongly(self) -> bool:
        """Whether FLOPs order more than a tenth of the pairs wrongly."""
        return self.misordered_share > _MOST_MISORDERED

    @property
    def misordered_share(self) -> float:
        """Share of the pairs that FLOPs order wrongly."""
        return self.misordered / self.pairs if self.pairs else 0.0
