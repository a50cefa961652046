"""`architecture`: a table of sizes of a model that is trained here from scratch on the labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_optuna.settings import TeacherSettings, class_weights_faults
from avatar_optuna.students.transformer import POSITION_OFFSET
from avatar_optuna.tasks import Task
from avatar_optuna.teachers._similarity import groups_digest, is_similarity, pair_faults, require_similar_pairs

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, Teacher
    from avatar_optuna.teachers._fine_tuning import Untrained

_SIZES = {
    "vocab_size": (100, 10**6),
    "num_hidden_layers": (1, 96),
    "hidden_size": (8, 16_384),
    "intermediate_size": (8, 65_536),
    "num_attention_heads": (1, 256),
}


class _Architecture:
    option_names = ("architecture", "pair", "class_weights")
    path_names: tuple[str, ...] = ()

    def faults(self, settings: TeacherSettings) -> list[str]:
        sizes = settings.source
        if not isinstance(sizes, Mapping) or set(sizes) != set(_SIZES):
            return [f"architecture must be a table with exactly {', '.join(_SIZES)}, got {sizes!r}"]
        faults = [
            f"architecture {name} must be a whole number from {low} to {high}, got {sizes[name]!r}"
            for name, (low, high) in _SIZES.items()
            if not (isinstance(sizes[name], int) and not isinstance(sizes[name], bool) and low <= sizes[name] <= high)
        ]
        if not faults and sizes["hidden_size"] % sizes["num_attention_heads"]:
            faults = [f"architecture needs heads that divide the width, got {sizes!r}"]
        return [*faults, *class_weights_faults(settings.options.get("class_weights", "batch")), *pair_faults(settings)]

    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        """Nothing is read: what may be refused are the names of labels."""
        from avatar_optuna.teachers._fine_tuning import label_weights_of

        label_weights_of(settings, task)
        if is_similarity(settings):
            require_similar_pairs(settings, task)

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.teachers._fine_tuning import fine_tuned_teacher

        sizes = dict(settings.source)
        return fine_tuned_teacher(
            settings,
            task,
            source=f"architecture: {json.dumps(sizes, sort_keys=True)}",
            identity=groups_digest(task) if is_similarity(settings) else "",
            untrained=lambda: _untrained(settings, task, cache_dir),
            cache_dir=cache_dir,
            device=device,
            on_epoch=on_epoch,
        )


def _untrained(settings: TeacherSettings, task: Task, cache_dir: Path) -> Untrained:
    from avatar_optuna.distillation import (
        SentenceEncoder,
        SimilarityClassifier,
        StudentConfig,
        StudentForSequenceClassification,
        new_encoder,
        train_tokenizer,
    )

    sizes, length = settings.source, settings.max_sequence_length
    tokenizer = train_tokenizer("BPE", sizes["vocab_size"], task.train.functions, cache_dir)
    tokenizer.model_max_length = length
    if is_similarity(settings):
        dropout = {"hidden_dropout_prob": _DROPOUT, "attention_probs_dropout_prob": _DROPOUT}
        encoder = new_encoder({**sizes, **dropout, "max_position_embeddings": length + POSITION_OFFSET})
        return SimilarityClassifier(SentenceEncoder(encoder, ("mean",)), "cosine"), tokenizer, length
    config = StudentConfig(
        **sizes,
        hidden_dropout_prob=_DROPOUT,
        attention_probs_dropout_prob=_DROPOUT,
        max_position_embeddings=length + POSITION_OFFSET,
        num_functions=task.shape.arity,
        id2label=dict(enumerate(task.label_names)),
        label2id={name: index for index, name in enumerate(task.label_names)},
    )
    return StudentForSequenceClassification(config), tokenizer, length


_DROPOUT = 0.0
"""From scratch on little data, noise on both functions buries what is alike in them."""


KIND = _Architecture()
