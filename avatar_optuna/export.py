"""A student to take away: its files, checked, beside a model card; and predictions with it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.trial import TrialState

from avatar_optuna.distillation import Classifier
from avatar_optuna.exceptions import DataError, InputError
from avatar_optuna.schema import COMPARISON, Job, JobResult
from avatar_optuna.storage import artifact_store, download_directory
from avatar_optuna.study import AvatarStudy
from avatar_optuna.tasks import task_shape_of


def export_student(study: AvatarStudy, job_number: int, out: Path) -> None:
    """Write a distilled student as a Hugging Face directory with a model card.

    The directory appears whole or not at all; every file is checked by its SHA-256 first.

    Args:
        study: The study.
        job_number: Number of the student's trial among the distilled.
        out: A directory that does not exist yet.

    Raises:
        InputError: There is no such student, or `out` exists.
        StorageError: A file is missing from the artifact store, or was changed.
    """
    if out.exists():
        raise InputError(f"--out must be a new directory, got {str(out)!r}, which exists")
    trials = study.distilled.get_trials(deepcopy=False)
    done = [trial.number for trial in trials if trial.state is TrialState.COMPLETE]
    if job_number not in done:
        raise InputError(f"--trial must be a finished job of {study.name}, one of {done}, got {job_number}")
    job, result = Job.from_trial(trials[job_number]), JobResult.from_trial(trials[job_number])
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
    try:
        download_directory(artifact_store(study.artifacts), result.files, draft)
        (draft / "README.md").write_text(model_card(study, job_number, job, result), encoding="utf-8")
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

Use it with `avatar-optuna predict DIR FILE{" FILE" if task_shape_of(settings.task.kind).arity == 2 else ""}`.
"""


def _figure(figures: Mapping[str, Any], name: str) -> str:
    low, high = figures[f"{name}_interval"]
    return f"{100 * figures[name]:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def predict_files(directory: Path, files: Sequence[Path]) -> dict[str, Any]:
    """What an exported student says of source files: each on its own, or two as a pair.

    Args:
        directory: The exported student.
        files: Each the text of one function.

    Returns:
        `inputs`: one object an input with `files`, `label` (its number), `label_name`, and `probability`: of the label
            1 where there are two labels, else of the label given.

    Raises:
        InputError: The student reads pairs and the files are not two.
        DataError: A file cannot be read as UTF-8 text.
    """
    if not directory.is_dir():
        raise InputError(f"DIR must be a directory that `avatar-optuna export` wrote, {directory} is none")
    classifier = Classifier.load(directory)
    size = classifier.task_shape.arity
    if size == 2 and len(files) != 2:
        raise InputError(f"FILE must be two files for a student of pairs, got {len(files)}")
    texts = [_read(path) for path in files]
    inputs = np.arange(len(texts), dtype=np.int32).reshape(-1, size)
    logits = classifier.predict_logits(texts, inputs).astype(np.float64)
    return {
        "student": str(directory),
        "inputs": [
            {"files": [str(files[place]) for place in row], **_prediction(of_input, classifier.label_names)}
            for row, of_input in zip(inputs, logits, strict=True)
        ],
    }


def _prediction(logits: npt.NDArray[np.float64], label_names: Sequence[str]) -> dict[str, Any]:
    """The label of one input's logits (labels,); of two equally likely labels, the label 1."""
    weights = np.exp(logits - logits.max())
    probabilities = weights / weights.sum()
    label = int(probabilities[1] >= 0.5) if len(logits) == 2 else int(probabilities.argmax())
    probability = round(float(probabilities[1 if len(logits) == 2 else label]), 6)
    return {"label": label, "label_name": label_names[label], "probability": probability}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise DataError(path, None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(path, None, "must be UTF-8 text") from error
