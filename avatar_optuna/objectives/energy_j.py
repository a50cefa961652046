"""Energy of one input: calibrated on a device that has a counter, measured on distilled students by that counter."""

from __future__ import annotations

from avatar_optuna.objectives._kinds import Direction, ObjectiveKind, Source


class EnergyJ:
    """What the counter counts above its idle power."""

    name = "energy_j"
    title = "energy"
    unit = "J"
    scale = 1.0
    digits = 4
    direction: Direction = "minimize"
    is_logarithmic = True
    source: Source = "calibrated"


OBJECTIVE: ObjectiveKind = EnergyJ()
