"""What training a student takes on a device: students that are really trained, on a small part of the data."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from avatar_optuna.distillation import CHECKPOINT_FILE, Classifier, SoftLabels, Teacher, distil
from avatar_optuna.measurement._latency import computing_threads
from avatar_optuna.measurement._student import measure
from avatar_optuna.settings import StudySettings
from avatar_optuna.students import Configuration
from avatar_optuna.tasks import Split, Task, sample

STEPS = 12
"""Of an epoch on the part of the data; there are two epochs, and the second is timed."""
_LEAST_INPUTS = 8
_TEACHER_WIDTH = 64


@dataclass(frozen=True, kw_only=True)
class TimedTraining:
    """What the training of one student takes.

    Args:
        student: Its configuration.
        epoch_s: Seconds of an epoch on all of the data, as the part of it lets expect.
        step_s: Seconds of a training besides its epochs: reading, measuring, writing.
        student_bytes: Of the student's files.
        checkpoint_bytes: Of the checkpoint that a training which is not at its end is gone on from.
        device_memory_bytes: Peak of the GPU's memory, or None on a CPU.
    """

    student: Configuration
    epoch_s: float
    step_s: float
    student_bytes: int
    checkpoint_bytes: int
    device_memory_bytes: int | None


def time_training(
    student: Configuration,
    task: Task,
    settings: StudySettings,
    *,
    device: str,
    threads: int | None = None,
    has_vectors: bool = True,
) -> TimedTraining:
    """Train a student for some steps on a part of the data, with random answers in the place of a teacher's.

    Nothing is written but in a folder that is removed again.

    Args:
        threads: On a CPU; None takes one.
        has_vectors: Whether the teacher gives vectors of the functions of pairs, so that all pairs of a step count.
    """
    by_functions = task.shape.is_pair and has_vectors
    part = _part_of(task, STEPS * int(student.values["batch_size"]) // (2 if by_functions else 1))
    scale = _amount(task.train, settings, by_functions) / _amount(part.train, settings, by_functions)
    is_gpu = device.startswith("cuda")
    if is_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with tempfile.TemporaryDirectory(prefix="avatar-timed-") as folder, computing_threads(device, threads):
        begun = time.perf_counter()
        trained = distil(
            hyperparameters=student,
            task=part,
            teacher=_RandomAnswers(part, has_vectors=has_vectors),
            settings=settings.distillation,
            epochs=max(3, settings.rungs[-1]),
            stop_after=2,
            device=device,
            out_dir=Path(folder) / "student",
        )
        classifier = Classifier.load(trained.directory, task_shape=task.shape, device=device)
        measure(classifier, part, settings.measurement, has_device_alone=False)
        seconds = time.perf_counter() - begun
        sizes = {path.name: path.stat().st_size for path in trained.directory.iterdir() if path.is_file()}
    checkpoint_bytes = sizes.pop(CHECKPOINT_FILE, 0)
    return TimedTraining(
        student=student,
        epoch_s=scale * trained.history[-1].seconds,
        step_s=max(0.0, seconds - trained.seconds),
        student_bytes=sum(sizes.values()),
        checkpoint_bytes=checkpoint_bytes,
        device_memory_bytes=int(torch.cuda.max_memory_allocated(device)) if is_gpu else None,
    )


def spread(students: Sequence[Configuration], sizes: Sequence[float], count: int) -> list[Configuration]:
    """At most `count` of the students, from the one of the smallest to the one of the largest size."""
    order = np.argsort(np.asarray(sizes), kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))
    return [students[index] for index in order[places]]


def _part_of(task: Task, count: int) -> Task:
    """The same share of each split, or all of them; the labels in their proportion."""
    share = min(1.0, count / len(task.train))
    parts = {
        name: sample(split, max(_LEAST_INPUTS, math.ceil(share * len(split))), seed=0)
        for name, split in task.splits.items()
    }
    return Task(kind=task.kind, shape=task.shape, language=task.language, label_names=task.label_names, **parts)


def _amount(split: Split, settings: StudySettings, by_functions: bool) -> int:
    """What an epoch reads: functions, or inputs."""
    if by_functions:
        return len(split.functions)
    return min(len(split), settings.distillation.max_train_inputs or len(split))


class _RandomAnswers(Teacher):
    """Answers nothing that is true, in the form in which a teacher does."""

    def __init__(self, task: Task, *, has_vectors: bool) -> None:
        logits = np.random.default_rng(0).normal(size=(len(task.train), task.shape.num_labels)).astype(np.float32)
        super().__init__(
            source="random answers", fingerprint="", task=task, classifier=None, soft_labels={"train": logits}
        )
        self._has_vectors = has_vectors

    def soft_labels(self, device: str, views: Sequence[str] = ()) -> SoftLabels:
        """Random vectors too, where a teacher would have some."""
        logits = torch.from_numpy(self.logits("train")).to(device)
        if not self._has_vectors or not (self.task.shape.is_pair or views):
            return SoftLabels(logits=logits)
        texts, labels = len(self.task.train.functions) + len(views), self.task.shape.num_labels
        vectors = torch.randn((texts, _TEACHER_WIDTH), generator=torch.Generator().manual_seed(0)).to(device)
        return SoftLabels(logits=logits, vectors=vectors, classify=lambda joined: joined[:, :labels])
