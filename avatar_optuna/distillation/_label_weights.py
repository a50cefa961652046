"""What an input weighs in the loss over the true labels, by its label."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks import Task


def label_weights(class_weights: str | Mapping[str, float], task: Task, *, key: str) -> tuple[float, ...] | None:
    """A weight for each label, in their order; their mean over the training inputs is 1.

    Args:
        class_weights: "batch", "none", "balanced" or a table of names of labels to weights, as `key` takes it.
        task: Whose labels are counted, on the training split.
        key: Of the study file, for the message.

    Returns:
        None for "batch": the labels that occur in a step weigh the same in it.

    Raises:
        InputError: The table names other labels than those of the task.
    """
    if class_weights == "batch":
        return None
    counts = np.bincount(task.train.labels, minlength=task.shape.num_labels)
    if isinstance(class_weights, Mapping):
        if set(class_weights) != set(task.label_names):
            raise InputError(
                f"{key} must name each label of the task ({', '.join(task.label_names)}) and no other, got "
                f"{', '.join(map(str, class_weights)) or 'none'}"
            )
        weights = np.asarray([class_weights[name] for name in task.label_names], dtype=np.float64)
    else:
        weights = 1 / counts if class_weights == "balanced" else np.ones(len(counts))
    return tuple((weights / np.average(weights, weights=counts)).tolist())
