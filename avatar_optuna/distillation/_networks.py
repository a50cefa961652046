"""What the training engine and the classifier drive: functions to vectors, vectors to logits.

A student is a `Network` itself; the classes here make one of any Hugging Face encoder or sequence classifier.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from huggingface_hub import snapshot_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, PreTrainedModel

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.students.transformer.network import WEIGHTS_FILE, StudentConfig, load_student

PAIR_HEAD_FILE = "pair_head.safetensors"


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
        with _quiet():
            self.model.save_pretrained(directory)


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
    """Any Hugging Face encoder, and a pair head over two first-token vectors."""

    def __init__(self, encoder: PreTrainedModel, head: PairHead) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def encode(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """First-token vectors (n, w) of functions (n, t)."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask.long()
        return self.encoder(input_ids, attention_mask=mask).last_hidden_state[:, 0]  # type: ignore[no-any-return]

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
        with _quiet():
            self.encoder.save_pretrained(directory)
        head = {key: value.detach().cpu().contiguous() for key, value in self.head.state_dict().items()}
        save_file(head, directory / PAIR_HEAD_FILE)


def shape_of_checkpoint(source: str) -> TaskShape:
    """What a checkpoint's files say of its inputs and labels; an `InputError` where there is no such model."""
    directory = model_directory(source)
    config = _config(source, directory)
    if (directory / PAIR_HEAD_FILE).is_file():
        bias = _head_tensors(source, directory).get("out_proj.bias")
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
        raise InputError(f"teacher {source}: a checkpoint for pairs must hold {PAIR_HEAD_FILE}, it does not")
    encoder = _load(AutoModel, source, directory)
    head = PairHead(encoder.config.hidden_size, task_shape.num_labels)
    tensors = _head_tensors(source, directory)
    try:
        head.load_state_dict(tensors)
    except RuntimeError as error:
        width = encoder.config.hidden_size
        raise InputError(
            f"teacher {source}: {PAIR_HEAD_FILE} must hold dense ({width}, {2 * width}) "
            f"and out_proj ({task_shape.num_labels}, {width})"
        ) from error
    return PairClassifier(encoder, head).eval()


def _head_tensors(source: str, directory: Path) -> dict[str, Tensor]:
    try:
        return load_file(directory / PAIR_HEAD_FILE)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"teacher {source}: {PAIR_HEAD_FILE} must be a safetensors file: {first_line(error)}"
        ) from error


def load_pretrained(source: str, task_shape: TaskShape, label_names: Sequence[str]) -> nn.Module:
    """A pretrained encoder with a new head, to be fine-tuned; an `InputError` where there is no such model."""
    directory = model_directory(source)
    _config(source, directory)
    if not task_shape.is_pair:
        names = dict(enumerate(label_names))
        options = {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}
        return SingleClassifier(_load(AutoModelForSequenceClassification, source, directory, may_lack=True, **options))
    encoder = _load(AutoModel, source, directory, may_lack=True)
    dropout = getattr(encoder.config, "hidden_dropout_prob", 0.1)
    return PairClassifier(encoder, PairHead(encoder.config.hidden_size, task_shape.num_labels, dropout))


def _require_labels(source: str, num_labels: int | None, task_shape: TaskShape) -> None:
    if num_labels != task_shape.num_labels:
        raise InputError(f"teacher {source}: it must tell {task_shape.num_labels} labels apart, got {num_labels}")


def model_directory(source: str) -> Path:
    """Where a model lies: a directory as it is, a hub name downloaded (JSON and safetensors only: nothing pickled)."""
    if Path(source).is_dir():
        return Path(source)
    try:
        return Path(snapshot_download(source, allow_patterns=["*.json", "*.safetensors", "*.txt"]))
    except Exception as error:  # the hub client raises a dozen kinds, of three libraries
        raise InputError(
            f"teacher {source}: it must be a directory or a model of the hub: {first_line(error)}"
        ) from error


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
    """Load through an auto class, from safetensors only, refusing a head that was never fine-tuned."""
    try:
        with _quiet():
            model, loading = auto.from_pretrained(directory, use_safetensors=True, output_loading_info=True, **options)
    except Exception as error:  # of transformers, safetensors and torch
        raise InputError(
            f"teacher {source}: {WEIGHTS_FILE} must hold the model of config.json: {first_line(error)}"
        ) from error
    lacking = sorted(key for key in loading["missing_keys"] if "pooler" not in key)
    if lacking and not may_lack:
        raise InputError(f"teacher {source}: {WEIGHTS_FILE} lacks {', '.join(lacking[:3])}: is it fine-tuned?")
    return model  # type: ignore[no-any-return]


@contextmanager
def _quiet() -> Iterator[None]:
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
