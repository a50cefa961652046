"""Teachers that are trained here on the labels, once, and kept."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from avatar_optuna.distillation import (
    EVALUATION_BATCH,
    Classifier,
    Examples,
    Judge,
    OnEpoch,
    Recipe,
    SimilarityClassifier,
    StudentForSequenceClassification,
    Teacher,
    Trainer,
    edited_functions,
    encode_all,
    fit_odds,
    is_whole,
    label_weights,
    start_as_similarity,
)
from avatar_optuna.files import file_lock
from avatar_optuna.manifest import MANIFEST_FILE, read_manifest, write_manifest
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task, known_groups, sample
from avatar_optuna.teachers._directory import teacher_of_directory
from avatar_optuna.teachers._kind import fingerprint
from avatar_optuna.teachers.checkpoints import Reading, form_of
from avatar_optuna.teachers.checkpoints._made import made_classifier
from avatar_optuna.teachers.checkpoints.saving import save_classifier

Untrained = tuple[nn.Module, PreTrainedTokenizerBase, int]
"""A network before its training, its tokenizer, and its longest sequence in tokens."""

_PATIENCE = 3  # epochs without a better one before the learning rate falls to 0
_PAIRS = 1000  # listed pairs that the odds of a similarity are fitted to
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
            _train(settings, task, directory, untrained, cache_dir, device, on_epoch)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()  # students are distilled on this device by other processes
    if read_manifest(directory).get("pair") != "similarity":
        return teacher_of_directory(directory, source, task, cache_dir, device)
    form = form_of(str(directory), Reading(max_sequence_length=settings.max_sequence_length))
    classifier = made_classifier(form, task, device)
    digest = fingerprint(task, form.files, form.odds, classifier.max_sequence_length, task.label_names)
    return Teacher(source=source, fingerprint=digest, task=task, classifier=classifier, cache_dir=cache_dir)


def label_weights_of(settings: TeacherSettings, task: Task) -> tuple[float, ...] | None:
    """What `class_weights` makes of the labels of a task (see `label_weights`); an `InputError` of other labels."""
    return label_weights(settings.options.get("class_weights", "batch"), task, key="teacher.class_weights")


def _train(
    settings: TeacherSettings,
    task: Task,
    directory: Path,
    untrained: Callable[[], Untrained],
    cache_dir: Path,
    device: str,
    on_epoch: OnEpoch | None,
) -> None:
    """Train a teacher on the labels and write its directory; its manifest, written last, says that it is whole.

    One that compares vectors learns from the groups of functions alone, and its odds are fitted to the labels.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network, tokenizer, length = untrained()
    network.to(device)
    is_similarity = isinstance(network, SimilarityClassifier)
    groups = known_groups(task.train) if is_similarity else None
    edits = settings.options.get("edits", 0)
    others = edited_functions(task, edits, cache_dir, key="teacher.edits")
    train = Examples.of(task.train, tokenizer, max_sequence_length=length, device=device, others=others, groups=groups)
    if isinstance(network, StudentForSequenceClassification) and task.shape.is_pair:
        start_as_similarity(network, train, seed=settings.seed)
    settle = None
    if isinstance(network, SimilarityClassifier):
        few = sample(task.train, _PAIRS, seed=settings.seed)
        listed = Examples.of(few, tokenizer, max_sequence_length=length, device=device)
        settle = partial(_fit_odds, network, listed)
    trainer = Trainer(
        network,
        recipe=Recipe(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            hard_label_weight=1.0,
            label_weights=label_weights_of(settings, task),
            contrastive_weight=float(is_similarity),
            edits=edits,
            patience=None if is_similarity else _PATIENCE,
            seed=settings.seed,
        ),
        train=train,
        valid=Examples.of(task.valid, tokenizer, max_sequence_length=length, device=device),
        soft_labels=None,
        directory=directory / "checkpoint",
        fingerprint=directory.name,
        num_labels=task.shape.num_labels,
        judge=Judge(metric="roc_auc", split=task.valid) if is_similarity else None,
        before_evaluation=settle,
    )
    best = trainer.run(on_epoch)
    network.eval()
    if settle is not None:
        settle()
    classifier = Classifier(
        network=network.cpu(),
        tokenizer=tokenizer,
        task_shape=task.shape,
        label_names=task.label_names,
        max_sequence_length=length,
        device=torch.device("cpu"),
    )
    history = [record.to_dict() for record in trainer.history]
    if is_similarity:
        about = {"source": settings.source, "language": task.language}
        save_classifier(classifier, directory, **about, valid=best.valid, history=history)
    else:
        _save(classifier, directory, valid=best.valid, history=history)
    shutil.rmtree(directory / "checkpoint", ignore_errors=True)


def _save(classifier: Classifier, directory: Path, **more: Any) -> None:
    """Write a classifier as it was trained: a student's own form, or that of transformers."""
    network = classifier.network
    is_student = isinstance(network, StudentForSequenceClassification)
    network.save_student(directory) if is_student else network.save(directory)
    classifier.tokenizer.save_pretrained(directory)
    write_manifest(
        directory,
        task_shape=classifier.task_shape,
        label_names=classifier.label_names,
        max_sequence_length=classifier.max_sequence_length,
        is_student=is_student,
        **more,
    )


def _fit_odds(network: SimilarityClassifier, listed: Examples) -> None:
    """Fit scale and threshold of a similarity, as the network is, to listed pairs."""
    vectors = encode_all(network, listed.tokens, batch_size=EVALUATION_BATCH[listed.tokens.ids.device.type])
    joined = vectors.cpu()[torch.from_numpy(listed.inputs.astype(np.int64))].flatten(1)  # (m, 2 k)
    network.scale, network.threshold = fit_odds(network.similarities(joined), torch.from_numpy(listed.labels))
