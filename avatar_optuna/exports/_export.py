"""Export a distilled student of a study in one of the formats."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from optuna.trial import TrialState

from avatar_optuna.exceptions import InputError
from avatar_optuna.exports._format import ExportFormat, StudentToExport
from avatar_optuna.registry import Registry
from avatar_optuna.schema import COMPARISON, Job, JobResult
from avatar_optuna.storage import artifact_store, download_directory
from avatar_optuna.study import AvatarStudy
from avatar_optuna.tasks import task_shape_of

FORMATS: Registry[ExportFormat] = Registry(
    "exports", noun="export format", built_in={"hf": "avatar_optuna.exports.hf:FORMAT"}
)
"""The formats, by name."""


def export_student(study: AvatarStudy, job_number: int, out: Path, *, format_name: str = "hf") -> None:
    """Write a distilled student; the directory appears with all its files or not at all.

    Args:
        study: The study.
        job_number: Number of the student's trial among the distilled.
        out: A directory that does not exist yet.
        format_name: One of `FORMATS`.

    Raises:
        InputError: There is no such student or format, the format needs a package that is missing, or `out` exists.
        StorageError: A file is missing from the artifact store, or was changed.
    """
    if out.exists():
        raise InputError(f"--out must be a new directory, got {str(out)!r}, which exists")
    export_format = FORMATS.get(format_name)
    if missing := [module for module in export_format.requires if find_spec(module) is None]:
        raise InputError(f"the export format {format_name} needs {' and '.join(missing)}: install what is missing")
    trials = study.distilled.get_trials(deepcopy=False)
    done = [trial.number for trial in trials if trial.state is TrialState.COMPLETE]
    if job_number not in done:
        raise InputError(f"--trial must be a finished job of {study.name}, one of {done}, got {job_number}")
    job, result = Job.from_trial(trials[job_number]), JobResult.from_trial(trials[job_number])
    with tempfile.TemporaryDirectory() as files, _new_directory(out) as draft:
        download_directory(artifact_store(study.artifacts), result.files, Path(files))
        student = StudentToExport(
            name=f"{study.name}-{job_number}",
            task_shape=task_shape_of(study.settings.task),
            hyperparameters=job.hyperparameters,
            files=Path(files),
            card=model_card(study, job_number, job, result),
        )
        export_format.write(student, draft)


@contextmanager
def _new_directory(out: Path) -> Iterator[Path]:
    """An empty directory that gets the name `out` at the end, and is removed on an error."""
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def model_card(study: AvatarStudy, number: int, job: Job, result: JobResult) -> str:
    """The card: what the student is, what it reaches, what it costs, and how each figure was obtained."""
    settings = study.settings
    rows = [
        f"| {split} | {_figure(figures, 'accuracy')} | {_figure(figures, 'balanced_accuracy')} | {figures['inputs']} |"
        for split, figures in (("validation", result.valid), ("test", result.test))
    ]
    energy = study.attributes.get(COMPARISON, {"models": {}})["models"].get(str(number), {}).get("energy")
    joules = (
        f"{energy['joules']:.4g} J an input ({energy['source']}, idle subtracted)"
        if energy
        else "not measured: no counter"
    )
    device = result.device.get("model", result.device)
    hyperparameters = "\n".join(f"| {name} | {value} |" for name, value in job.hyperparameters.to_dict().items())
    return f"""---
library_name: transformers
tags: [code, {settings.task.kind}]
---
# Student {number} of {study.name}

Distilled by avatar-optuna for {settings.task.kind}, {result.best_epoch} of {job.epochs} epochs kept.

| split | accuracy (95 % interval) | balanced accuracy (95 % interval) | inputs |
| --- | --- | --- | --- |
{chr(10).join(rows)}

The validation split chose the epoch and the student; the test split is only reported.

- weights: {result.size_bytes:,} bytes on disk, {result.parameters:,} parameters
- {result.flops / 1e6:,.1f} MFLOPs an input at full length (matrix products, by formula)
- latency: {result.latency_ms:.2f} ms, median of one input on {device}, tokenization apart
- energy: {joules}

| hyperparameter | value |
| --- | --- |
{hyperparameters}

Use it with `avatar-optuna predict DIR FILE{" FILE" if task_shape_of(settings.task).arity == 2 else ""}`.
"""


def _figure(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_interval"]
    return f"{100 * figures[name]:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
