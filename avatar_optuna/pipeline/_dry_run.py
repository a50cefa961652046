"""What `avatar-optuna run --dry-run` says: what a run would do, what of it is done, and what it would take.

Nothing is written: no database, no cache, no file but in folders that are removed again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from avatar_optuna.costs import flops
from avatar_optuna.feasibility import draw, feasibility_of
from avatar_optuna.measurement import TimedTraining, require_device, spread, time_training
from avatar_optuna.pipeline._inputs import check_inputs, require_space
from avatar_optuna.pipeline._plan import DryRun, Planner
from avatar_optuna.pool import Slot
from avatar_optuna.progress import Progress
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import open_for_reading, read_snapshot
from avatar_optuna.students import Configuration
from avatar_optuna.study import TimeBudget, require_same_settings, training_times
from avatar_optuna.tasks import Task, load_task, task_shape_of

_TIMED = 3


def dry_run(
    settings: StudySettings, *, storage_url: str, cache_dir: Path, slots: Sequence[Slot], progress: Progress
) -> DryRun:
    """Look at the study file, the data and what is stored, and time some steps of students where no job was timed.

    Raises:
        InputError: What `run` would refuse.
    """
    require_device(settings.measurement.device)
    is_new = require_space(settings, storage_url)
    snapshot, budget = None, None
    if not is_new:
        engine = open_for_reading(storage_url)
        snapshot = read_snapshot(engine, settings.name)
        require_same_settings(settings, snapshot.attributes)
        budget = TimeBudget.of(engine, settings)
        engine.dispose()
    with _reading_cache(cache_dir) as own_cache:
        with progress.busy(f"reading the data of {settings.task.kind}"):
            task = load_task(settings.task, cache_dir=own_cache)
            if is_new:
                check_inputs(settings, cache_dir=own_cache)
        students = _drawn(settings)
        times = training_times(snapshot.jobs or ()) if snapshot is not None else []
        timed = [] if times else _timed(settings, task, students, slots, progress)
    return Planner(
        settings=settings,
        task=task,
        students=students,
        snapshot=snapshot,
        budget=budget,
        times=times,
        timed=timed,
        workers=max(1, len(slots)),
    ).plan()


@contextmanager
def _reading_cache(cache_dir: Path) -> Iterator[Path]:
    """A folder that has the tasks of a cache, in which what is made besides is not kept."""
    with tempfile.TemporaryDirectory(prefix="avatar-dry-run-") as folder:
        tasks = Path(folder) / "tasks"
        tasks.mkdir()
        for file in (cache_dir / "tasks").glob("*.json") if (cache_dir / "tasks").is_dir() else ():
            (tasks / file.name).symlink_to(file.resolve())
        yield Path(folder)


def _drawn(settings: StudySettings) -> list[Configuration]:
    """Feasible students, as far as formulas tell."""
    feasibility = feasibility_of(
        settings.space, constraints=settings.formula_constraints, task_shape=task_shape_of(settings.task)
    )
    return draw(feasibility, settings.indicator.samples, seed=settings.search.seed)


def _timed(
    settings: StudySettings, task: Task, students: Sequence[Configuration], slots: Sequence[Slot], progress: Progress
) -> list[TimedTraining]:
    chosen = spread(students, [float(flops(one, task.shape)) for one in students], _TIMED)
    device = slots[0].name if slots else settings.measurement.device
    kind = settings.teacher.kind
    has_vectors = kind != "soft_labels" and settings.teacher.options.get("pair") != "cross"
    timed = []
    with progress.bar("timing students", len(chosen)) as update:
        for student in chosen:
            threads = slots[0].threads if slots else None
            timed.append(
                time_training(student, task, settings, device=device, threads=threads, has_vectors=has_vectors)
            )
            update(len(timed))
    return timed
