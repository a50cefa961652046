"""One student, from its configuration to a directory that anyone can load."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.decision import require_two_labels
from avatar_optuna.distillation._batches import views_of
from avatar_optuna.distillation._checkpoint import CHECKPOINT_FILE, CheckpointStore
from avatar_optuna.distillation._label_weights import label_weights
from avatar_optuna.distillation._randomness import seeded
from avatar_optuna.distillation._recipe import EpochRecord, Examples, Judge, OnEpoch, Recipe, SoftLabels
from avatar_optuna.distillation._similarity import start_as_similarity
from avatar_optuna.distillation._teacher import Teacher
from avatar_optuna.distillation._training import Trainer
from avatar_optuna.edits import check_language, edited
from avatar_optuna.exceptions import InputError
from avatar_optuna.manifest import write_manifest
from avatar_optuna.settings import DistillationSettings
from avatar_optuna.students import Configuration
from avatar_optuna.tasks import Task, known_groups

_METRIC = "balanced_accuracy"
VIEWS_SEED = 0
"""Students of all seeds read the same views, so that the teacher labels them once."""
_EDITS_SEED = 1000
"""Of all students; the edits under which robustness is measured have other ones."""


@dataclass(frozen=True, kw_only=True)
class TrainedStudent:
    """A finished student.

    Args:
        directory: `config.json`, `model.safetensors`, `tokenizer.json` and `avatar.json`; `Classifier.load` reads it.
        history: One record an epoch.
        valid_metrics: Figures of the kept epoch on the validation split.
        best_epoch: The epoch kept, counted from 1.
        seconds: Time spent in epochs, over all the processes that worked on it.
        preparation_seconds: Of this call, until the first epoch: tokenizer, tokens, network, the teacher's answers.
        training_seconds: Of this call, from then to the last epoch, checkpoints included.
    """

    directory: Path
    history: tuple[EpochRecord, ...]
    valid_metrics: Mapping[str, float]
    best_epoch: int
    seconds: float
    preparation_seconds: float
    training_seconds: float

    @property
    def size_bytes(self) -> int:
        """Size of `model.safetensors`."""
        return (self.directory / "model.safetensors").stat().st_size


def distil(
    *,
    hyperparameters: Configuration,
    task: Task,
    teacher: Teacher,
    settings: DistillationSettings,
    out_dir: Path,
    epochs: int | None = None,
    stop_after: int | None = None,
    device: str = "cpu",
    seed: int | None = None,
    cache_dir: Path | None = None,
    checkpoint: CheckpointStore | None = None,
    on_epoch: OnEpoch | None = None,
    metric: str = _METRIC,
) -> TrainedStudent:
    """Train a tokenizer, build a student, teach it, and keep its best epoch on validation.

    It is trained in float32 and written at its precision, at which its epochs are judged.

    Called again with the same arguments after an interruption, it goes on after the last finished epoch and gives
    what an uninterrupted call would have given.

    For pairs, where the teacher's function vectors are known, each training function is encoded once an epoch and all
    pairs of a batch are learnt from; `batch_size` then counts functions. Else it counts inputs.

    Args:
        task: What it learns; the test split is not touched.
        teacher: Whose soft labels it learns from (and the labels, by `settings.hard_label_weight`).
        out_dir: The student's directory, created; a checkpoint lies below it until the end.
        epochs: In place of `settings.epochs`.
        stop_after: Epochs after which to stop on the way. The student is the best so far, and the checkpoint lies
            beside it: a call with more epochs or none goes on from it exactly.
        seed: Of weights, order and dropout, in place of `settings.seed`.
        cache_dir: For trained tokenizers and edited functions; None makes them anew.
        checkpoint: Where each epoch's checkpoint is kept besides.
        on_epoch: Called with each epoch's record; what it raises ends the distillation, resumable.
        metric: Of `metrics.METRICS`: by which the best epoch is chosen, at a threshold chosen in each epoch for the aim
            of `settings`, where there is one.

    Raises:
        DivergenceError: The training lost itself.
        InputError: The hyperparameters and the task do not go together.
    """
    begun = time.monotonic()
    chosen_seed = settings.seed if seed is None else seed
    require_two_labels(settings.aim, task.shape.num_labels)
    recipe = _recipe(hyperparameters, task, settings, epochs=epochs, seed=chosen_seed)
    prepared = _prepared(hyperparameters, recipe, task, teacher, device=device, cache_dir=cache_dir)
    judge = Judge(metric=metric, split=task.valid, aim=settings.aim)
    trainer = Trainer(
        prepared.student,
        recipe=recipe,
        train=prepared.train,
        valid=prepared.valid,
        soft_labels=prepared.soft_labels,
        directory=out_dir / "checkpoint",
        fingerprint=_fingerprint(hyperparameters, recipe, prepared, task, teacher, judge),
        num_labels=task.shape.num_labels,
        store=checkpoint,
        precision=hyperparameters.precision_on_disk,
        stop_after=stop_after,
        judge=judge if judge.aim is not None or metric != _METRIC else None,
    )
    ready = time.monotonic()
    best = trainer.run(on_epoch)
    trained = time.monotonic()
    _write(out_dir, prepared.student.cpu(), prepared.tokenizer, hyperparameters, task, teacher)
    if len(trainer.history) < recipe.epochs:
        (out_dir / "checkpoint" / CHECKPOINT_FILE).replace(out_dir / CHECKPOINT_FILE)
    shutil.rmtree(out_dir / "checkpoint", ignore_errors=True)
    return TrainedStudent(
        directory=out_dir,
        history=tuple(trainer.history),
        valid_metrics=best.valid,
        best_epoch=best.epoch,
        seconds=sum(record.seconds for record in trainer.history),
        preparation_seconds=ready - begun,
        training_seconds=trained - ready,
    )


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """A student before its first epoch, and what it learns from.

    Args:
        train: Its examples, with the pairs that only the teacher answers.
        edits: Edited texts of the training functions, or ().
        groups: Of the training functions, where a loss reads them.
    """

    student: Any
    tokenizer: Any
    train: Examples
    valid: Examples
    soft_labels: SoftLabels
    edits: tuple[str, ...]
    groups: npt.NDArray[np.int64] | None


def _prepared(
    hyperparameters: Configuration,
    recipe: Recipe,
    task: Task,
    teacher: Teacher,
    *,
    device: str,
    cache_dir: Path | None,
) -> _Prepared:
    """Its tokenizer, its network, tokens, and the teacher's answers."""
    family, length = hyperparameters.family, hyperparameters.max_sequence_length
    tokenizer = family.make_tokenizer(hyperparameters, task.train.functions, cache_dir)
    tokenizer.model_max_length = length
    student = build_student(hyperparameters, task.shape, label_names=task.label_names, seed=recipe.seed)
    student.to(device)
    views = views_of(task.train.functions, recipe.views, seed=VIEWS_SEED)
    edits = edited_functions(task, recipe.edits, cache_dir)
    others = (*views, *edits)
    groups = known_groups(task.train) if recipe.contrastive_weight else None
    train = Examples.of(task.train, tokenizer, max_sequence_length=length, device=device, others=others, groups=groups)
    if task.shape.is_pair and family.starts_as_similarity:
        start_as_similarity(student, train, seed=recipe.seed)
    soft_labels = teacher.soft_labels(device, views)
    _require_vectors(recipe, teacher, soft_labels)
    return _Prepared(
        student=student,
        tokenizer=tokenizer,
        train=train.with_inputs(soft_labels.more_inputs),
        valid=Examples.of(task.valid, tokenizer, max_sequence_length=length, device=device),
        soft_labels=soft_labels,
        edits=edits,
        groups=groups,
    )


