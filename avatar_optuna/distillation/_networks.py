"""What the training engine and the classifier drive: functions to vectors, vectors to logits.

A student is a `Network` itself; the classes here make one of any Hugging Face encoder or sequence classifier.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation._pooling import POOLINGS, default_pooling, pooled
from avatar_optuna.exceptions import InputError
from avatar_optuna.students.transformer.network import WEIGHTS_FILE, StudentConfig, load_student

logger = logging.getLogger(__name__)

PAIR_HEAD_FILE = "pair_head.safetensors"
PICKLED_FILE = "pytorch_model.bin"
_DESCRIPTIONS, _PICKLED = ["*.json", "*.txt"], ["pytorch_model*.bin", "adapter_model.bin"]


class Network(Protocol):
    """Functions to vectors, each on its own, and the joined vectors of an input to its logits."""

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, k) of functions (n, t)."""

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, k) or, for pairs, (m, 2 k)."""


class SingleClassifier(nn.Module):
    """Any Hugging Face sequence classifier of single functions; its "vectors" are the logits themselves."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model
        self.order: list[int] | None = None

    def reorder(self, own_names: Sequence[str], wanted: Sequence[str]) -> None:
        """Answer in another order of labels, where both name the same ones; letter case is ignored."""
        own = [name.casefold() for name in own_names]
        names = [name.casefold() for name in wanted]
        if own != names and sorted(own) == sorted(names):
            self.order = [own.index(name) for name in names]
        warn_of_names(own_names, wanted)

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Logits (n, labels) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        return self._in_order(self.model(input_ids, attention_mask=mask).logits)

    def encode_embedded(self, embeddings: Tensor, **inputs: Tensor) -> Tensor:
        """Logits (n, labels) of functions given as embeddings (n, t, w) of words, and what else the model takes."""
        return self._in_order(self.model(inputs_embeds=embeddings, **inputs).logits)

    def word_embeddings(self, input_ids: Tensor) -> Tensor:
        """Embeddings (n, t, w) of ids (n, t)."""
        return self.model.get_input_embeddings()(input_ids)  # type: ignore[no-any-return]

    @property
    def config(self) -> Any:
        """The model's configuration."""
        return self.model.config

    def _in_order(self, logits: Tensor) -> Tensor:
        return logits if self.order is None else logits[:, self.order]

    def classify(self, joined: Tensor) -> Tensor:
        return joined

    def save(self, directory: Path) -> None:
        with quiet():
            self.model.save_pretrained(directory)


def warn_of_names(own_names: Sequence[str], wanted: Sequence[str]) -> None:
    """Say that labels are taken in their order where a model names as many of them otherwise than the task does."""
    is_named = not all(name.upper().startswith("LABEL_") for name in own_names)
    is_other = sorted(map(str.casefold, own_names)) != sorted(map(str.casefold, wanted))
    if is_named and is_other and len(own_names) == len(wanted):
        logger.warning(
            "the teacher names its labels %s, the task %s: they are taken in their order, unless teacher.labels says "
            "which is which",
            ", ".join(own_names),
            ", ".join(wanted),
        )


