"""The section `[teacher]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_optuna.kinds import TEACHER_KINDS
from avatar_optuna.settings._rules import real_number, whole_number
from avatar_optuna.settings._section import OpenSection, SectionError, setting


@dataclass(frozen=True, kw_only=True, init=False)
class TeacherSettings(OpenSection):
    """`[teacher]`: exactly one key that names a kind of teacher and says where it comes from, such as `checkpoint`,
    `soft_labels`, `pretrained` or `architecture`, the further keys of that kind, and how a kind that trains is trained.
    """

    epochs: int = setting(whole_number(1, 1000), 3)
    learning_rate: float = setting(real_number(1e-8, 1.0), 5e-5)
    batch_size: int = setting(whole_number(1, 65_536), 16)
    max_sequence_length: int = setting(whole_number(8, 32_768), 400)
    seed: int = setting(whole_number(0), 0)
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """The kind that its keys name.

        Raises:
            SectionError: They name none, or several.
        """
        kinds = TEACHER_KINDS.names()
        given = [key for key in self.options if key in kinds]
        if len(given) != 1:
            raise SectionError([f"needs exactly one of {', '.join(kinds)}, got {', '.join(given) or 'none'}"])
        return given[0]

    @property
    def source(self) -> Any:
        """What the key of the kind says: a path, or whatever the kind takes."""
        return self.options[self.kind]
