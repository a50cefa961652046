"""Teachers that are trained here on the labels, once, and kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from avatar_optuna.distillation import (
    Examples,
    OnEpoch,
    Recipe,
    StudentForSequenceClassification,
    Teacher,
    Trainer,
    is_whole,
    label_weights,
    start_as_similarity,
)
from avatar_optuna.files import file_lock
from avatar_optuna.manifest import MANIFEST_FILE, write_manifest
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._directory import teacher_of_directory

Untrained = tuple[nn.Module, PreTrainedTokenizerBase, int]
"""A network before its training, its tokenizer, and its longest sequence in tokens."""

_PATIENCE = 3  # epochs without a better one before the training stops
_NAMES = ("checkpoint", "soft_labels", "pretrained", "architecture")  # stand in the keys of caches, null or not


def fine_tuned_teacher(
    settings: TeacherSettings,
    task: Task,
    *,
    source: str,
    identity: str,
    untrained: Callable[[], Untrained],
    cache_dir: Path,
    device: str,
    on_epoch: OnEpoch | None,
) -> Teacher:
    """Train a teacher on the labels, or take the one that was trained before.

    Args:
        identity: SHA-256 of the files that it is trained from, or "": with the settings and the task it names the
            trained teacher, as in the version before.
        untrained: Makes the network; called after torch is seeded.
    """
    values = {**dict.fromkeys(_NAMES), **settings.to_dict(), "pretrained": None}  # its files count, not its path
    key = json.dumps([values, identity, task.fingerprint], sort_keys=True)
    directory = cache_dir / "teachers" / f"trained-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    with file_lock(directory.with_name(f"{directory.name}.lock")):
        if not is_whole(directory):
            (directory / MANIFEST_FILE).unlink(missing_ok=True)
            _train(settings, task, directory, untrained, device, on_epoch)
    return teacher_of_directory(directory, source, task, cache_dir, device)


def label_weights_of(settings: TeacherSettings, task: Task) -> tuple[float, ...] | None:
    """What `class_weights` makes of the labels of a task (see `label_weights`); an `InputError` of other labels."""
    return label_weights(settings.options.get("class_weights", "batch"), task, key="teacher.class_weights")


def _train(
    settings: TeacherSettings,
    task: Task,
    directory: Path,
    untrained: Callable[[], Untrained],
    device: str,
    on_epoch: OnEpoch | None,
) -> None:
    """Train a teacher on the labels and write its directory; its manifest, written last, says that it is whole."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network, tokenizer, length = untrained()
    network.to(device)
    train = Examples.of(task.train, tokenizer, max_sequence_length=length, device=device)
    if isinstance(network, StudentForSequenceClassification) and task.shape.is_pair:
        start_as_similarity(network, train, seed=settings.seed)
    trainer = Trainer(
        network,
        recipe=Recipe(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            hard_label_weight=1.0,
            label_weights=label_weights_of(settings, task),
            patience=_PATIENCE,
            seed=settings.seed,
        ),
        train=train,
        valid=Examples.of(task.valid, tokenizer, max_sequence_length=length, device=device),
        soft_labels=None,
        directory=directory / "checkpoint",
        fingerprint=directory.name,
    )
    best = trainer.run(on_epoch)
    network.cpu().eval()
    is_student = isinstance(network, StudentForSequenceClassification)
    network.save_student(directory) if is_student else network.save(directory)  # type: ignore[operator]
    tokenizer.save_pretrained(directory)
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)
    write_manifest(
        directory,
        task_shape=task.shape,
        label_names=task.label_names,
        max_sequence_length=length,
        is_student=is_student,
        valid=best.valid,
        history=[record.to_dict() for record in trainer.history],
    )
