"""Other logits of a classifier, written into the weights of its last layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from transformers import PreTrainedModel

from avatar_optuna.exceptions import InputError

Rows = Sequence[int | None]
"""The row of the layer that gives each label's logit; None is a logit that is always 0."""


def with_rows(linear: nn.Linear, rows: Rows) -> nn.Linear:
    """A layer of these rows of another.

    The sigmoid of one logit z is the softmax of the two logits 0 and z: a head that is read by a sigmoid becomes an
    ordinary one with the rows (None, 0).
    """
    changed = nn.Linear(linear.in_features, len(rows), bias=linear.bias is not None)
    with torch.no_grad():
        for place, row in enumerate(rows):
            changed.weight[place] = 0.0 if row is None else linear.weight[row]
            if linear.bias is not None:
                changed.bias[place] = 0.0 if row is None else linear.bias[row]
    return changed


def take_rows(place: str, model: PreTrainedModel, rows: Rows, label_names: Sequence[str]) -> None:
    """Let a sequence classifier answer with these rows of its last layer, and name its labels.

    Raises:
        InputError: It has no linear layer with a row for each of its labels.
    """
    name = _last_layer(model)
    if name is None:
        raise InputError(f"{place}: its last layer must be linear with {model.config.num_labels} rows, it has none")
    parent, _, attribute = name.rpartition(".")
    module = model.get_submodule(parent)
    setattr(module, attribute, with_rows(getattr(module, attribute), rows))
    name_labels(model, label_names)


def name_labels(model: PreTrainedModel, label_names: Sequence[str]) -> None:
    """Write the names of the labels, and their number, into a model's configuration."""
    model.config.id2label = dict(enumerate(label_names))
    model.config.label2id = {name: label for label, name in enumerate(label_names)}
    if hasattr(model, "num_labels"):
        setattr(model, "num_labels", len(label_names))  # noqa: B010 - torch's modules declare tensors and modules alone


def _last_layer(model: PreTrainedModel) -> str | None:
    """The name of the last linear layer beside the base model that has a row for each label."""
    base, count = f"{model.base_model_prefix}.", model.config.num_labels
    layers = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == count and not name.startswith(base)
    ]
    return layers[-1] if layers else None
