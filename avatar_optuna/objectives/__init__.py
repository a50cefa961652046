"""Objectives: what a study optimises and shows. A new one is one file: an object that satisfies `ObjectiveKind`."""

from avatar_optuna.objectives._kinds import (
    DEFAULT_EDITS,
    ChecksLanguage,
    Direction,
    FormulaObjective,
    MeasuredObjective,
    MeasuredStudent,
    ObjectiveKind,
    Source,
)
from avatar_optuna.objectives._registry import (
    BUILT_IN,
    EFFECTIVENESS,
    OBJECTIVES,
    CostFormula,
    calibrated,
    direction_signs,
    directions,
    formulas,
    has_formula,
    measured,
    reads,
    searched,
    signs,
    written,
)