class PairHead(nn.Module):
    """The head of CodeXGLUE's clone detectors: dense 2w -> w, tanh, out_proj w -> labels."""

    def __init__(self, width: int, num_labels: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.dense = nn.Linear(2 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.out_proj = nn.Linear(width, num_labels)

    def forward(self, joined: Tensor) -> Tensor:
        inner = torch.tanh(self.dense(self.dropout(joined)))  # (m, w)
        return self.out_proj(self.dropout(inner))  # type: ignore[no-any-return]  # (m, labels)


class PairClassifier(nn.Module):
    """Any Hugging Face encoder, and a pair head over two vectors, each pooled from the tokens of a function."""

    def __init__(self, encoder: PreTrainedModel, head: PairHead, pooling: str = "first") -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head
        self.pooling = pooling

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Vectors (n, w) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        hidden: Tensor = body_of(self.encoder)(input_ids, attention_mask=mask).last_hidden_state  # (n, t, w)
        return hidden[:, 0] if self.pooling == "first" else pooled(hidden, mask, (self.pooling,))

    def encode_embedded(self, embeddings: Tensor, **inputs: Tensor) -> Tensor:
        """First-token vectors (n, w) of functions given as embeddings (n, t, w) of their words, and what else the
        encoder takes."""
        return self.encoder(inputs_embeds=embeddings, **inputs).last_hidden_state[:, 0]  # type: ignore[no-any-return]

    def word_embeddings(self, input_ids: Tensor) -> Tensor:
        """Embeddings (n, t, w) of ids (n, t)."""
        return self.encoder.get_input_embeddings()(input_ids)  # type: ignore[no-any-return]

    @property
    def config(self) -> Any:
        """The encoder's configuration."""
        return self.encoder.config

    def classify(self, joined: Tensor) -> Tensor:
        """Logits (m, labels) of joined vectors (m, 2 w)."""
        return self.head(joined)  # type: ignore[no-any-return]

    def save(self, directory: Path) -> None:
        """Write the encoder in Hugging Face's form, and `pair_head.safetensors` beside it."""
        with quiet():
            self.encoder.save_pretrained(directory)
        head = {key: value.detach().cpu().contiguous() for key, value in self.head.state_dict().items()}
        save_file(head, directory / PAIR_HEAD_FILE, metadata={"pooling": self.pooling})


def config_of(network: Any) -> Any:
    """The configuration of the Hugging Face model in a network, or None."""
    if network is None or hasattr(network, "config"):
        return getattr(network, "config", None)
    return config_of(getattr(network, "model", getattr(network, "encoder", None)))


def body_of(model: PreTrainedModel) -> Any:
    """The part of a model that gives hidden states: all of it, or the encoder of an encoder-decoder."""
    return model.get_encoder() if getattr(model.config, "is_encoder_decoder", False) else model


def shape_of_checkpoint(source: str) -> TaskShape:
    """What a checkpoint's files say of its inputs and labels; an `InputError` where there is no such model."""
    directory = model_directory(source)
    config = _config(source, directory)
    if (directory / PAIR_HEAD_FILE).is_file():
        bias = read_pair_head(source, directory)[0].get("out_proj.bias")
        if bias is None:
            raise InputError(f"teacher {source}: {PAIR_HEAD_FILE} must hold out_proj.bias, it does not")
        return TaskShape(arity=2, num_labels=bias.numel())
    return TaskShape(arity=getattr(config, "num_functions", 1), num_labels=config.num_labels)


def load_fine_tuned(source: str, task_shape: TaskShape) -> nn.Module:
    """A fine-tuned sequence classifier, or for pairs an encoder with `pair_head.safetensors`; else an `InputError`."""
    directory = model_directory(source)
    config = _config(source, directory)
    if isinstance(config, StudentConfig):
        arity = config.num_functions
        if arity != task_shape.arity:
            raise InputError(
                f"teacher {source}: its head must read {task_shape.arity} functions an input, it reads {arity}"
            )
        _require_labels(source, config.num_labels, task_shape)
        return load_student(directory)
    if not task_shape.is_pair:
        model = _load(AutoModelForSequenceClassification, source, directory)
        _require_labels(source, model.config.num_labels, task_shape)
        return SingleClassifier(model).eval()
    if not (directory / PAIR_HEAD_FILE).is_file():
        raise InputError(
            f"teacher {source}: a checkpoint for pairs must hold {PAIR_HEAD_FILE}, it does not; one that reads both "
            'functions in one input needs teacher.pair = "cross", one whose vectors are compared "similarity"'
        )
    tensors, pooling = read_pair_head(source, directory)
    encoder = load_encoder(source)
    return pair_classifier(f"teacher {source}: {PAIR_HEAD_FILE}", encoder, tensors, task_shape.num_labels, pooling)


def pair_classifier(
    place: str, encoder: PreTrainedModel, tensors: Mapping[str, Tensor], num_labels: int, pooling: str
) -> PairClassifier:
    """An encoder and the head of pairs that stands at a place; an `InputError` where its shapes are others."""
    width = encoder.config.hidden_size
    head = PairHead(width, num_labels)
    try:
        head.load_state_dict(dict(tensors))
    except RuntimeError as error:
        raise InputError(
            f"{place} must hold dense ({width}, {2 * width}) and out_proj ({num_labels}, {width})"
        ) from error
    return PairClassifier(encoder, head, pooling).eval()


def read_pair_head(source: str, directory: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of the head of a directory, and the pooling that it was trained with."""
    try:
        with safe_open(directory / PAIR_HEAD_FILE, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - it is no mapping
            pooling = (file.metadata() or {}).get("pooling", "first")
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"teacher {source}: {PAIR_HEAD_FILE} must be a safetensors file: {first_line(error)}"
        ) from error
    if pooling not in POOLINGS:
        raise InputError(f"teacher {source}: the pooling of {PAIR_HEAD_FILE} must be one of {', '.join(POOLINGS)}")
    return tensors, pooling


def load_encoder(source: str, *, may_lack: bool = False) -> PreTrainedModel:
    """An encoder; of an encoder-decoder the decoder, which no vector needs, is left out."""
    encoder = _load(AutoModel, source, model_directory(source), may_lack=may_lack)
    if getattr(encoder.config, "is_encoder_decoder", False) and hasattr(encoder, "decoder"):
        setattr(encoder, "decoder", None)  # noqa: B010 - torch's modules declare tensors and modules alone
    return encoder


def load_pretrained(
    source: str, task_shape: TaskShape, label_names: Sequence[str], *, pooling: str | None = None
) -> nn.Module:
    """A pretrained encoder with a new head, to be fine-tuned; an `InputError` where there is no such model.

    Args:
        pooling: Of the vectors of pairs; None takes what is usual for the kind of model.
    """
    directory = model_directory(source)
    _config(source, directory)
    if not task_shape.is_pair:
        names = dict(enumerate(label_names))
        options = {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}
        return SingleClassifier(_load(AutoModelForSequenceClassification, source, directory, may_lack=True, **options))
    encoder = load_encoder(source, may_lack=True)
    dropout = getattr(encoder.config, "hidden_dropout_prob", 0.1)
    head = PairHead(encoder.config.hidden_size, task_shape.num_labels, dropout)
    return PairClassifier(encoder, head, pooling or default_pooling(encoder.config))


def load_incomplete(auto: Any, source: str, **options: Any) -> tuple[PreTrainedModel, list[str]]:
    """A model whose missing weights come from elsewhere, and their names; an `InputError` where there is none."""
    directory = model_directory(source)
    _config(source, directory)
    place, reading = _place_and_reading(source, directory)
    return _read(auto, place, directory, **reading, **options)


def load_sequence_classifier(source: str) -> PreTrainedModel:
    """A fine-tuned sequence classifier with the labels of its own; an `InputError` where there is none."""
    directory = model_directory(source)
    _config(source, directory)
    return _load(AutoModelForSequenceClassification, source, directory)


def _require_labels(source: str, num_labels: int | None, task_shape: TaskShape) -> None:
    if num_labels != task_shape.num_labels:
        hint = '; if a sigmoid reads its one logit, set teacher.head = "sigmoid"' if num_labels == 1 else ""
        raise InputError(f"teacher {source}: it must tell {task_shape.num_labels} labels apart, got {num_labels}{hint}")


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


def _config(source: str, directory: Path) -> Any:
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


def _load(auto: Any, source: str, directory: Path, *, may_lack: bool = False, **options: Any) -> PreTrainedModel:
    """Load through an auto class, in float32, refusing a head that was never fine-tuned.

    Weights are read from safetensors or, where there are none, from `pytorch_model.bin`, of which nothing but tensors
    is unpickled.
    """
    place, reading = _place_and_reading(source, directory)
    return build_model(auto, place, directory, may_lack=may_lack, **reading, **options)


def _place_and_reading(source: str, directory: Path) -> tuple[str, dict[str, Any]]:
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
    model, lacking = _read(auto, place, *where, **options)
    lacking = [key for key in lacking if "pooler" not in key]
    if lacking and not may_lack:
        raise InputError(f"{place} lacks {', '.join(lacking[:3])}: is it fine-tuned?")
    return model


def _read(auto: Any, place: str, *where: Any, **options: Any) -> tuple[PreTrainedModel, list[str]]:
    """What an auto class makes of files or tensors, and the names of the weights that they lack, sorted."""
    try:
        with quiet():
            model, loading = auto.from_pretrained(*where, output_loading_info=True, **options)
    except Exception as error:  # of transformers, safetensors and torch
        raise InputError(f"{place} must hold the model of config.json: {first_line(error)}") from error
    has_unused_decoder = auto is AutoModel and getattr(model.config, "is_encoder_decoder", False)
    return model, sorted(
        key for key in loading["missing_keys"] if not (has_unused_decoder and key.startswith("decoder."))
    )


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


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back the progress bars and load reports of transformers: the caller shows progress of its own."""
    bars, verbosity = transformers.logging.is_progress_bar_enabled(), transformers.logging.get_verbosity()
    transformers.logging.disable_progress_bar()
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(verbosity)
        if bars:
            transformers.logging.enable_progress_bar()
