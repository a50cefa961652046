"""All sections of a study together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from avatar_optuna.constraints import PREDICTED_NAMES, parse_for_any
from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives import DEFAULT_EDITS
from avatar_optuna.settings._distillation import DistillationSettings
from avatar_optuna.settings._indicator import IndicatorSettings
from avatar_optuna.settings._measurement import MeasurementSettings
from avatar_optuna.settings._rules import study_name
from avatar_optuna.settings._search import SearchSettings
from avatar_optuna.settings._section import Section
from avatar_optuna.settings._task import TaskSettings
from avatar_optuna.settings._teacher import TeacherSettings
from avatar_optuna.space import SearchSpace
from avatar_optuna.space_union import StudySpace, space_from_dict
from avatar_optuna.students import StudentFamily


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """A whole study file, resolved; sections that are left out have their defaults.

    Args:
        name: Letters, digits, '.', '_' and '-'.
        task: What the students are for.
        teacher: Whom they learn from.
        space: The hyperparameters, of one family or several; the paper's space where it is left out.
        constraints: Expressions, such as "size_mb <= 3"; what its family implies is added.
        indicator: Samples that the indicator is fitted on.
        search: Trials and objectives.
        distillation: How students are distilled.
        measurement: What counts as effectiveness, and on what students are timed.

    Raises:
        InputError: The name or a constraint is malformed.
    """

    name: str
    task: TaskSettings
    teacher: TeacherSettings
    space: StudySpace = field(default_factory=SearchSpace.paper)
    constraints: tuple[str, ...] = ()
    indicator: IndicatorSettings = field(default_factory=IndicatorSettings)
    search: SearchSettings = field(default_factory=SearchSettings)
    distillation: DistillationSettings = field(default_factory=DistillationSettings)
    measurement: MeasurementSettings = field(default_factory=MeasurementSettings)

    def __post_init__(self) -> None:
        if (fault := study_name(self.name)) is not None:
            raise InputError(f"name {fault}, got {self.name!r}")
        object.__setattr__(self, "constraints", tuple(self.constraints))
        for text in self.constraints:
            parse_for_any(text, self.families)

    @property
    def families(self) -> tuple[StudentFamily, ...]:
        """Of the students of the study."""
        return tuple(space.family for space in self.space.members)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which a student is promoted or left, ascending; the last is a full training.

        By default 20 % of it, which ranks students at 0.75 to 0.9 on BigCloneBench (`studies/LOG.md`); for
        `successive_halving` 5 % as well.
        """
        full = self.distillation.epochs
        shares = (0.05, 0.2) if self.search.policy == "successive_halving" else (0.2,)
        partial = self.search.rungs or tuple(max(1, round(share * full)) for share in shares)
        return (*sorted({epochs for epochs in partial if epochs < full}), full)

    def budget(self, rounds: int) -> int:
        """Student-epochs of so many rounds: what brief samples and students of the paper's way would take."""
        return self.indicator.samples * self.indicator.epochs + rounds * self.distillation.students * self.rungs[-1]

    @property
    def measured_edits(self) -> int:
        """Edits of each function under which flips are counted; 0 where the study does not ask for them."""
        default = DEFAULT_EDITS if "robustness" in self.search.objectives else 0
        return self.measurement.edits if self.measurement.edits is not None else default

    @property
    def predicted_names(self) -> frozenset[str]:
        """The figures that only a calibrated cost model gives, among the objectives and in the constraints."""
        named = [parse_for_any(text, self.families).names for text in self.constraints]
        return frozenset(PREDICTED_NAMES) & frozenset(self.search.objectives).union(*named)

    @property
    def formula_constraints(self) -> tuple[str, ...]:
        """The constraints that hold by formula alone: all but those on a figure that only a cost model gives."""
        parsed = {text: parse_for_any(text, self.families) for text in self.constraints}
        return tuple(text for text, constraint in parsed.items() if not constraint.names & set(PREDICTED_NAMES))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back equal."""
        sections = {key: getattr(self, key).to_dict() for key in SECTIONS}
        space = self.space.to_dict()
        return {"name": self.name, **sections, "space": space, "constraints": list(self.constraints)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudySettings:
        """Read what `to_dict` wrote, as it stands in a study's user attributes."""
        sections: dict[str, Any] = {key: section.from_mapping(values[key]) for key, section in SECTIONS.items()}
        return cls(
            name=values["name"],
            space=space_from_dict(values["space"]),
            constraints=tuple(values["constraints"]),
            **sections,
        )


SECTIONS: dict[str, type[Section]] = {
    "task": TaskSettings,
    "teacher": TeacherSettings,
    "indicator": IndicatorSettings,
    "search": SearchSettings,
    "distillation": DistillationSettings,
    "measurement": MeasurementSettings,
}
