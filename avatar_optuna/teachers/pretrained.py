"""`pretrained`: a directory or hub name of a pretrained encoder, fine-tuned here on the labels."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar_optuna.settings import TeacherSettings, class_weights_faults
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._kind import PathKind
from avatar_optuna.teachers._similarity import groups_digest, is_similarity, pair_faults, require_similar_pairs
from avatar_optuna.teachers.checkpoints import faults_of

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, SimilarityClassifier, Teacher
    from avatar_optuna.teachers._fine_tuning import Untrained

logger = logging.getLogger(__name__)

_MAX_EDITS = 1000
_READS_DATA_FLOW = "graphcodebert"  # in the name of a model that was pretrained with it


class _Pretrained(PathKind):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.option_names = (name, "pair", "edits", "pooling", "class_weights")

    def faults(self, settings: TeacherSettings) -> list[str]:
        faults = [*super().faults(settings), *faults_of(settings, ("pooling",))]
        faults += class_weights_faults(settings.options.get("class_weights", "batch"))
        faults += pair_faults(settings)
        edits = settings.options.get("edits", 0)
        if isinstance(edits, bool) or not isinstance(edits, int) or not 0 <= edits <= _MAX_EDITS:
            faults.append(f"edits must be a whole number from 0 to {_MAX_EDITS}, got {edits!r}")
        elif edits and not is_similarity(settings):
            faults.append('edits must be absent without pair = "similarity": only groups are learnt from edited texts')
        return faults

    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        """Read the model, put a new head on it, and let it answer for a few inputs."""
        import torch

        from avatar_optuna.distillation import Classifier
        from avatar_optuna.teachers._directory import require_answers
        from avatar_optuna.teachers._fine_tuning import label_weights_of

        label_weights_of(settings, task)
        network, tokenizer, length = _untrained(settings, task)
        classifier = Classifier(
            network=network.eval(),
            tokenizer=tokenizer,
            task_shape=task.shape,
            label_names=task.label_names,
            max_sequence_length=length,
            device=torch.device("cpu"),
        )
        require_answers(classifier, settings.source, task)

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.distillation import model_directory
        from avatar_optuna.teachers._directory import files_of
        from avatar_optuna.teachers._fine_tuning import fine_tuned_teacher

        if _READS_DATA_FLOW in settings.source.lower():
            logger.warning(
                "%s is fine-tuned on text alone: with data flow, checkpoints are read, none are trained",
                settings.source,
            )
        digests = "".join(files_of(model_directory(settings.source)).values())
        if is_similarity(settings):
            digests += groups_digest(task)
        return fine_tuned_teacher(
            settings,
            task,
            source=f"pretrained: {settings.source}",
            identity=hashlib.sha256(digests.encode()).hexdigest(),
            untrained=lambda: _untrained(settings, task),
            cache_dir=cache_dir,
            device=device,
            on_epoch=on_epoch,
        )


def _untrained(settings: TeacherSettings, task: Task) -> Untrained:
    from avatar_optuna.distillation import (
        load_pretrained,
        load_tokenizer,
        longest_sequence,
        model_directory,
        require_embeddings,
        settle_padding,
    )
    from avatar_optuna.teachers.checkpoints.sentence_transformers import own_pooling

    if is_similarity(settings):
        network: Any = _similarity(settings, task)
    else:
        pooling = settings.options.get("pooling") or own_pooling(model_directory(settings.source))
        network = load_pretrained(settings.source, task.shape, task.label_names, pooling=pooling)
    tokenizer = load_tokenizer(settings.source)
    settle_padding(settings.source, network, tokenizer)
    require_embeddings(settings.source, network, tokenizer)
    return network, tokenizer, min(settings.max_sequence_length, longest_sequence(network, tokenizer))


def _similarity(settings: TeacherSettings, task: Task) -> SimilarityClassifier:
    """An encoder whose vectors are compared; of a directory of sentence-transformers its own modules."""
    from avatar_optuna.distillation import SentenceEncoder, SimilarityClassifier, default_pooling, load_encoder
    from avatar_optuna.teachers.checkpoints import Reading, form_of

    require_similar_pairs(settings, task)
    pooling = settings.options.get("pooling")
    reading = Reading(max_sequence_length=settings.max_sequence_length, pooling=pooling)
    form = form_of(settings.source, reading)
    if form.pair == "similarity":
        return SimilarityClassifier(form.sentence_encoder(), "cosine")
    model = load_encoder(settings.source, may_lack=True)
    return SimilarityClassifier(SentenceEncoder(model, (pooling or default_pooling(model.config),)), "cosine")


KIND = _Pretrained("pretrained")
