"""The teacher, wherever it comes from, and what it says of each split, computed once."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from avatar_optuna.distillation._classifier import (
    MANIFEST_FILE,
    Classifier,
    classify_all,
    load_tokenizer,
    longest_sequence,
    write_manifest,
)
from avatar_optuna.distillation._files import locked, sha256_of, write_array
from avatar_optuna.distillation._networks import PAIR_HEAD_FILE, WEIGHTS_FILE, load_pretrained, model_directory
from avatar_optuna.distillation._recipe import Examples, OnEpoch, Recipe, SoftLabels
from avatar_optuna.distillation._similarity import start_as_similarity
from avatar_optuna.distillation._student import StudentConfig, StudentForSequenceClassification
from avatar_optuna.distillation._tokenizers import train_tokenizer
from avatar_optuna.distillation._tokens import Tokens
from avatar_optuna.distillation._training import EVALUATION_BATCH, Trainer
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.students.transformer import POSITION_OFFSET
from avatar_optuna.tasks import Split, Task

logger = logging.getLogger(__name__)

_PATIENCE = 3  # epochs without a better one before a teacher's training stops
_SOFT_LABEL_SPLITS = ("train", "valid")


class Teacher:
    """What students learn from.

    Args:
        source: What the study file named, such as "checkpoint: /models/codebert".
        fingerprint: SHA-256 over what its answers depend on.
        task: What it answers for.
        classifier: The model, or None where only its soft labels are known.
        soft_labels: Logits by split, where there is no model.
        cache_dir: For function vectors; None keeps them in memory alone.
    """

    def __init__(
        self,
        *,
        source: str,
        fingerprint: str,
        task: Task,
        classifier: Classifier | None,
        soft_labels: dict[str, npt.NDArray[np.float32]] | None = None,
        cache_dir: Path | None = None,
    ) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.task = task
        self.classifier = classifier
        self._cache_dir = cache_dir
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        self._logits = dict(soft_labels or {})

    @property
    def model(self) -> nn.Module | None:
        """The network (see `Network`), or None."""
        return self.classifier.network if self.classifier is not None else None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase | None:
        """Its tokenizer, or None."""
        return self.classifier.tokenizer if self.classifier is not None else None

    def vectors(self, split_name: str) -> npt.NDArray[np.float32] | None:
        """Vectors (functions, k) of a split's functions, computed once and cached; None where there is no model."""
        if self.classifier is None:
            return None
        if split_name not in self._vectors:
            functions = self.task.splits[split_name].functions
            self._vectors[split_name] = self._cached_vectors(self.classifier, split_name, functions)
        return self._vectors[split_name]

    def logits(self, split_name: str) -> npt.NDArray[np.float32]:
        """Logits (n, labels) of a split's inputs.

        Raises:
            InputError: Only soft labels are known, and not for this split.
        """
        if split_name not in self._logits:
            vectors = self.vectors(split_name)
            if vectors is None or self.classifier is None:
                raise InputError(f"teacher {self.source}: it has no soft labels for the {split_name} split")
            device = self.classifier.device
            joined = classify_all(
                self.classifier.network, torch.from_numpy(vectors).to(device), self.task.splits[split_name].inputs
            )
            self._logits[split_name] = joined.cpu().numpy()
        return self._logits[split_name]

    def soft_labels(self, device: str, views: Sequence[str] = ()) -> SoftLabels:
        """What the training engine needs of it, on a device.

        Args:
            device: cpu, cuda or cuda:N.
            views: Texts besides the training functions, whose vectors follow theirs.

        Raises:
            InputError: There are views, and only soft labels are known.
        """
        logits = torch.from_numpy(self.logits("train")).to(device)
        if self.classifier is None and views:
            raise InputError(f"distillation.views: the teacher must be a model that labels them, got {self.source}")
        if self.classifier is None or (not self.task.shape.is_pair and not views):
            return SoftLabels(logits=logits)
        vectors = self.vectors("train")
        if views:
            name = f"views_{hashlib.sha256(json.dumps(views).encode()).hexdigest()[:32]}"
            vectors = np.concatenate([vectors, self._cached_vectors(self.classifier, name, views)])
        classify = self.classifier.network.to(device).classify
        return SoftLabels(logits=logits, vectors=torch.from_numpy(vectors).to(device), classify=classify)

    def _cached_vectors(self, classifier: Classifier, name: str, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        batch_size = EVALUATION_BATCH[classifier.device.type]
        if self._cache_dir is None:
            return classifier.encode(texts, batch_size=batch_size)
        path = self._cache_dir / "teachers" / self.fingerprint[:32] / f"vectors_{name}.npy"
        with locked(path):
            if not path.is_file():
                logger.info("the teacher reads %d functions (%s)", len(texts), name)
                write_array(path, classifier.encode(texts, batch_size=batch_size))
        loaded: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        return loaded


def load_teacher(
    settings: TeacherSettings,
    task: Task,
    *,
    cache_dir: Path,
    device: str = "cpu",
    on_epoch: OnEpoch | None = None,
) -> Teacher:
    """The teacher that a study file names; one that must be trained first is trained, and found trained the next time.

    Processes that want the same untrained teacher at once wait for the first to train it. Its training goes on from
    its last finished epoch after an interruption.

    Args:
        settings: The section `[teacher]`.
        task: What it answers for; checkpoints and training are of the task's form.
        cache_dir: For trained teachers and function vectors.
        device: cpu, cuda or cuda:N.
        on_epoch: Called after each epoch of its training.

    Raises:
        InputError: The source is absent, of another form, or not for this task.
        DivergenceError: Its training lost itself.
    """
    if settings.soft_labels is not None:
        return _from_soft_labels(Path(settings.soft_labels), task)
    if settings.checkpoint is not None:
        directory = model_directory(settings.checkpoint)
        length = settings.max_sequence_length
        return _from_directory(
            directory, f"checkpoint: {settings.checkpoint}", task, cache_dir, device, max_sequence_length=length
        )
    if settings.pretrained is not None:
        source, identity = f"pretrained: {settings.pretrained}", _weights_hash(model_directory(settings.pretrained))
    else:
        source, identity = f"architecture: {json.dumps(dict(settings.architecture or {}), sort_keys=True)}", ""
    key = json.dumps([settings.to_dict() | {"pretrained": None}, identity, task.fingerprint], sort_keys=True)
    directory = cache_dir / "teachers" / f"trained-{hashlib.sha256(key.encode()).hexdigest()[:32]}"
    with locked(directory):
        if not (directory / MANIFEST_FILE).is_file():
            _fine_tune(settings, task, directory, cache_dir, device, on_epoch)
    return _from_directory(directory, source, task, cache_dir, device)


def check_teacher(settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
    """Refuse a teacher that cannot be read, without training one.

    Args:
        settings: The section `[teacher]`.
        task: What it is to answer for.
        cache_dir: As of `load_teacher`.

    Raises:
        InputError: The source is absent, of another form, or not for this task.
    """
    if settings.pretrained is not None:
        model_directory(settings.pretrained)
    elif settings.architecture is None:
        load_teacher(settings, task, cache_dir=cache_dir)


def _from_directory(
    directory: Path, source: str, task: Task, cache_dir: Path, device: str, *, max_sequence_length: int | None = None
) -> Teacher:
    classifier = Classifier.load(directory, task_shape=task.shape, device=device)
    if max_sequence_length is not None and max_sequence_length < classifier.max_sequence_length:
        classifier = replace(classifier, max_sequence_length=max_sequence_length)
    parts = [_weights_hash(directory), task.fingerprint, classifier.max_sequence_length]
    fingerprint = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return Teacher(source=source, fingerprint=fingerprint, task=task, classifier=classifier, cache_dir=cache_dir)


def _weights_hash(directory: Path) -> str:
    """SHA-256 over the weights and the tokenizer of a directory."""
    names = (WEIGHTS_FILE, PAIR_HEAD_FILE, "config.json", "tokenizer.json")
    shards = sorted(path.name for path in directory.glob("model-*.safetensors"))
    files = [directory / name for name in (*names, *shards) if (directory / name).is_file()]
    return hashlib.sha256("".join(sha256_of(path) for path in files).encode()).hexdigest()


def _from_soft_labels(folder: Path, task: Task) -> Teacher:
    logits, digests = {}, []
    for name in _SOFT_LABEL_SPLITS:
        path = folder / f"soft_labels_{name}.npy"
        try:
            array: npt.NDArray[Any] = np.load(path, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: it must be a NumPy array of soft labels, it is absent or none") from error
        expected = (len(task.splits[name]), task.shape.num_labels)
        if array.shape != expected or not np.issubdtype(array.dtype, np.floating):
            raise InputError(f"{path}: it must hold floats of shape {expected}, got {array.dtype} {array.shape}")
        if not np.isfinite(array).all():
            raise InputError(
                f"{path}: every logit must be finite, row {int(np.argwhere(~np.isfinite(array))[0, 0])} is not"
            )
        logits[name] = array.astype(np.float32)
        digests.append(sha256_of(path))
    fingerprint = hashlib.sha256(json.dumps([digests, task.fingerprint]).encode()).hexdigest()
    return Teacher(
        source=f"soft_labels: {folder}", fingerprint=fingerprint, task=task, classifier=None, soft_labels=logits
    )


def _fine_tune(
    settings: TeacherSettings, task: Task, directory: Path, cache_dir: Path, device: str, on_epoch: OnEpoch | None
) -> None:
    """Train a teacher on the labels and write its directory; its manifest, written last, says that it is whole."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network, tokenizer, length = _untrained(settings, task, cache_dir)
    network.to(device)

    def examples(split: Split) -> Examples:
        tokens = Tokens.tokenize(tokenizer, split.functions, max_sequence_length=length, device=device)
        return Examples(tokens=tokens, inputs=split.inputs, labels=split.labels)

    train = examples(task.train)
    if isinstance(network, StudentForSequenceClassification) and task.shape.is_pair:
        start_as_similarity(network, train, seed=settings.seed)
    trainer = Trainer(
        network,
        recipe=Recipe(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            hard_label_weight=1.0,
            patience=_PATIENCE,
            seed=settings.seed,
        ),
        train=train,
        valid=examples(task.valid),
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
    history = [record.to_dict() for record in trainer.history]
    write_manifest(
        directory,
        task_shape=task.shape,
        label_names=task.label_names,
        max_sequence_length=length,
        is_student=is_student,
        valid=best.valid,
        history=history,
    )


def _untrained(
    settings: TeacherSettings, task: Task, cache_dir: Path
) -> tuple[nn.Module, PreTrainedTokenizerBase, int]:
    """A network before its training, its tokenizer, and its longest sequence."""
    if settings.pretrained is not None:
        network = load_pretrained(settings.pretrained, task.shape, task.label_names)
        tokenizer = load_tokenizer(settings.pretrained)
        return network, tokenizer, min(settings.max_sequence_length, longest_sequence(network, tokenizer))
    sizes: dict[str, Any] = dict(settings.architecture or {})
    own = train_tokenizer("BPE", sizes["vocab_size"], task.train.functions, cache_dir)
    own.model_max_length = settings.max_sequence_length
    config = StudentConfig(
        **sizes,
        hidden_dropout_prob=0.0,  # from scratch on little data, noise on both functions buries what is alike in them
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=settings.max_sequence_length + POSITION_OFFSET,
        num_functions=task.shape.arity,
        id2label=dict(enumerate(task.label_names)),
        label2id={name: index for index, name in enumerate(task.label_names)},
    )
    return StudentForSequenceClassification(config), own, settings.max_sequence_length
