"""What is made of a checkpoint for a task: its model, its tokenizer, and how long an input may be."""

from __future__ import annotations

import torch
from torch import nn

from avatar_optuna.data_flow import variant_named
from avatar_optuna.distillation import (
    Classifier,
    CrossClassifier,
    PairHead,
    SimilarityClassifier,
    SingleClassifier,
    load_tokenizer,
    longest_sequence,
    pair_classifier,
    require_embeddings,
    require_names,
    settle_padding,
    take_rows,
    with_data_flow,
    with_rows,
)
from avatar_optuna.exceptions import InputError
from avatar_optuna.students.transformer.tokenizers import normalized
from avatar_optuna.tasks import Task
from avatar_optuna.teachers.checkpoints._form import Form, own_label_names
from avatar_optuna.teachers.checkpoints._reading import rows_of


def made_classifier(form: Form, task: Task, device: str) -> Classifier:
    """The classifier of a task that stands in a checkpoint.

    Raises:
        InputError: It is malformed, not for this task, or leaves open how it is read.
    """
    reading, source = form.reading, form.source
    is_pair = task.shape.is_pair
    if not is_pair and reading.pair is not None:
        place = "teacher.pair" if reading.layout is None else f"teacher {source}: the layout {reading.layout}"
        raise InputError(f"{place} reads pairs of functions, the task has single ones")
    form.require_sound(is_pair=is_pair)
    pair = _way_of_pairs(form) if is_pair else None
    if pair is None or pair == "cross":
        network: nn.Module = _sequence_classifier(form, task)
    elif pair == "similarity":
        network = _similarity_classifier(form, task)
    else:
        network = _pair_classifier(form, task)
    tokenizer = normalized(
        load_tokenizer(str(form.tokenizer_directory)),
        lower_case=bool(reading.lower_case) or form.is_lower_cased,
        one_line=bool(reading.one_line),
    )
    settle_padding(source, network, tokenizer)
    require_embeddings(source, network, tokenizer)
    longest = (longest_sequence(network, tokenizer), reading.max_sequence_length, form.longest)
    kind = CrossClassifier if pair == "cross" else Classifier
    classifier = kind(
        network=network.to(device).eval(),
        tokenizer=tokenizer,
        task_shape=task.shape,
        label_names=task.label_names,
        max_sequence_length=min(length for length in longest if length is not None),
        device=torch.device(device),
    )
    if reading.data_flow is None:
        return classifier
    return with_data_flow(
        classifier,
        variant_named(reading.data_flow),
        source=source,
        language=reading.language or task.language,
        code_length=reading.code_length,
        data_flow_length=reading.data_flow_length,
    )


def _way_of_pairs(form: Form) -> str:
    """How a checkpoint reads pairs.

    Raises:
        InputError: Neither its files nor the study file say it.
    """
    way = form.reading.pair or form.pair
    if way is None:
        raise InputError(
            f"teacher {form.source}: set teacher.pair, its files do not say how it reads pairs: "
            '"cross" for both functions in one input, "similarity" for vectors that are compared'
        )
    return way


def _sequence_classifier(form: Form, task: Task) -> SingleClassifier:
    model = form.sequence_classifier()
    names = own_label_names(model)
    if form.reading.labels is None:
        require_names(names, task.label_names, f"teacher {form.source}")
    take_rows(
        f"teacher {form.source}", model, rows_of(form.reading, names, task.label_names, form.source), task.label_names
    )
    return SingleClassifier(model)


def _pair_classifier(form: Form, task: Task) -> nn.Module:
    tensors, pooling = form.pair_head()
    bias = tensors.get("out_proj.bias")
    if bias is None or bias.ndim != 1:
        raise InputError(f"teacher {form.source}: its head of pairs must hold out_proj.bias, it does not")
    count = len(bias)
    place = f"teacher {form.source}: its head of pairs"
    rows = rows_of(form.reading, [f"LABEL_{row}" for row in range(count)], task.label_names, form.source)
    network = pair_classifier(place, form.encoder(), tensors, count, pooling)
    head: PairHead = network.head
    head.out_proj = with_rows(head.out_proj, rows)
    return network


def require_two_labels(source: str, task: Task) -> None:
    """Refuse (`InputError`) a task that a similarity cannot answer."""
    if task.shape.num_labels != 2:
        raise InputError(f"teacher {source}: a similarity tells two labels apart, the task has {task.shape.num_labels}")


def _similarity_classifier(form: Form, task: Task) -> SimilarityClassifier:
    require_two_labels(form.source, task)
    scale, threshold = form.odds or (1.0, 0.0)
    return SimilarityClassifier(form.sentence_encoder(), form.similarity, scale=scale, threshold=threshold)
