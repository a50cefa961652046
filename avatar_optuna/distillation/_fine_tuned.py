"""Networks from directories: fine-tuned classifiers, heads of pairs, and encoders that are still to be fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForSequenceClassification, PreTrainedModel, RobertaConfig, RobertaModel

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation._models import (
    first_line,
    load_model,
    model_directory,
    place_and_reading,
    read_config,
    read_model,
)
from avatar_optuna.distillation._networks import PAIR_HEAD_FILE, PairClassifier, PairHead, SingleClassifier
from avatar_optuna.distillation._pooling import POOLINGS, default_pooling
from avatar_optuna.exceptions import InputError
from avatar_optuna.students.transformer.network import StudentConfig, StudentForSequenceClassification, load_student


def shape_of_checkpoint(source: str) -> TaskShape:
    """What a checkpoint's files say of its inputs and labels; an `InputError` where there is no such model."""
    directory = model_directory(source)
    config = read_config(source, directory)
    if (directory / PAIR_HEAD_FILE).is_file():
        bias = read_pair_head(source, directory)[0].get("out_proj.bias")
        if bias is None:
            raise InputError(f"teacher {source}: {PAIR_HEAD_FILE} must hold out_proj.bias, it does not")
        return TaskShape(arity=2, num_labels=bias.numel())
    return TaskShape(arity=getattr(config, "num_functions", 1), num_labels=config.num_labels)


def load_fine_tuned(source: str, task_shape: TaskShape) -> nn.Module:
    """A fine-tuned sequence classifier, or for pairs an encoder with `pair_head.safetensors`; else an `InputError`."""
    directory = model_directory(source)
    config = read_config(source, directory)
    if isinstance(config, StudentConfig):
        arity = config.num_functions
        if arity != task_shape.arity:
            raise InputError(
                f"teacher {source}: its head must read {task_shape.arity} functions an input, it reads {arity}"
            )
        _require_labels(source, config.num_labels, task_shape)
        return load_student(directory)
    if not task_shape.is_pair:
        model = load_model(AutoModelForSequenceClassification, source, directory)
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
    """An encoder; of an encoder-decoder the decoder, which no vector needs, is left out, and so is a student's head."""
    directory = model_directory(source)
    if isinstance(read_config(source, directory), StudentConfig):
        return _encoder_of_student(source, directory)
    encoder = load_model(AutoModel, source, directory, may_lack=may_lack)
    if getattr(encoder.config, "is_encoder_decoder", False) and hasattr(encoder, "decoder"):
        setattr(encoder, "decoder", None)  # noqa: B010 - torch's modules declare tensors and modules alone
    return encoder


def _encoder_of_student(source: str, directory: Path) -> PreTrainedModel:
    student = load_student(directory)
    kind = student.config.position_embedding_type
    if kind != "absolute":
        raise InputError(f"teacher {source}: position_embedding_type of a bare encoder must be absolute, got {kind}")
    encoder = RobertaModel(RobertaConfig.from_dict(student.config.to_dict()), add_pooling_layer=False)
    encoder.load_state_dict(student.roberta.state_dict())
    return encoder


def new_encoder(sizes: Mapping[str, Any]) -> PreTrainedModel:
    """A RoBERTa encoder with random weights.

    Args:
        sizes: What differs from its `RobertaConfig`.
    """
    return RobertaModel(RobertaConfig(type_vocab_size=1, **sizes), add_pooling_layer=False)


def load_pretrained(
    source: str, task_shape: TaskShape, label_names: Sequence[str], *, pooling: str | None = None
) -> nn.Module:
    """A pretrained encoder with a new head, to be fine-tuned; an `InputError` where there is no such model.

    Of a sequence classifier the head is kept, as far as it tells as many labels apart, and so is that of a student or
    of a model that was trained here, if it reads as many functions.

    Args:
        pooling: Of the vectors of pairs; None takes what is usual for the kind of model.
    """
    directory = model_directory(source)
    if isinstance(read_config(source, directory), StudentConfig):
        return _student_for(directory, task_shape, label_names)
    if not task_shape.is_pair:
        names = dict(enumerate(label_names))
        options = {"num_labels": len(names), "id2label": names, "label2id": {v: k for k, v in names.items()}}
        options["ignore_mismatched_sizes"] = True  # the last layer of a classifier of another number of labels
        return SingleClassifier(
            load_model(AutoModelForSequenceClassification, source, directory, may_lack=True, **options)
        )
    encoder = load_encoder(source, may_lack=True)
    dropout = getattr(encoder.config, "hidden_dropout_prob", 0.1)
    head = PairHead(encoder.config.hidden_size, task_shape.num_labels, dropout)
    return PairClassifier(encoder, head, pooling or default_pooling(encoder.config))


def _student_for(directory: Path, task_shape: TaskShape, label_names: Sequence[str]) -> nn.Module:
    """A student's network under the head that a task needs."""
    known = load_student(directory)
    names = dict(enumerate(label_names))
    config = StudentConfig.from_dict({**known.config.to_dict(), "precision": "float32"})
    config.num_functions, config.id2label, config.label2id = task_shape.arity, names, {v: k for k, v in names.items()}
    network = StudentForSequenceClassification(config)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    kept = {name: tensor for name, tensor in known.state_dict().items() if tensor.shape == shapes[name]}
    network.load_state_dict(kept, strict=False)
    return network


def load_incomplete(auto: Any, source: str, **options: Any) -> tuple[PreTrainedModel, list[str]]:
    """A model whose missing weights come from elsewhere, and their names; an `InputError` where there is none."""
    directory = model_directory(source)
    read_config(source, directory)
    place, reading = place_and_reading(source, directory)
    return read_model(auto, place, directory, **reading, **options)


def load_sequence_classifier(source: str) -> PreTrainedModel:
    """A fine-tuned sequence classifier with the labels of its own; an `InputError` where there is none."""
    directory = model_directory(source)
    read_config(source, directory)
    return load_model(AutoModelForSequenceClassification, source, directory)


def _require_labels(source: str, num_labels: int | None, task_shape: TaskShape) -> None:
    if num_labels != task_shape.num_labels:
        hint = '; if a sigmoid reads its one logit, set teacher.head = "sigmoid"' if num_labels == 1 else ""
        raise InputError(f"teacher {source}: it must tell {task_shape.num_labels} labels apart, got {num_labels}{hint}")
