"""`class_weights`, a key of students and of teachers that are fine-tuned here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avatar_optuna.settings._rules import real_number

_CLASS_WEIGHTS = ("batch", "none", "balanced")


def label_weights(value: Any) -> str | None:
    """A way of weighing, or a table of weights by label."""
    rule = f"must be one of {', '.join(_CLASS_WEIGHTS)}, or a table of a number above 0 for each label"
    if not isinstance(value, Mapping):
        return None if value in _CLASS_WEIGHTS else rule
    is_positive = all(real_number(1e-9, 1e9)(weight) is None for weight in value.values())
    return None if value and is_positive else rule


def class_weights_faults(value: Any) -> list[str]:
    """What is wrong with `class_weights` of a teacher that is fine-tuned here, one sentence at most."""
    return [f"class_weights {fault}, got {value!r}"] if (fault := label_weights(value)) is not None else []
