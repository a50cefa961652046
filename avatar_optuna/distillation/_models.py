"""What transformers makes of the files or tensors of a model: read as data, in whole, or refused in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from avatar_optuna.distillation._networks import quiet
from avatar_optuna.exceptions import InputError
from avatar_optuna.students.transformer.network import WEIGHTS_FILE

PICKLED_FILE = "pytorch_model.bin"
_DESCRIPTIONS, _PICKLED = ["*.json", "*.txt"], ["pytorch_model*.bin", "adapter_model.bin"]


def model_directory(source: str, *, has_weights: bool = True) -> Path:
    """Where a model lies: a directory as it is, a hub name downloaded.

    Of the hub's files only JSON, text and safetensors are fetched, and `pytorch_model.bin` where there is no other.

    Args:
        has_weights: Whether they are needed, beside configuration and tokenizer.
    """
    if Path(source).is_dir():
        return Path(source)
    try:
        if not has_weights:
            return Path(snapshot_download(source, allow_patterns=_DESCRIPTIONS))
        directory = Path(snapshot_download(source, allow_patterns=[*_DESCRIPTIONS, "*.safetensors"]))
        if not any(directory.rglob("*.safetensors")):
            return Path(snapshot_download(source, allow_patterns=[*_DESCRIPTIONS, *_PICKLED]))
    except Exception as error:  # the hub client raises a dozen kinds, of three libraries
        raise InputError(
            f"teacher {source}: it must be a directory or a model of the hub: {first_line(error)}"
        ) from error
    return directory


def read_config(source: str, directory: Path) -> Any:
    try:
        return AutoConfig.from_pretrained(directory)
    except Exception as error:  # whatever a configuration's class makes of a value
        raise InputError(
            f"teacher {source}: config.json must describe a model that transformers knows: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """What another library says, in one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def load_model(auto: Any, source: str, directory: Path, *, may_lack: bool = False, **options: Any) -> PreTrainedModel:
    """Load through an auto class, in float32, refusing a head that was never fine-tuned.

    Weights are read from safetensors or, where there are none, from `pytorch_model.bin`, of which nothing but tensors
    is unpickled.
    """
    place, reading = place_and_reading(source, directory)
    return build_model(auto, place, directory, may_lack=may_lack, **reading, **options)


def place_and_reading(source: str, directory: Path) -> tuple[str, dict[str, Any]]:
    """Where the weights of a directory stand, for messages, and how transformers is told to read them."""
    is_pickled = holds_pickled_weights(directory)
    reading = {"use_safetensors": False, "weights_only": True} if is_pickled else {"use_safetensors": True}
    return f"teacher {source}: {PICKLED_FILE if is_pickled else WEIGHTS_FILE}", {"dtype": torch.float32, **reading}


def holds_pickled_weights(directory: Path) -> bool:
    """Whether the weights of a directory stand in `pytorch_model.bin` (or its parts), and in no safetensors file."""
    is_pickled = any((directory / name).is_file() for name in (PICKLED_FILE, f"{PICKLED_FILE}.index.json"))
    return is_pickled and not any(directory.glob("model*.safetensors"))


def build_model(auto: Any, place: str, *where: Any, may_lack: bool = False, **options: Any) -> PreTrainedModel:
    """What an auto class of transformers makes of the files or tensors at a place, in whole or refused.

    Raises:
        InputError: It makes nothing of them, or weights are missing and `may_lack` is not set.
    """
    model, lacking = read_model(auto, place, *where, **options)
    lacking = [key for key in lacking if "pooler" not in key]
    if lacking and not may_lack:
        raise InputError(f"{place} lacks {', '.join(lacking[:3])}: is it fine-tuned?")
    return model


def read_model(auto: Any, place: str, *where: Any, **options: Any) -> tuple[PreTrainedModel, list[str]]:
    """What an auto class makes of files or tensors, and the names of the weights that they lack, sorted."""
    try:
        with quiet():
            model, loading = auto.from_pretrained(*where, output_loading_info=True, **options)
    except Exception as error:  # of transformers, safetensors and torch
        raise InputError(f"{place} must hold the model of config.json: {first_line(error)}") from error
    _require_fitting_encoder(place, model, loading["mismatched_keys"])
    has_unused_decoder = auto is AutoModel and getattr(model.config, "is_encoder_decoder", False)
    return model, sorted(
        key for key in loading["missing_keys"] if not (has_unused_decoder and key.startswith("decoder."))
    )


def _require_fitting_encoder(place: str, model: PreTrainedModel, mismatched: Iterable[tuple[str, Any, Any]]) -> None:
    """Refuse (`InputError`) weights of other shapes that transformers was told to make anew, save those of a head."""
    body = f"{model.base_model_prefix}."
    for key, held, wanted in sorted(mismatched, key=str):
        if key.startswith(body):
            shapes = f"{key} of shape {list(wanted)}, got {list(held)}"
            raise InputError(f"{place} must hold the model of config.json: {shapes}")


def model_of_tensors(auto: Any, place: str, config: Any, tensors: Mapping[str, Tensor]) -> PreTrainedModel:
    """The model of a configuration with the given weights, by the names that transformers has for them.

    Raises:
        InputError: They do not fit, or weights are missing.
    """
    kind = type(_on_meta(auto, place, config))
    return build_model(kind, place, None, config=config, state_dict=dict(tensors), dtype=torch.float32)


def weight_shapes(place: str, config: Any) -> dict[str, torch.Size]:
    """The shape of each weight of the encoder of a configuration; nothing is computed.

    Raises:
        InputError: It describes no encoder.
    """
    return {key: value.shape for key, value in _on_meta(AutoModel, place, config).state_dict().items()}


def encoder_prefix(place: str, config: Any) -> str:
    """What transformers puts before the encoder's names in a sequence classifier.

    Raises:
        InputError: The configuration describes none.
    """
    return str(_on_meta(AutoModelForSequenceClassification, place, config).base_model_prefix)


def _on_meta(auto: Any, place: str, config: Any) -> PreTrainedModel:
    """A model without weights."""
    try:
        with torch.device("meta"), quiet():
            model: PreTrainedModel = auto.from_config(config)
    except Exception as error:  # whatever a model makes of its configuration
        raise InputError(f"{place} must hold the model of config.json: {first_line(error)}") from error
    return model
