"""What is known of effectiveness before a student is fully trained, and how far to trust it."""

from avatar_optuna.indicator._curves import CurveModel, LearningCurves
from avatar_optuna.indicator._features import Feature, features_of, matrix_of
from avatar_optuna.indicator._indicator import MIN_SAMPLES, Indicator
from avatar_optuna.indicator._union import IndicatorUnion, StudyIndicator, fit_indicator, indicator_kind
