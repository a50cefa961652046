"""A teacher from a directory of a fine-tuned model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from avatar_optuna.decision import Decision
from avatar_optuna.distillation import (
    Classifier,
    FunctionInputs,
    SingleClassifier,
    Teacher,
    first_line,
    holds_pickled_weights,
)
from avatar_optuna.exceptions import InputError, is_failure
from avatar_optuna.files import sha256_of
from avatar_optuna.manifest import read_manifest, stored_decision
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._kind import fingerprint

_TRIED_INPUTS, _TRIED_FUNCTIONS = 8, 200
_READ = (".json", ".safetensors", ".txt", ".model")
_NOT_READ = ("avatar.json",)  # it says how long the training took, and which hashes the other files have


def teacher_of_directory(directory: Path, source: str, task: Task, cache_dir: Path, device: str) -> Teacher:
    """The teacher of a directory.

    Raises:
        InputError: It is no such directory, or not of this task.
    """
    classifier = classifier_of_directory(directory, task, device)
    return Teacher(
        source=source,
        fingerprint=fingerprint(task, files_of(directory), classifier.max_sequence_length, task.label_names),
        task=task,
        classifier=classifier,
        cache_dir=cache_dir,
    )


def classifier_of_directory(
    directory: Path, task: Task, device: str, *, max_sequence_length: int | None = None
) -> Classifier:
    """The classifier of a directory.

    Args:
        max_sequence_length: Cut longer functions, where the model would take more; None takes the model's own.

    Raises:
        InputError: It is no such directory, or not of this task.
    """
    classifier = Classifier.load(directory, task_shape=task.shape, label_names=task.label_names, device=device)
    if max_sequence_length is not None and max_sequence_length < classifier.max_sequence_length:
        classifier = replace(classifier, max_sequence_length=max_sequence_length)
    return classifier


def own_decision(
    directory: Path, classifier: Classifier, task: Task, labels: Sequence[str] | None = None
) -> Decision | None:
    """The decision that a directory keeps, for the labels in the order of the task; None where it keeps none.

    Args:
        directory: A checkpoint, which may be a file.
        labels: The label of each of its logits, where the study file says them.

    Raises:
        InputError: Its manifest is malformed, or a temperature or threshold is none.
    """
    kept = stored_decision(directory)
    if kept is None or task.shape.num_labels != 2:
        return kept
    if labels is None and isinstance(classifier.network, SingleClassifier):  # others answer in the order of their files
        labels = read_manifest(directory).get("label_names")
    is_reversed = labels is not None and _folded(labels) == _folded(task.label_names)[::-1]
    return kept.mirrored() if is_reversed else kept


def _folded(names: Sequence[str]) -> list[str]:
    return [name.casefold() for name in names]


def require_answers(classifier: Classifier, source: str, task: Task) -> None:
    """Refuse a model that cannot classify a few inputs of a task, or reads all functions as the same.

    Raises:
        InputError: It is one.
    """
    few = task.valid.take(np.arange(min(_TRIED_INPUTS, len(task.valid))))
    try:
        logits = classifier.predict_logits(few.functions, few.inputs)
    except InputError:
        raise
    except BaseException as error:  # whatever a model raises for inputs that it does not take
        if not is_failure(error):
            raise
        raise InputError(
            f"teacher {source}: it must classify functions in batches, it cannot: {first_line(error)}"
        ) from error
    if not np.isfinite(logits).all():
        row = int(np.flatnonzero(~np.isfinite(logits).all(axis=1))[0])
        raise InputError(f"teacher {source}: every logit must be finite, got {logits[row].tolist()}")
    _require_distinct_sequences(classifier.tokens(task.train.functions[:_TRIED_FUNCTIONS]), source)


def _require_distinct_sequences(tokens: FunctionInputs, source: str) -> None:
    """Refuse a tokenizer to which all functions are the same.

    Raises:
        InputError: They are.
    """
    ids = tokens.ids.cpu().numpy()
    ends = np.cumsum(tokens.host_lengths)
    if len(ends) > 1 and len({row.tobytes() for row in np.split(ids, ends[:-1])}) == 1:
        raise InputError(f"teacher {source}: its tokenizer must tell functions apart, all have the same ids")


def files_of(directory: Path) -> dict[str, str]:
    """SHA-256 by name of each file that a model and its tokenizer are read from."""
    suffixes = (*_READ, ".bin") if holds_pickled_weights(directory) else _READ
    return {
        path.name: sha256_of(path)
        for path in sorted(directory.iterdir())
        if path.suffix in suffixes and path.name not in _NOT_READ and path.is_file()
    }
