"""A bare state dict (`model.bin`, `pytorch_model.bin`) of published code; configuration and tokenizer come from `base`.

Nothing but tensors is unpickled. Keys stand below `encoder.`, `encoder.roberta.` and the like, after `module.` where a
model was saved in parallel form. The classifier nearest to the top is the trained one: GraphCodeBERT's clone detectors
carry another below the encoder, which was never trained.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification

from avatar_optuna.distillation import (
    DenseLayer,
    SentenceEncoder,
    encoder_prefix,
    first_line,
    model_directory,
    model_of_tensors,
    weight_shapes,
)
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import sha256_of
from avatar_optuna.teachers._directory import files_of
from avatar_optuna.teachers.checkpoints._form import Form

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_SUFFIXES = (".bin", ".pt", ".pth", ".safetensors")
_USUAL_NAMES = ("model.bin",)
_NESTED = ("state_dict", "model_state_dict", "model")
_HEAD = re.compile(r"(?P<prefix>(?:\w+\.)*?)(?P<name>classifier|score|classification_head)\.(?P<rest>.+)")
_LAST_LAYERS = ("out_proj.weight", "weight")


@dataclass(frozen=True, kw_only=True)
class EncoderAndHead:
    """What a state dict holds.

    Args:
        encoder: Tensors of the encoder, by the names of `AutoModel`.
        head: Tensors of the trained head, by their names below it, such as "dense.weight"; empty where there is none.
        head_name: What the head is called, such as "classifier".
        dead_heads: Prefixes of the heads that were never trained.
    """

    encoder: Mapping[str, Tensor]
    head: Mapping[str, Tensor]
    head_name: str
    dead_heads: tuple[str, ...]

    @property
    def is_of_pairs(self) -> bool:
        """Whether the head reads two vectors."""
        dense = self.head.get("dense.weight")
        return dense is not None and dense.ndim == 2 and dense.shape[1] == 2 * dense.shape[0]

    @property
    def num_logits(self) -> int:
        """Logits of the head; 0 where there is none."""
        last = next((self.head[name] for name in _LAST_LAYERS if name in self.head), None)
        return 0 if last is None or last.ndim != 2 else int(last.shape[0])


def read_state_dict(path: Path, source: str) -> dict[str, Tensor]:
    """The tensors of a file, in float32, without `module.` before their names; nothing else is unpickled.

    Raises:
        InputError: It holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            loaded: Any = load_file(path)
        else:
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch, its unpickler, zipfile and safetensors
        raise InputError(
            f"teacher {source}: it must be a state dict of torch.save that weights_only reads: {_reason(error)}"
        ) from error
    if isinstance(loaded, Mapping):
        nested = [loaded[name] for name in _NESTED if isinstance(loaded.get(name), Mapping)]
        loaded = nested[0] if len(nested) == 1 else loaded
    if (
        not isinstance(loaded, Mapping)
        or not loaded
        or not all(isinstance(one, torch.Tensor) for one in loaded.values())
    ):
        raise InputError(f"teacher {source}: it must be a state dict of tensors by name, it holds something else")
    tensors = {str(key): value.float() if value.is_floating_point() else value for key, value in loaded.items()}
    while all(key.startswith("module.") for key in tensors):
        tensors = {key.removeprefix("module."): value for key, value in tensors.items()}
    return {key: value for key, value in tensors.items() if not key.endswith("position_ids")}


