"""A kind of teacher: `keyword_rules = { LABEL = "KEYWORD" }` looks for a keyword of each label in a function."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TeacherSettings
from avatar_optuna.tasks import SPLITS, Task
from avatar_optuna.teachers import fingerprint

if TYPE_CHECKING:
    from avatar_optuna.distillation import OnEpoch, Teacher

_SHARPNESS = 4.0


class _KeywordRules:
    option_names = ("keyword_rules",)
    path_names: tuple[str, ...] = ()

    def faults(self, settings: TeacherSettings) -> list[str]:
        rules = settings.source
        if isinstance(rules, Mapping) and all(isinstance(word, str) and word for word in rules.values()):
            return []
        return [f"keyword_rules must be a table of keywords, got {rules!r}"]

    def check(self, settings: TeacherSettings, task: Task, *, cache_dir: Path) -> None:
        if set(settings.source) != set(task.label_names) or task.shape.is_pair:
            raise InputError(
                f"teacher keyword_rules: it must name the labels {', '.join(task.label_names)} of single functions, "
                f"got {', '.join(settings.source)}"
            )

    def load(
        self, settings: TeacherSettings, task: Task, *, cache_dir: Path, device: str, on_epoch: OnEpoch | None
    ) -> Teacher:
        from avatar_optuna.distillation import Teacher

        self.check(settings, task, cache_dir=cache_dir)
        rules = {name: settings.source[name] for name in task.label_names}
        counts = {
            name: np.array([[text.count(rules[label]) for label in rules] for text in task.splits[name].functions])
            for name in SPLITS
        }
        logits = {
            name: (_SHARPNESS * np.minimum(counts[name], 1)[task.splits[name].inputs[:, 0]]).astype(np.float32)
            for name in SPLITS
        }
        return Teacher(
            source="keyword_rules",
            fingerprint=fingerprint(task, rules),
            task=task,
            classifier=None,
            soft_labels=logits,
        )


KIND = _KeywordRules()
