"""What a new study needs, looked at before anything of it is written."""

from __future__ import annotations

from pathlib import Path

from avatar_optuna.feasibility import Feasibility
from avatar_optuna.settings import StudySettings
from avatar_optuna.tasks import load_task, task_shape_of
from avatar_optuna.teachers import check_teacher


def require_feasible(settings: StudySettings) -> None:
    """Refuse constraints that no configuration satisfies; those on predicted figures are judged once they can be.

    Raises:
        InfeasibleSpaceError: It names the constraints in conflict.
    """
    Feasibility(space=settings.space, constraints=settings.formula_constraints, task_shape=task_shape_of(settings.task))


def check_inputs(settings: StudySettings, *, cache_dir: Path) -> None:
    """Read the data and the teacher of a study once, to refuse what cannot be read.

    Raises:
        InputError: A file is absent, malformed, or not for this task.
    """
    check_teacher(settings.teacher, load_task(settings.task, cache_dir=cache_dir), cache_dir=cache_dir)