def encoder_and_head(tensors: Mapping[str, Tensor], config: Any, source: str, base: str) -> EncoderAndHead:
    """Tell encoder, trained head and dead heads of a state dict apart.

    Args:
        config: Configuration of the base model.
        base: Its name, for messages.

    Raises:
        InputError: The encoder is another one than the base model's.
    """
    shapes = weight_shapes(f"teacher.base {base}: it", config)
    needed = {key: shape for key, shape in shapes.items() if "pooler" not in key and not key.endswith("position_ids")}
    prefix = _prefix(tensors, needed, source, base)
    encoder = {key: tensors[prefix + key] for key in shapes if prefix + key in tensors}
    for key, shape in needed.items():
        if encoder[key].shape != shape:
            raise InputError(
                f"teacher {source}: {key} must have the shape {tuple(shape)} of the base model {base}, it has "
                f"{tuple(encoder[key].shape)}"
            )
    heads: dict[tuple[str, str], dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        is_encoder = key.startswith(prefix) and key.removeprefix(prefix) in shapes
        if not is_encoder and (match := _HEAD.fullmatch(key)) is not None:
            heads.setdefault((match["prefix"], match["name"]), {})[match["rest"]] = tensor
    ordered = sorted(heads, key=lambda place: place[0].count("."))
    return EncoderAndHead(
        encoder=encoder,
        head=heads[ordered[0]] if ordered else {},
        head_name=ordered[0][1] if ordered else "",
        dead_heads=tuple(place[0] for place in ordered[1:]),
    )


def _prefix(tensors: Mapping[str, Tensor], needed: Mapping[str, Any], source: str, base: str) -> str:
    """What stands before the names of the encoder."""
    marker = next(iter(needed))
    candidates = [key.removesuffix(marker) for key in tensors if key == marker or key.endswith(f".{marker}")]
    for prefix in candidates:
        if all(prefix + key in tensors for key in needed):
            return prefix
    lacking = next((key for prefix in candidates for key in needed if prefix + key not in tensors), marker)
    raise InputError(f"teacher {source}: it must hold the encoder of the base model {base}, it lacks {lacking}")


def _reason(error: BaseException) -> str:
    line = first_line(error)
    return line if len(line) <= 120 else f"{line[:120]}..."


class _StateDict(Form):
    @classmethod
    def is_of(cls, path: Path) -> bool:
        return path.is_file() or (not (path / "config.json").is_file() and cls._file(path).is_file())

    @staticmethod
    def _file(path: Path) -> Path:
        return path if path.is_file() else path / _USUAL_NAMES[0]

    @cached_property
    def base(self) -> Path:
        own = self._file(self.path).parent
        if self.reading.base is not None:
            return model_directory(self.reading.base, has_weights=False)
        if (own / "config.json").is_file():
            return own
        raise InputError(
            f"teacher {self.source}: set teacher.base to the model that the state dict was trained from, such as "
            '"microsoft/codebert-base" or a directory: configuration and tokenizer come from there'
        )

    @property
    def tokenizer_directory(self) -> Path:
        return self.base

    @property
    def files(self) -> dict[str, str]:
        weights = (".safetensors", ".bin")  # of the base model: they are not read
        read = {name: digest for name, digest in files_of(self.base).items() if not name.endswith(weights)}
        return {"state_dict": sha256_of(self._file(self.path)), **{f"base/{name}": one for name, one in read.items()}}

    @cached_property
    def config(self) -> Any:
        try:
            return AutoConfig.from_pretrained(self.base)
        except Exception as error:  # whatever a configuration's class makes of a value
            raise InputError(
                f"teacher.base {self.base}: config.json must describe a model of transformers: {first_line(error)}"
            ) from error

    @cached_property
    def parts(self) -> EncoderAndHead:
        tensors = read_state_dict(self._file(self.path), self.source)
        return encoder_and_head(tensors, self.config, self.source, self.reading.base or str(self.base))

    @property
    def pair(self) -> str | None:
        return "head" if self.parts.is_of_pairs else None

    def require_sound(self, *, is_pair: bool) -> None:
        parts, keys = self.parts, {"lower_case": "is its text lower-cased?", "one_line": "is white space joined?"}
        if parts.dead_heads and parts.is_of_pairs and self.reading.data_flow is None:
            raise InputError(
                f"teacher {self.source}: it is a clone detector of GraphCodeBERT, which was trained with the data flow "
                "of functions: set teacher.data_flow, or teacher.layout to one that fixes it"
            )
        if not parts.head and self.reading.pair != "similarity":
            raise InputError(
                f"teacher {self.source}: it must hold a classifier, it holds an encoder alone: fine-tune it by "
                'teacher.pretrained, or compare its vectors by teacher.pair = "similarity" or '
                'teacher.layout = "codexglue-retrieval"'
            )
        if parts.head and parts.num_logits <= 2 and not parts.is_of_pairs:
            keys["head"] = f"{parts.num_logits} logits: " + (
                "sigmoid?" if parts.num_logits == 1 else "softmax, or sigmoid of column 0?"
            )
        self.reading.require(self.source, **keys)
        if parts.head and parts.is_of_pairs != is_pair and self.reading.pair is None:
            needed, found = (2, 1) if is_pair else (1, 2)
            raise InputError(f"teacher {self.source}: its head must read {needed} functions an input, it reads {found}")

    def sequence_classifier(self) -> PreTrainedModel:
        parts = self.parts
        if not parts.head or parts.is_of_pairs:
            raise InputError(f"teacher {self.source}: it must hold a classifier of one vector, it holds none")
        prefix = encoder_prefix(self._place, self.config)
        tensors = {f"{prefix}.{key}": value for key, value in parts.encoder.items()}
        tensors |= {f"{parts.head_name}.{key}": value for key, value in parts.head.items()}
        self.config.num_labels = parts.num_logits
        return model_of_tensors(AutoModelForSequenceClassification, self._place, self.config, tensors)

    def encoder(self) -> PreTrainedModel:
        return model_of_tensors(AutoModel, self._place, self.config, self.parts.encoder)

    @property
    def _place(self) -> str:
        return f"teacher {self.source}: the state dict"

    def pair_head(self) -> tuple[Mapping[str, Tensor], str]:
        return self.parts.head, self.reading.pooling or "first"

    def sentence_encoder(self) -> SentenceEncoder:
        if self.reading.layout != "codexglue-retrieval":
            return super().sentence_encoder()
        model = self.encoder()
        pooler = getattr(getattr(model, "pooler", None), "dense", None)
        if not isinstance(pooler, nn.Linear) or "pooler.dense.weight" not in self.parts.encoder:
            raise InputError(f"teacher {self.source}: the layout codexglue-retrieval needs a pooler, it has none")
        return SentenceEncoder(model, ("first",), dense=[DenseLayer(pooler, "Tanh")])


FORM = _StateDict
