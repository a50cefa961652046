"""`pair = "similarity"` of teachers that are trained here: vectors that learn from groups and are compared."""

from __future__ import annotations

import hashlib

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import Task, known_groups

_PAIRS = ("head", "similarity")


def is_similarity(settings: TeacherSettings) -> bool:
    """Whether the vectors of a pair are compared, and not given to a head."""
    return settings.options.get("pair") == "similarity"


def pair_faults(settings: TeacherSettings) -> list[str]:
    """What is wrong with `pair` and what goes with it."""
    pair = settings.options.get("pair", "head")
    if pair not in _PAIRS:
        return [f'pair must be "head" or "similarity", got {pair!r}']
    if pair == "similarity" and "class_weights" in settings.options:
        return ["class_weights must be absent: a similarity learns from groups, not from the labels"]
    return []


def require_similar_pairs(settings: TeacherSettings, task: Task) -> None:
    """Raises `InputError` where the task has no pairs of two labels."""
    from avatar_optuna.teachers.checkpoints._made import require_two_labels

    if not task.shape.is_pair:
        raise InputError("teacher.pair reads pairs of functions, the task has single ones")
    require_two_labels(str(settings.source), task)


def groups_digest(task: Task) -> str:
    """SHA-256 of the groups that are learnt from."""
    return hashlib.sha256(known_groups(task.train).tobytes()).hexdigest()
