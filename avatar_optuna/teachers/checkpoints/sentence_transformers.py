"""A directory of sentence-transformers (`modules.json`): its encoder, its pooling, its dense layers."""

from __future__ import annotations

import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import nn

from avatar_optuna.distillation import (
    ACTIVATIONS,
    POOLING_KEYS,
    POOLING_MODES,
    SIMILARITIES,
    DenseLayer,
    SentenceEncoder,
    first_line,
    load_encoder,
    load_sequence_classifier,
)
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import read_json, sha256_of
from avatar_optuna.manifest import MANIFEST_FILE, read_manifest
from avatar_optuna.teachers._directory import files_of
from avatar_optuna.teachers.checkpoints._form import Form
from avatar_optuna.teachers.checkpoints._reading import Reading

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODULES_FILE = "modules.json"
_SETTINGS_FILE, _MODEL_FILE = "config_sentence_transformers.json", "sentence_bert_config.json"


class _SentenceTransformers(Form):
    @classmethod
    def is_of(cls, path: Path) -> bool:
        return (path / MODULES_FILE).is_file()

    @cached_property
    def modules(self) -> list[tuple[str, Path]]:
        """Kind and directory of each module after the transformer, and the transformer first."""
        listed = read_json(self.path / MODULES_FILE)
        try:
            modules = [(str(entry["type"]).rpartition(".")[2], self.path / entry["path"]) for entry in listed]
        except (TypeError, KeyError) as error:
            raise InputError(f"teacher {self.source}: {MODULES_FILE} must list modules, it does not") from error
        kinds = [kind for kind, _ in modules]
        is_known = kinds[:2] == ["Transformer", "Pooling"] and set(kinds[2:]) <= {"Dense", "Normalize", "Dropout"}
        if not is_known or "Normalize" in kinds[:-1]:
            raise InputError(
                f"teacher {self.source}: its modules must be Transformer, Pooling, then Dense and at the end "
                f"Normalize, got {', '.join(kinds)}"
            )
        return modules

    @property
    def transformer(self) -> Path:
        return self.modules[0][1]

    @property
    def tokenizer_directory(self) -> Path:
        return self.transformer

    @property
    def files(self) -> dict[str, str]:
        nested = {
            str(path.relative_to(self.path)): sha256_of(path)
            for _, folder in self.modules[1:]
            if folder.is_dir()
            for path in sorted(folder.iterdir())
            if path.is_file()
        }
        return {**files_of(self.path), **files_of(self.transformer), **nested}

    @property
    def pair(self) -> str | None:
        return "similarity"

    def sequence_classifier(self) -> PreTrainedModel:
        """Only where a head was fine-tuned in the same directory; as a rule it is refused."""
        return load_sequence_classifier(str(self.transformer))

    def encoder(self) -> PreTrainedModel:
        return load_encoder(str(self.transformer))

    def sentence_encoder(self) -> SentenceEncoder:
        settings = _object(self.path / _SETTINGS_FILE)
        prompts, name = settings.get("prompts"), settings.get("default_prompt_name")
        prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
        if prompt:
            raise InputError(
                f"teacher {self.source}: it must read texts without a prompt, it puts {prompt!r} before them"
            )
        dense = [self._dense(folder) for kind, folder in self.modules if kind == "Dense"]
        poolings = (self.reading.pooling,) if self.reading.pooling is not None else self.poolings
        encoder: Any = self.encoder()
        width = encoder.config.hidden_size * len(poolings)
        for layer in dense:
            if layer.linear.in_features != width:
                raise InputError(
                    f"teacher {self.source}: a Dense must take vectors of {layer.linear.in_features} numbers, those of "
                    f"the pooling {', '.join(poolings)} have {width}"
                )
            width = layer.linear.out_features
        is_normalized = self.modules[-1][0] == "Normalize"
        return SentenceEncoder(encoder, poolings, dense=dense, is_normalized=is_normalized)

    @property
    def poolings(self) -> tuple[str, ...]:
        config = _object(self.modules[1][1] / "config.json")
        named = config.get("pooling_mode")
        if named is not None:
            names = named if isinstance(named, list) else [named]
            poolings = tuple(POOLING_MODES[name] for name in names if isinstance(name, str) and name in POOLING_MODES)
        else:
            poolings = tuple(pooling for key, pooling in POOLING_KEYS.items() if config.get(key) is True)
        if not poolings:
            raise InputError(f"teacher {self.source}: the configuration of its Pooling must name one, got {config}")
        return poolings

    def _dense(self, folder: Path) -> DenseLayer:
        config = _object(folder / "config.json")
        name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
        if name not in ACTIVATIONS:
            raise InputError(
                f"teacher {self.source}: the activation of a Dense must be one of {', '.join(ACTIVATIONS)}, got {name}"
            )
        try:
            linear = nn.Linear(config["in_features"], config["out_features"], bias=config.get("bias", True))
            tensors = _weights(folder)
            linear.load_state_dict({key.removeprefix("linear."): value.float() for key, value in tensors.items()})
        except Exception as error:  # of json, safetensors and torch
            raise InputError(f"teacher {self.source}: {folder.name} must hold a Dense: {first_line(error)}") from error
        return DenseLayer(linear, name)

    @property
    def similarity(self) -> str:
        if self.reading.similarity is not None:
            return self.reading.similarity
        name = _object(self.path / _SETTINGS_FILE).get("similarity_fn_name") or "cosine"
        if name not in SIMILARITIES:
            raise InputError(
                f"teacher {self.source}: its similarity must be one of {', '.join(SIMILARITIES)}, got {name!r}"
            )
        return str(name)

    @property
    def odds(self) -> tuple[float, float] | None:
        if not (self.path / MANIFEST_FILE).is_file():
            return None
        stored = read_manifest(self.path).get("odds")
        if stored is None:
            return None
        is_pair = isinstance(stored, list) and len(stored) == 2 and all(isinstance(one, float) for one in stored)
        if not is_pair or not all(map(math.isfinite, stored)):
            raise InputError(f"teacher {self.source}: odds of {MANIFEST_FILE} must be two numbers, got {stored!r}")
        return stored[0], stored[1]

    @property
    def longest(self) -> int | None:
        length = _object(self.transformer / _MODEL_FILE).get("max_seq_length")
        if length is not None and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
            raise InputError(
                f"teacher {self.source}: max_seq_length of {_MODEL_FILE} must be a whole number of at least 1, "
                f"got {length!r}"
            )
        return length

    @property
    def is_lower_cased(self) -> bool:
        return bool(_object(self.transformer / _MODEL_FILE).get("do_lower_case"))


def _weights(folder: Path) -> dict[str, Any]:
    if (folder / "model.safetensors").is_file():
        return load_file(folder / "model.safetensors")
    loaded: dict[str, Any] = torch.load(folder / "pytorch_model.bin", weights_only=True, map_location="cpu")
    return loaded


def _object(path: Path) -> dict[str, Any]:
    """The object of a JSON file; an absent one is empty."""
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def own_pooling(directory: Path) -> str | None:
    """The pooling that a directory of sentence-transformers names, for a head that is trained on its vectors.

    None where the directory is none of them, or joins several poolings.
    """
    if not _SentenceTransformers.is_of(directory):
        return None
    form = _SentenceTransformers(str(directory), directory, Reading(max_sequence_length=1))
    return form.poolings[0] if len(form.poolings) == 1 else None


FORM = _SentenceTransformers
