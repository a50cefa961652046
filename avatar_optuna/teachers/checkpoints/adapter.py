"""A LoRA adapter as `peft` writes it (`adapter_config.json`, `adapter_model.safetensors`), merged into its base model.

A merged weight is W + s B A, where s is lora_alpha / r, or lora_alpha / sqrt(r) with rank-stabilised LoRA (Hu et al.,
2021; Kalajdzievski, 2023). Other kinds of adapters, and LoRA with magnitudes (DoRA), are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification

from avatar_optuna.distillation import first_line, load_incomplete, model_directory
from avatar_optuna.exceptions import InputError
from avatar_optuna.files import read_json, sha256_of
from avatar_optuna.teachers._directory import files_of
from avatar_optuna.teachers.checkpoints._form import Form
from avatar_optuna.teachers.checkpoints.state_dict import read_state_dict

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

_CONFIG_FILE = "adapter_config.json"
_WEIGHTS_FILE, _PICKLED_FILE = "adapter_model.safetensors", "adapter_model.bin"
_NOT_MERGED = (
    *("use_dora", "use_qalora", "use_bdlora", "lora_bias", "layer_replication", "target_parameters"),
    *("trainable_token_indices", "arrow_config", "kasa_config", "monteclora_config", "velora_config"),
    "alora_invocation_tokens",
)
"""Extensions of LoRA, under which a merged weight is another."""
_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<part>embedding_A|embedding_B|A|B)(\.weight)?")
_HEADS = ("classifier.out_proj", "classifier", "score", "classification_head.out_proj", "logits_proj")


class _Adapter(Form):
    @classmethod
    def is_of(cls, path: Path) -> bool:
        return (path / _CONFIG_FILE).is_file()

    @cached_property
    def config(self) -> dict[str, Any]:
        config = read_json(self.path / _CONFIG_FILE)
        if not isinstance(config, dict) or config.get("peft_type") != "LORA":
            kind = config.get("peft_type") if isinstance(config, dict) else config
            raise InputError(f"teacher {self.source}: the adapter must be LoRA, {_CONFIG_FILE} says {kind!r}")
        if further := [name for name in _NOT_MERGED if config.get(name)]:
            raise InputError(
                f"teacher {self.source}: the adapter must be LoRA as it was published, {_CONFIG_FILE} sets "
                f"{', '.join(further)}: merge it into its base model by peft"
            )
        return config

    @cached_property
    def base(self) -> Path:
        name = self.reading.base or self.config.get("base_model_name_or_path")
        if not isinstance(name, str) or not name:
            raise InputError(f"teacher {self.source}: set teacher.base, {_CONFIG_FILE} names no base model")
        return model_directory(name)

    @property
    def tokenizer_directory(self) -> Path:
        is_own = any((self.path / name).is_file() for name in ("tokenizer.json", "vocab.json", "vocab.txt"))
        return self.path if is_own else self.base

    @property
    def files(self) -> dict[str, str]:
        own = {_PICKLED_FILE: sha256_of(self.path / _PICKLED_FILE)} if self._is_pickled else {}
        return {**files_of(self.path), **own, **{f"base/{name}": one for name, one in files_of(self.base).items()}}

    @property
    def _is_pickled(self) -> bool:
        """Whether its weights stand in a file that older versions wrote, of which only tensors are unpickled."""
        return (self.path / _PICKLED_FILE).is_file() and not (self.path / _WEIGHTS_FILE).is_file()

    def sequence_classifier(self) -> PreTrainedModel:
        tensors = self._tensors()
        count = _num_labels(tensors)
        if count is None:
            raise InputError(
                f"teacher {self.source}: {_WEIGHTS_FILE} must hold the head that was trained with the adapter "
                "(modules_to_save), it holds none"
            )
        model, lacking = load_incomplete(AutoModelForSequenceClassification, str(self.base), num_labels=count)
        return self._merged(model, tensors, lacking)

    def encoder(self) -> PreTrainedModel:
        model, lacking = load_incomplete(AutoModel, str(self.base))
        return self._merged(model, self._tensors(), [key for key in lacking if "pooler" not in key])

    def _tensors(self) -> dict[str, Tensor]:
        _ = self.config  # refused before its weights are read
        if self._is_pickled:
            return read_state_dict(self.path / _PICKLED_FILE, self.source)
        try:
            return load_file(self.path / _WEIGHTS_FILE)
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"teacher {self.source}: {_WEIGHTS_FILE} must be a safetensors file: {first_line(error)}"
            ) from error

    @torch.no_grad()
    def _merged(self, model: PreTrainedModel, tensors: Mapping[str, Tensor], lacking: list[str]) -> PreTrainedModel:
        parts: dict[str, dict[str, Tensor]] = {}
        whole: dict[str, Tensor] = {}
        for key, tensor in tensors.items():
            if (match := _KEY.fullmatch(key)) is not None:
                parts.setdefault(match["module"], {})[match["part"]] = tensor.float()
            else:
                name = key.removeprefix("base_model.model.").replace(".modules_to_save", "").replace(".base_layer", "")
                whole[name] = tensor.float()
        for name, matrices in parts.items():
            self._add(model, name, matrices)
        parameters = dict(model.named_parameters())
        for key, tensor in whole.items():
            if key not in parameters or parameters[key].shape != tensor.shape:
                raise InputError(f"teacher {self.source}: {_WEIGHTS_FILE} must fit its base model, {key} does not")
            parameters[key].copy_(tensor)
        if still := sorted(set(lacking) - set(whole)):
            raise InputError(f"teacher {self.source}: {_WEIGHTS_FILE} lacks {', '.join(still[:3])}: is it fine-tuned?")
        return model

    def _add(self, model: PreTrainedModel, name: str, matrices: Mapping[str, Tensor]) -> None:
        """Add s B A to the weight of one module, which a `Conv1D` of GPT-2 and an embedding hold transposed."""
        is_embedding = "embedding_A" in matrices
        first, second = (matrices.get(f"embedding_{part}" if is_embedding else part) for part in "AB")
        try:
            module: Any = model.get_submodule(name)
        except AttributeError:
            module = None
        is_transposed = is_embedding or type(module).__name__ == "Conv1D"
        weight: Tensor | None = getattr(module, "weight", None)
        if weight is not None and first is not None and second is not None and _is_product(first, second):
            change = self._scale(name, first.shape[0]) * (second @ first)  # (out, in)
            change = change.T if is_transposed else change
            if change.shape == weight.shape:
                weight += change
                return
        raise InputError(f"teacher {self.source}: {_WEIGHTS_FILE} must fit its base model, {name} does not")

    def _scale(self, name: str, rank: int) -> float:
        alpha = self._by_pattern("alpha_pattern", name, self.config.get("lora_alpha", rank))
        if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not math.isfinite(alpha):
            raise InputError(f"teacher {self.source}: each alpha of {_CONFIG_FILE} must be a number, got {alpha!r}")
        return alpha / math.sqrt(rank) if self.config.get("use_rslora") else alpha / rank

    def _by_pattern(self, key: str, name: str, default: Any) -> Any:
        """The value of the first pattern that a module's name ends with, as `peft` matches them."""
        patterns = self.config.get(key) or {}
        try:
            return next(
                (value for pattern, value in patterns.items() if re.match(rf"(.*\.)?({pattern})$", name)), default
            )
        except (AttributeError, re.error) as error:
            raise InputError(
                f"teacher {self.source}: {key} of {_CONFIG_FILE} must hold patterns of names, got {patterns!r}"
            ) from error


def _is_product(first: Tensor, second: Tensor) -> bool:
    """Whether they are matrices of one rank."""
    return first.ndim == second.ndim == 2 and first.shape[0] == second.shape[1]


def _num_labels(tensors: Mapping[str, Tensor]) -> int | None:
    """Rows of the head that was trained with the adapter."""
    for head in _HEADS:
        for infix in ("", ".modules_to_save"):
            weight = tensors.get(f"base_model.model.{head}{infix}.weight")
            if weight is not None and weight.ndim == 2:
                return int(weight.shape[0])
    return None


FORM = _Adapter
