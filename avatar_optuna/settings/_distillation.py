"""The section `[distillation]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from avatar_optuna.decision import AIM_RULE, Aim
from avatar_optuna.exceptions import InputError
from avatar_optuna.settings._class_weights import label_weights
from avatar_optuna.settings._rules import optional, real_number, whole_number
from avatar_optuna.settings._section import Section, setting


def _aim(value: Any) -> str | None:
    try:
        Aim.parse(value if isinstance(value, str) else "")
    except InputError:
        return AIM_RULE
    return None


@dataclass(frozen=True, kw_only=True)
class DistillationSettings(Section):
    """`[distillation]`: how a student learns. `students` of the front are distilled in each round; `views` are altered
    texts of each training function, labelled by the teacher; `edits` are texts that do what their function does, whose
    answer is the function's own."""

    students: int = setting(whole_number(1, 100_000), 3)
    epochs: int = setting(whole_number(1, 10_000), 10)
    temperature: float = setting(real_number(0.01, 1000.0), 2.0)
    hard_label_weight: float = setting(real_number(0.0, 1.0), 0.0)
    class_weights: str | Mapping[str, float] = setting(label_weights, "batch")
    threshold: str | None = setting(optional(_aim), None)
    weight_decay: float = setting(real_number(0.0, 10.0), 0.01)
    warmup_ratio: float = setting(real_number(0.0, 1.0), 0.1)
    token_dropout_prob: float = setting(real_number(0.0, 0.9), 0.0)
    views: int = setting(whole_number(0, 1000), 0)
    edits: int = setting(whole_number(0, 1000), 0)
    contrastive_weight: float = setting(real_number(0.0, 0.99), 0.0)
    representation_weight: float = setting(real_number(0.0, 0.99), 0.0)
    max_train_inputs: int | None = setting(optional(whole_number(1)), None)
    max_retries: int = setting(whole_number(0, 100), 2)
    seed: int = setting(whole_number(0), 0)

    @property
    def aim(self) -> Aim | None:
        """What the threshold of each model is chosen for on validation; None leaves 0.5."""
        return Aim.parse(self.threshold) if self.threshold is not None else None

    def _cross_faults(self) -> list[str]:
        faults = []
        if self.class_weights != "batch" and not self.hard_label_weight:
            faults.append(
                "class_weights needs a hard_label_weight above 0, since it weighs the true labels, got "
                f"{self.class_weights!r}"
            )
        if self.contrastive_weight + self.representation_weight > 0.99 + 1e-9:
            faults.append(
                "contrastive_weight and representation_weight must be at most 0.99 together, got "
                f"{self.contrastive_weight:g} and {self.representation_weight:g}"
            )
        return faults
