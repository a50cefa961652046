"""Shrink a language model of code: a multi-objective study of distilled students, on Optuna.

The names below are the public interface in Python. Each is imported when it is first used, so that
`import avatar_optuna` loads neither torch nor Z3.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from avatar_optuna.exceptions import (
    AvatarError,
    DataError,
    DivergenceError,
    InfeasibleSpaceError,
    InputError,
    StudyError,
    StudyFileError,
)

if TYPE_CHECKING:
    from avatar_optuna.costs import TaskShape
    from avatar_optuna.feasibility import Feasibility
    from avatar_optuna.inference import Classification, ExportedStudent, load_student
    from avatar_optuna.interface import Front, Study, open_study, run
    from avatar_optuna.sampler import FeasibleNSGAIISampler
    from avatar_optuna.settings import (
        DistillationSettings,
        IndicatorSettings,
        MeasurementSettings,
        SearchSettings,
        StudySettings,
        TaskSettings,
        TeacherSettings,
        load_study_file,
    )
    from avatar_optuna.space import SearchSpace
    from avatar_optuna.students import Configuration
    from avatar_optuna.view import DistilledStudent, PredictedStudent, StudyView

__all__ = [
    "AvatarError",
    "Classification",
    "Configuration",
    "DataError",
    "DistillationSettings",
    "DistilledStudent",
    "DivergenceError",
    "ExportedStudent",
    "Feasibility",
    "FeasibleNSGAIISampler",
    "Front",
    "IndicatorSettings",
    "InfeasibleSpaceError",
    "InputError",
    "MeasurementSettings",
    "PredictedStudent",
    "SearchSettings",
    "SearchSpace",
    "Study",
    "StudyError",
    "StudyFileError",
    "StudySettings",
    "StudyView",
    "TaskSettings",
    "TaskShape",
    "TeacherSettings",
    "load_student",
    "load_study_file",
    "open_study",
    "run",
]
__version__ = "0.1.0"

_MODULES = {
    "costs": ("TaskShape",),
    "feasibility": ("Feasibility",),
    "inference": ("Classification", "ExportedStudent", "load_student"),
    "interface": ("Front", "Study", "open_study", "run"),
    "sampler": ("FeasibleNSGAIISampler",),
    "settings": (
        "DistillationSettings",
        "IndicatorSettings",
        "MeasurementSettings",
        "SearchSettings",
        "StudySettings",
        "TaskSettings",
        "TeacherSettings",
        "load_study_file",
    ),
    "space": ("SearchSpace",),
    "students": ("Configuration",),
    "view": ("DistilledStudent", "PredictedStudent", "StudyView"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name at its first use."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
