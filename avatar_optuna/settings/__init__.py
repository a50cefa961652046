"""The study file: TOML read into frozen settings, every fault reported at once.

A section of the file is a dataclass here; a field's `rule` says what it accepts. Paths in a study file are relative to
the file, and absolute once read, so that a worker started elsewhere on the machine finds the same data.
"""

from avatar_optuna.settings._class_weights import class_weights_faults
from avatar_optuna.settings._distillation import DistillationSettings
from avatar_optuna.settings._file import load_study_file
from avatar_optuna.settings._indicator import IndicatorSettings
from avatar_optuna.settings._measurement import EFFECTIVENESS_METRICS, MeasurementSettings
from avatar_optuna.settings._rules import Rule
from avatar_optuna.settings._search import POLICIES, SearchSettings
from avatar_optuna.settings._section import SectionError
from avatar_optuna.settings._study import StudySettings
from avatar_optuna.settings._task import TaskSettings
from avatar_optuna.settings._teacher import TeacherSettings
