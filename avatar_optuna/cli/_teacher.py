"""The command `teacher`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from rich.console import Console

from avatar_optuna.cli import _render
from avatar_optuna.exceptions import InputError
from avatar_optuna.places import cache_folder
from avatar_optuna.progress import Progress, say
from avatar_optuna.settings import load_study_file
from avatar_optuna.view import metric_title

if TYPE_CHECKING:
    from avatar_optuna.decision import Aim, Decision
    from avatar_optuna.distillation import Teacher


def teacher(options: Namespace, console: Console) -> None:
    """Write inputs to be labelled, or prepare a teacher, print how good it is, and save it where that is asked for."""
    from avatar_optuna.pool import parse_devices
    from avatar_optuna.tasks import load_task
    from avatar_optuna.teachers import load_teacher, write_inputs
    from avatar_optuna.teachers.checkpoints.saving import require_new, save_teacher

    settings = load_study_file(options.study_file)
    slot, *_ = parse_devices(options.device)
    cache_dir = cache_folder(options.cache)
    progress = Progress(console)
    with progress.busy(f"reading the data of {settings.task.kind}"):
        task = load_task(settings.task, cache_dir=cache_dir)
    if task.skipped.count:
        say(console, str(task.skipped))
    if options.inputs is not None:
        count, names = write_inputs(task, options.inputs), ", ".join(task.label_names)
        say(console, f"{count:,} inputs to label (as {names}) are in {options.inputs}")
        return
    if options.save is not None:
        require_new(options.save)
    with progress.bar("teacher: epochs", settings.teacher.epochs) as update:
        loaded = load_teacher(
            settings.teacher,
            task,
            cache_dir=cache_dir,
            device=slot.name,
            on_epoch=lambda record: update(record.epoch),
        )
    decision = _judged(loaded, settings.distillation.aim, progress, console)
    if options.save is not None:
        save_teacher(loaded, options.save, decision)
        say(console, f"the teacher is in {options.save}")


def _judged(loaded: Teacher, aim: Aim | None, progress: Progress, console: Console) -> Decision:
    """Print a teacher's figures beside the baseline's, with warnings; returns how it decides."""
    from avatar_optuna.metrics import baseline, effectiveness
    from avatar_optuna.verdict import weaknesses

    task = loaded.task
    with progress.busy("evaluating teacher and baseline"):
        decision = loaded.decide(aim)
        figures = {
            name: effectiveness(
                task.splits[name].labels, decision.labels(loaded.logits(name)), num_labels=task.shape.num_labels
            )
            for name in ("valid", "test")
            if loaded.has_logits(name)
        }
        plain = baseline(task, aim)
    _render.teacher(loaded.source, figures, plain, console)
    if aim is not None:
        aimed = f"both at a threshold chosen on validation for {metric_title(str(aim))}"
        say(console, f"{aimed}: the teacher's is {decision.threshold:.3g}")
    elif decision.threshold is not None:
        say(console, f"the teacher at its own threshold of {decision.threshold:.3g}, the baseline at 0.5")
    if decision.missed is not None:
        raise InputError(f"distillation.threshold: {decision.missed}, by the teacher {loaded.source}")
    for warning in weaknesses(figures["valid"], plain["valid"], task.shape.num_labels):
        say(console, f"warning    {warning}")
    return decision
