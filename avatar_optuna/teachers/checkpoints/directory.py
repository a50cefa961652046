"""A directory as transformers writes it: a sequence classifier, or an encoder with `pair_head.safetensors`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from avatar_optuna.distillation import PAIR_HEAD_FILE, load_encoder, load_sequence_classifier, read_pair_head
from avatar_optuna.manifest import MANIFEST_FILE, read_manifest
from avatar_optuna.teachers._directory import files_of
from avatar_optuna.teachers.checkpoints._form import Form

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel


class _Directory(Form):
    @classmethod
    def is_of(cls, path: Path) -> bool:
        return True

    @property
    def files(self) -> dict[str, str]:
        return files_of(self.path)

    @property
    def pair(self) -> str | None:
        if (self.path / PAIR_HEAD_FILE).is_file():
            return "head"
        is_ours = (self.path / MANIFEST_FILE).is_file()
        return read_manifest(self.path).get("pair") if is_ours else None

    @property
    def is_ordinary(self) -> bool:
        return self.reading.is_plain and self.pair in (None, "head")

    def sequence_classifier(self) -> PreTrainedModel:
        return load_sequence_classifier(str(self.path))

    def encoder(self) -> PreTrainedModel:
        return load_encoder(str(self.path))

    def pair_head(self) -> tuple[Mapping[str, Tensor], str]:
        tensors, pooling = read_pair_head(self.source, self.path)
        return tensors, self.reading.pooling or pooling


FORM = _Directory
