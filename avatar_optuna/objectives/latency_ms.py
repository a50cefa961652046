"""Median latency of one input: calibrated on a device for the search, measured on distilled students."""

from __future__ import annotations

from avatar_optuna.objectives._kinds import Direction, ObjectiveKind, Source


class LatencyMs:
    """Tokenization apart."""

    name = "latency_ms"
    title = "latency"
    unit = "ms"
    scale = 1.0
    digits = 2
    direction: Direction = "minimize"
    is_logarithmic = True
    source: Source = "calibrated"


OBJECTIVE: ObjectiveKind = LatencyMs()
