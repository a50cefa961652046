"""The families that there are."""

from __future__ import annotations

from avatar_optuna.registry import Registry
from avatar_optuna.students._family import StudentFamily

DEFAULT_FAMILY = "transformer"
"""Of a study that names none, as no study did before there were several."""

FAMILIES: Registry[StudentFamily] = Registry(
    "students",
    noun="family",
    built_in={
        "transformer": "avatar_optuna.students.transformer:TRANSFORMER",
        "hashed": "avatar_optuna.students.hashed:HASHED",
    },
)
