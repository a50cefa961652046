"""`checkpoint`: a fine-tuned model in one of the forms that people have (see `avatar_optuna.teachers.checkpoints`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._kind import PathKind, fingerprint
from avatar_optuna.teachers.checkpoints import OPTION_NAMES, Reading, faults_of, form_of

if TYPE_CHECKING:
    from avatar_optuna.distillation import Classifier, OnEpoch, SimilarityClassifier, Teacher
    from avatar_optuna.teachers.checkpoints import Form


class _Checkpoint(PathKind):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.option_names = (name, *OPTION_NAMES)
        self.path_names = (name, "base")

    def faults(self, settings: TeacherSettings) -> list[str]:
        return [*super().faults(settings), *faults_of(settings)]

    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        """Read the model, let it answer for a few inputs and read some functions."""
        from avatar_optuna.teachers._directory import require_answers

        require_answers(_classifier(settings, task, "cpu")[1], settings.source, task)

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.distillation import DataFlowReader, SimilarityClassifier, Teacher
        from avatar_optuna.teachers._directory import own_decision

        form, classifier = _classifier(settings, task, device)
        reading = form.reading
        parts = [form.files] if form.is_ordinary else [form.files, reading.identity]
        if isinstance(classifier.reader, DataFlowReader):
            parts.append(classifier.reader.to_dict())
        teacher = Teacher(
            source=f"checkpoint: {settings.source}",
            fingerprint=fingerprint(task, *parts, classifier.max_sequence_length, task.label_names),
            task=task,
            classifier=classifier,
            cache_dir=cache_dir,
            sampled_pairs=reading.sampled_pairs,
            decision=own_decision(form.path, classifier, task, reading.labels),
        )
        if isinstance(classifier.network, SimilarityClassifier) and form.odds is None:
            _fit(teacher, classifier.network)
        return teacher


def _classifier(settings: TeacherSettings, task: Task, device: str) -> tuple[Form, Classifier]:
    """The form of a checkpoint, and the classifier that stands in it."""
    from avatar_optuna.teachers._directory import classifier_of_directory
    from avatar_optuna.teachers.checkpoints._made import made_classifier

    form = form_of(settings.source, Reading.of(settings))
    if form.is_ordinary:
        length = settings.max_sequence_length
        return form, classifier_of_directory(form.path, task, device, max_sequence_length=length)
    classifier = made_classifier(form, task, device)
    if form.reading.sampled_pairs and classifier.has_vectors:
        raise InputError(
            "teacher.sampled_pairs must be absent: all pairs are learnt from where functions have vectors, got "
            f"{form.reading.sampled_pairs}"
        )
    return form, classifier


def _fit(teacher: Teacher, network: SimilarityClassifier) -> None:
    """Fit the odds of a similarity to the training labels."""
    import torch

    from avatar_optuna.distillation import fit_odds

    vectors, train = teacher.vectors("train"), teacher.task.train
    assert vectors is not None
    joined = torch.from_numpy(vectors[train.inputs].reshape(len(train), -1))  # (n, 2 k)
    network.scale, network.threshold = fit_odds(network.similarities(joined), torch.from_numpy(train.labels))


KIND = _Checkpoint("checkpoint")