def _recipe(
    hyperparameters: Configuration, task: Task, settings: DistillationSettings, *, epochs: int | None, seed: int
) -> Recipe:
    """How a student is trained, by its own hyperparameters and the settings of the study."""
    return Recipe(
        epochs=settings.epochs if epochs is None else epochs,
        batch_size=hyperparameters.batch_size,
        learning_rate=hyperparameters.learning_rate,
        temperature=settings.temperature,
        hard_label_weight=settings.hard_label_weight,
        label_weights=label_weights(settings.class_weights, task, key="distillation.class_weights"),
        weight_decay=settings.weight_decay,
        warmup_ratio=settings.warmup_ratio,
        token_dropout_prob=settings.token_dropout_prob,
        views=settings.views,
        edits=settings.edits,
        contrastive_weight=settings.contrastive_weight,
        representation_weight=settings.representation_weight,
        max_train_inputs=settings.max_train_inputs,
        seed=seed,
    )


def _write(
    directory: Path, student: Any, tokenizer: Any, hyperparameters: Configuration, task: Task, teacher: Teacher
) -> None:
    """A student's directory, its manifest last."""
    directory.mkdir(parents=True, exist_ok=True)
    hyperparameters.family.save_network(student, directory)
    tokenizer.save_pretrained(directory)
    write_manifest(
        directory,
        task_shape=task.shape,
        max_sequence_length=hyperparameters.max_sequence_length,
        is_student=True,
        family=hyperparameters.family.name,
        label_names=task.label_names,
        hyperparameters=hyperparameters.to_dict(),
        language=task.language,
        task=task.kind,
        teacher=teacher.source,
    )


