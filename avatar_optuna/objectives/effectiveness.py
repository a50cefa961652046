"""Effectiveness on the validation split: predicted by the indicator, measured on distilled students."""

from __future__ import annotations

from avatar_optuna.objectives._kinds import Direction, ObjectiveKind, Source


class Effectiveness:
    """The study's metric, a fraction, shown in percent."""

    name = "effectiveness"
    title = "effectiveness"
    unit = "%"
    scale = 100.0
    digits = 1
    direction: Direction = "maximize"
    is_logarithmic = False
    source: Source = "predicted"


OBJECTIVE: ObjectiveKind = Effectiveness()
