"""Begin a study: what a new one needs is looked at before anything of it is written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avatar_optuna.decision import require_two_labels
from avatar_optuna.distillation import label_weights
from avatar_optuna.edits import check_language
from avatar_optuna.exceptions import InputError
from avatar_optuna.feasibility import feasibility_of
from avatar_optuna.measurement import require_device
from avatar_optuna.metrics import available_metrics
from avatar_optuna.objectives import ChecksLanguage, measured
from avatar_optuna.pipeline._run import Run, drawn_samples
from avatar_optuna.pool import Slot
from avatar_optuna.progress import Progress
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import has_study, open_storage
from avatar_optuna.study import create_study
from avatar_optuna.tasks import Task, load_task, task_shape_of
from avatar_optuna.teachers import check_teacher


def require_space(settings: StudySettings, storage_url: str) -> bool:
    """Refuse a space without feasible configurations or, for a new study, with fewer than its indicator samples.

    Constraints on predicted figures are judged once they can be.

    Returns:
        Whether the study is new.

    Raises:
        InfeasibleSpaceError: No configuration is feasible; it names the constraints in conflict.
        InputError: There are too few.
    """
    feasibility = feasibility_of(
        settings.space, constraints=settings.formula_constraints, task_shape=task_shape_of(settings.task)
    )
    is_new = not has_study(storage_url, settings.name)
    if is_new:
        drawn_samples(feasibility, settings)
    return is_new


def check_inputs(settings: StudySettings, *, cache_dir: Path) -> None:
    """Read the data and the teacher of a study once, to refuse (`InputError`) what cannot be read or measured."""
    task = load_task(settings.task, cache_dir=cache_dir)
    require_two_labels(settings.distillation.aim, task.shape.num_labels)
    _require_metric(settings.measurement.effectiveness, task)
    label_weights(settings.distillation.class_weights, task, key="distillation.class_weights")
    for kind in measured(settings.search.objectives).values():
        if isinstance(kind, ChecksLanguage):
            kind.check(task.language)
    if settings.distillation.contrastive_weight and not (task.shape.is_pair and task.shape.num_labels == 2):
        raise InputError(
            "distillation.contrastive_weight needs pairs of functions and two labels, the task has "
            f"{task.shape.arity} functions an input and {task.shape.num_labels} labels"
        )
    if settings.distillation.representation_weight and not task.shape.is_pair:
        raise InputError("distillation.representation_weight needs pairs of functions, the task has single functions")
    _require_vectors(settings)
    if settings.distillation.edits:
        check_language(task.language, "distillation.edits")
    if settings.measured_edits:
        check_language(task.language, "measurement.edits")
    check_teacher(settings.teacher, task, cache_dir=cache_dir)


def _require_vectors(settings: StudySettings) -> None:
    """Refuse (`InputError`) losses over vectors of functions where the kind of teacher never has any.

    Of other teachers `distil` finds out, once they are loaded.
    """
    teacher = settings.teacher
    if teacher.kind != "soft_labels" and teacher.options.get("pair") != "cross":
        return
    for key in ("contrastive_weight", "representation_weight"):
        if getattr(settings.distillation, key):
            raise InputError(
                f"distillation.{key}: the teacher must be a model that gives vectors of functions in pairs, got "
                f"{teacher.kind}: {teacher.source}"
            )


def _require_metric(metric: str, task: Task) -> None:
    """Refuse (`InputError`) an effectiveness that the validation split says nothing of."""
    needs = {
        "ordered_pairs": "functions before and after a fix (task.pair names the field that says which)",
        "map_at_r": "pairs of functions of groups (task.group names the field that says which)",
    }
    if metric not in available_metrics(task.valid, task.shape.num_labels):
        what = needs.get(metric, "inputs of two labels")
        raise InputError(f"measurement.effectiveness: {metric} needs {what} in the validation split, it has none")


def begin(
    settings: StudySettings,
    *,
    storage_url: str,
    artifacts: str | None,
    cache_dir: Path,
    slots: Sequence[Slot],
    progress: Progress,
) -> Run:
    """Create a study, or open it where it is there: the run that does what is missing.

    Args:
        artifacts: Folder or URL for the students' files; None takes the study's own, or the default for a new one.
        slots: Where its own workers run; empty leaves the jobs to others.

    Raises:
        InputError: The settings cannot be met, or a new study's data or teacher cannot be read.
    """
    require_device(settings.measurement.device)
    if require_space(settings, storage_url):
        with progress.busy("looking at the data and the teacher"):
            check_inputs(settings, cache_dir=cache_dir)
    study = create_study(settings, open_storage(storage_url), artifacts=artifacts)
    return Run(study=study, storage_url=storage_url, slots=slots, cache_dir=cache_dir, progress=progress)