def build_student(
    hyperparameters: Configuration,
    task_shape: TaskShape,
    *,
    label_names: Sequence[str] | None = None,
    seed: int = 0,
) -> Any:
    """A student (see `Network`) at the start of its training; its weights are a function of the seed."""
    with seeded(int(np.random.SeedSequence([seed]).generate_state(1)[0])):
        return hyperparameters.family.build_network(hyperparameters, task_shape, label_names)


def edited_functions(
    task: Task, count: int, cache_dir: Path | None, *, key: str = "distillation.edits"
) -> tuple[str, ...]:
    """Edited texts of the training functions: text k of function i, k from 0, stands at i + k * len(functions).

    They are a pure function of the functions and the count; a function of which nothing can be edited stands there as
    it is.

    Raises:
        InputError: There are to be some, and functions of the task's language cannot be edited.
    """
    if not count:
        return ()
    check_language(task.language, key)
    variants = edited(task.train.functions, task.language, count=count, seed=_EDITS_SEED, cache_dir=cache_dir)
    return tuple(chain.from_iterable(variants))


def _require_vectors(recipe: Recipe, teacher: Teacher, soft_labels: SoftLabels) -> None:
    """Refuse (`InputError`) a loss over vectors of functions where the teacher gives none."""
    for key in ("contrastive_weight", "representation_weight"):
        if getattr(recipe, key) and (not teacher.task.shape.is_pair or soft_labels.vectors is None):
            raise InputError(
                f"distillation.{key}: the teacher must be a model that gives vectors of functions in pairs, "
                f"got {teacher.source}"
            )


def _fingerprint(
    hyperparameters: Configuration, recipe: Recipe, prepared: _Prepared, task: Task, teacher: Teacher, judge: Judge
) -> str:
    """Names a distillation: everything that its outcome depends on but the machine.

    What came later than others is left out where it is not used, so that earlier checkpoints are gone on from.
    """
    edits, groups = prepared.edits, prepared.groups
    values = asdict(recipe)
    if recipe.label_weights is None:
        del values["label_weights"]
    if not edits:
        del values["edits"]
    for name in ("contrastive_weight", "representation_weight"):
        if not values[name]:
            del values[name]
    parts = [hyperparameters.to_dict(), values, task.fingerprint, teacher.fingerprint]
    parts += [judge.metric] if judge.metric != _METRIC else []
    parts += [hashlib.sha256(json.dumps(edits).encode()).hexdigest()] if edits else []
    parts += [hashlib.sha256(groups.tobytes()).hexdigest()] if groups is not None else []
    parts += [f"threshold for {judge.aim}"] if judge.aim is not None else []
    if version := hyperparameters.family.tokenizer_version(hyperparameters):
        parts.append(version)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
