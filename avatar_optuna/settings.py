"""The study file: TOML read into frozen settings, every fault reported at once.

A section of the file is a dataclass here; a field's `rule` says what it accepts. Paths in a study file are relative to
the file, and absolute once read, so that a worker started elsewhere on the machine finds the same data.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from avatar_optuna.carbon import is_known_country
from avatar_optuna.constraints import PREDICTED_NAMES, parse_for_any
from avatar_optuna.decision import AIM_RULE, Aim
from avatar_optuna.exceptions import DataError, InputError, StudyFileError
from avatar_optuna.files import read_text
from avatar_optuna.kinds import TASK_KINDS, TEACHER_KINDS, Kind
from avatar_optuna.objectives import BUILT_IN, DEFAULT_EDITS, EFFECTIVENESS, OBJECTIVES, searched
from avatar_optuna.registry import Registry
from avatar_optuna.space import SearchSpace
from avatar_optuna.space_union import StudySpace, space_from_dict, space_from_mapping
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, StudentFamily

Rule = Callable[[Any], str | None]
"""Takes what arrived; returns the broken rule as words ("must be ..."), or None."""

EFFECTIVENESS_METRICS = (
    *("balanced_accuracy", "accuracy", "f1", "macro_f1", "mcc", "roc_auc", "pr_auc"),
    *("ordered_pairs", "map_at_r"),  # of data with pairs before and after a fix; of pairs with groups
)


def _whole(low: int, high: int = 10**9) -> Rule:
    def rule(value: Any) -> str | None:
        valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if valid else f"must be a whole number from {low} to {high}"

    return rule


def _real(low: float, high: float) -> Rule:
    def rule(value: Any) -> str | None:
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        valid = valid and math.isfinite(value) and low <= value <= high
        return None if valid else f"must be a number from {low:g} to {high:g}"

    return rule


def _one_of(*choices: str) -> Rule:
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}"


def _objective(value: Any) -> str | None:
    is_known = isinstance(value, str) and (value in BUILT_IN or value in OBJECTIVES.names())
    return None if is_known else f"must be one of {', '.join(OBJECTIVES.names())}"


_CLASS_WEIGHTS = ("batch", "none", "balanced")


def _class_weights(value: Any) -> str | None:
    rule = f"must be one of {', '.join(_CLASS_WEIGHTS)}, or a table of a number above 0 for each label"
    if not isinstance(value, Mapping):
        return None if value in _CLASS_WEIGHTS else rule
    is_positive = all(_real(1e-9, 1e9)(weight) is None for weight in value.values())
    return None if value and is_positive else rule


def class_weights_faults(value: Any) -> list[str]:
    """What is wrong with `class_weights` of a teacher that is fine-tuned here, one sentence at most."""
    return [f"class_weights {fault}, got {value!r}"] if (fault := _class_weights(value)) is not None else []


def _aim(value: Any) -> str | None:
    try:
        Aim.parse(value if isinstance(value, str) else "")
    except InputError:
        return AIM_RULE
    return None


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() and "\0" not in value else "must be text"


def _truth(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _name(value: Any) -> str | None:
    valid = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", value)
    return None if valid else "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"


def _device(value: Any) -> str | None:
    valid = isinstance(value, str) and re.fullmatch(r"cpu|cuda(:\d+)?", value)
    return None if valid else "must be cpu, cuda or cuda:N"


def _country(value: Any) -> str | None:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value):
        return "must be an ISO 3166 code of three capitals, such as FRA"
    return None if is_known_country(value) else "must be a country whose grid codecarbon's table knows, such as FRA"


_RATIO = re.compile(r"(\d{1,2})/(\d{1,2})(?:/(\d{1,2}))?")
_DISJOINT = "disjoint"


def _split(value: Any) -> str | None:
    """`given`, `disjoint`, or two or three percentages, behind which `disjoint` may stand."""
    if value in ("given", _DISJOINT):
        return None
    found = _RATIO.fullmatch(value.removesuffix(f" {_DISJOINT}")) if isinstance(value, str) else None
    shares = [int(share) for share in found.groups() if share is not None] if found is not None else []
    if shares and min(shares) > 0 and sum(shares) == 100:
        return None
    return 'must be given, disjoint, or percentages that add up to 100, such as "80/10/10" or "80/10/10 disjoint"'


def _each(rule: Rule) -> Rule:
    def every(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not value:
            return "must be a list with at least one entry"
        if len(set(map(repr, value))) < len(value):
            return "may not repeat an entry"
        return next((f"each entry {fault}" for entry in value if (fault := rule(entry))), None)

    return every


def _optional(rule: Rule) -> Rule:
    return lambda value: None if value is None else rule(value)


def _setting(rule: Rule, default: Any = MISSING) -> Any:
    return field(default=default, metadata={"rule": rule})


class _Section:
    """What the sections share: each field is checked by its rule when the object is made."""

    def __post_init__(self) -> None:
        faults = []
        for entry in fields(self):  # type: ignore[arg-type]
            value = getattr(self, entry.name)
            if isinstance(value, list):
                object.__setattr__(self, entry.name, tuple(value))
            rule: Rule | None = entry.metadata.get("rule")
            if rule is not None and (fault := rule(value)) is not None:
                faults.append(f"{entry.name} {fault}, got {value!r}")
        faults.extend(self._cross_faults() if not faults else ())
        if faults:
            raise SectionError(faults)

    def _cross_faults(self) -> list[str]:
        """Faults between fields, looked for once each field is sound."""
        return []

    @classmethod
    def from_mapping(cls, table: Any) -> Self:
        """Read a TOML table or the dictionary of `to_dict`.

        Raises:
            SectionError: Unknown, missing and refused keys, all of them.
        """
        if not isinstance(table, Mapping):
            raise SectionError([f"must be a table, got {table!r}"])
        known = {entry.name: entry for entry in fields(cls)}  # type: ignore[arg-type]
        faults = [f"{key} is unknown, expected one of {', '.join(known)}" for key in table if key not in known]
        faults += [f"{key} is missing" for key, e in known.items() if e.default is MISSING and key not in table]
        values = {key: value for key, value in table.items() if key in known}
        if not faults:
            return cls(**values)
        for key, value in values.items():
            if (fault := known[key].metadata["rule"](value)) is not None:
                faults.append(f"{key} {fault}, got {value!r}")
        raise SectionError(faults)

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()  # type: ignore[call-overload]
        }


class SectionError(InputError):
    """Faults of one section; the reader of the file puts the section's name before each.

    Args:
        faults: One sentence each.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(faults))


class _OpenSection(_Section):
    """A section whose kind may take further keys: they stand in `options`, as plain JSON values.

    What a kind makes of them is checked where a study file is read; what is stored was checked then.
    """

    options: Mapping[str, Any]

    def __init__(self, **values: Any) -> None:
        own = [entry for entry in fields(self) if entry.name != "options"]  # type: ignore[arg-type]
        for entry in own:
            if entry.default is MISSING and entry.name not in values:
                raise SectionError([f"{entry.name} is missing"])
            object.__setattr__(self, entry.name, values.get(entry.name, entry.default))
        names = {entry.name for entry in own}
        given = {key: value for key, value in values.items() if key not in names and value is not None}
        options = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
        object.__setattr__(self, "options", options)
        self.__post_init__()

    @classmethod
    def from_mapping(cls, table: Any) -> Self:
        """Read a TOML table or the dictionary of `to_dict`.

        Raises:
            SectionError: Missing and refused keys, all of them.
        """
        if not isinstance(table, Mapping):
            raise SectionError([f"must be a table, got {table!r}"])
        return cls(**table)

    def to_dict(self) -> dict[str, Any]:
        """The fields and the options as plain JSON values."""
        values = super().to_dict()
        return {**{key: value for key, value in values.items() if key != "options"}, **self.options}


@dataclass(frozen=True, kw_only=True, init=False)
class TaskSettings(_OpenSection):
    """`[task]`: what the model is for.

    `data` is where the data is, for a kind that reads some. A kind may take further keys (see `TaskKind`). `split` is
    "given", or "disjoint": inputs of validation and test that hold copies of an earlier split's functions are left out;
    or percentages by which the rows of one file are split, with or without "disjoint" behind them.
    """

    kind: str = _setting(_text)
    data: str | None = _setting(_optional(_text), None)
    seed: int = _setting(_whole(0), 0)
    max_train: int | None = _setting(_optional(_whole(1)), None)
    max_valid: int | None = _setting(_optional(_whole(1)), None)
    max_test: int | None = _setting(_optional(_whole(1)), None)
    split: str = _setting(_split, "given")
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_disjoint(self) -> bool:
        """Whether copies of an earlier split's functions are left out."""
        return self.split.endswith(_DISJOINT)

    @property
    def split_shares(self) -> tuple[int, ...]:
        """Percentages of the splits that are made of one file: three, or those of training and validation; or ()."""
        found = _RATIO.match(self.split)
        return tuple(int(share) for share in found.groups() if share is not None) if found is not None else ()


@dataclass(frozen=True, kw_only=True, init=False)
class TeacherSettings(_OpenSection):
    """`[teacher]`: exactly one key that names a kind of teacher and says where it comes from, such as `checkpoint`,
    `soft_labels`, `pretrained` or `architecture`, the further keys of that kind, and how a kind that trains is trained.
    """

    epochs: int = _setting(_whole(1, 1000), 3)
    learning_rate: float = _setting(_real(1e-8, 1.0), 5e-5)
    batch_size: int = _setting(_whole(1, 65_536), 16)
    max_sequence_length: int = _setting(_whole(8, 32_768), 400)
    seed: int = _setting(_whole(0), 0)
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


@dataclass(frozen=True, kw_only=True)
class IndicatorSettings(_Section):
    """`[indicator]`: how many students are distilled, for how many epochs, to fit the effectiveness indicator."""

    samples: int = _setting(_whole(4, 10_000), 20)
    epochs: int = _setting(_whole(1, 1000), 3)


POLICIES = ("paper", "random", "successive_halving", "rounds")


@dataclass(frozen=True, kw_only=True)
class SearchSettings(_Section):
    """`[search]`: the evolutionary search. `n_trials` counts feasible evaluations of a round; `policy` says which
    students are distilled, and how far, before the next are chosen: with `budget_minutes` "rounds" by default, and
    without it "paper". It is never None once the object is made."""

    n_trials: int = _setting(_whole(1, 10**7), 1000)
    population_size: int = _setting(_whole(4, 10_000), 50)
    rounds: int = _setting(_whole(1, 100), 1)
    seed: int = _setting(_whole(0), 0)
    objectives: tuple[str, ...] = _setting(_each(_objective), ("effectiveness", "size_bytes", "flops"))
    policy: str | None = _setting(_optional(_one_of(*POLICIES)), None)
    rungs: tuple[int, ...] | None = _setting(_optional(_each(_whole(1, 10_000))), None)
    at_once: int = _setting(_whole(1, 10_000), 4)
    asynchronous: bool = _setting(_truth, False)
    budget_minutes: float | None = _setting(_optional(_real(0.01, 1e6)), None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.policy is None:
            object.__setattr__(self, "policy", "paper" if self.budget_minutes is None else "rounds")

    def _cross_faults(self) -> list[str]:
        if self.policy == "paper" and self.budget_minutes is not None:
            others = ", ".join(name for name in POLICIES if name != "paper")
            return [
                f"policy must be one of {others} where budget_minutes is given, since the paper's way has fixed "
                "numbers of samples and students, got 'paper'"
            ]
        if self.asynchronous and self.policy not in ("rounds", "successive_halving"):
            return [f"asynchronous is for the policies rounds and successive_halving, got policy {self.policy!r}"]
        if self.objectives[0] != EFFECTIVENESS or len(self.searched_objectives) < 2:
            return [
                "objectives must be effectiveness and at least one cost that needs no distilled student, got "
                f"{list(self.objectives)}"
            ]
        return []

    @property
    def searched_objectives(self) -> tuple[str, ...]:
        """What the search optimises: all objectives but those that are only measured on a distilled student."""
        return searched(self.objectives)


@dataclass(frozen=True, kw_only=True)
class DistillationSettings(_Section):
    """`[distillation]`: how a student learns. `students` of the front are distilled in each round; `views` are altered
    texts of each training function, labelled by the teacher; `edits` are texts that do what their function does, whose
    answer is the function's own."""

    students: int = _setting(_whole(1, 100_000), 3)
    epochs: int = _setting(_whole(1, 10_000), 10)
    temperature: float = _setting(_real(0.01, 1000.0), 2.0)
    hard_label_weight: float = _setting(_real(0.0, 1.0), 0.0)
    class_weights: str | Mapping[str, float] = _setting(_class_weights, "batch")
    threshold: str | None = _setting(_optional(_aim), None)
    weight_decay: float = _setting(_real(0.0, 10.0), 0.01)
    warmup_ratio: float = _setting(_real(0.0, 1.0), 0.1)
    token_dropout_prob: float = _setting(_real(0.0, 0.9), 0.0)
    views: int = _setting(_whole(0, 1000), 0)
    edits: int = _setting(_whole(0, 1000), 0)
    contrastive_weight: float = _setting(_real(0.0, 0.99), 0.0)
    representation_weight: float = _setting(_real(0.0, 0.99), 0.0)
    max_train_inputs: int | None = _setting(_optional(_whole(1)), None)
    max_retries: int = _setting(_whole(0, 100), 2)
    seed: int = _setting(_whole(0), 0)

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


@dataclass(frozen=True, kw_only=True)
class MeasurementSettings(_Section):
    """`[measurement]`: what counts as effectiveness, on what the students are timed, and under how many edits of each
    function it is counted how often they change their label."""

    effectiveness: str = _setting(_one_of(*EFFECTIVENESS_METRICS), "balanced_accuracy")
    device: str = _setting(_device, "cpu")
    threads: int | None = _setting(_optional(_whole(1, 4096)), None)
    batch_sizes: tuple[int, ...] = _setting(_each(_whole(1, 65_536)), (1,))
    repeats: int = _setting(_whole(5, 100_000), 50)
    country: str | None = _setting(_optional(_country), None)
    audit: bool = _setting(_truth, True)
    edits: int | None = _setting(_optional(_whole(1, 100)), None)


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
        if (fault := _name(self.name)) is not None:
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

        By default 5 and 20 % of it, which rank students at 0.3 and 0.75 on BigCloneBench (`studies/LOG.md`).
        """
        full = self.distillation.epochs
        partial = self.search.rungs or tuple(max(1, round(share * full)) for share in (0.05, 0.2))
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
        sections = {key: getattr(self, key).to_dict() for key in _SECTIONS}
        space = self.space.to_dict()
        return {"name": self.name, **sections, "space": space, "constraints": list(self.constraints)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> StudySettings:
        """Read what `to_dict` wrote, as it stands in a study's user attributes."""
        sections: dict[str, Any] = {key: section.from_mapping(values[key]) for key, section in _SECTIONS.items()}
        return cls(
            name=values["name"],
            space=space_from_dict(values["space"]),
            constraints=tuple(values["constraints"]),
            **sections,
        )


_SECTIONS: dict[str, type[_Section]] = {
    "task": TaskSettings,
    "teacher": TeacherSettings,
    "indicator": IndicatorSettings,
    "search": SearchSettings,
    "distillation": DistillationSettings,
    "measurement": MeasurementSettings,
}
_REQUIRED = ("task", "teacher")
_KINDS: Mapping[str, Registry[Kind]] = {"task": TASK_KINDS, "teacher": TEACHER_KINDS}


def load_study_file(path: Path | str) -> StudySettings:
    """Read and check a study file.

    Raises:
        StudyFileError: Everything that is wrong with the file, at once.
    """
    path = Path(path)
    document = _read_toml(path)
    faults: list[str] = []
    known = ("name", "space", "constraints", *_SECTIONS)
    faults += [f"{key} is unknown, expected one of {', '.join(known)}" for key in document if key not in known]
    if (fault := _name(document.get("name"))) is not None:
        faults.append(f"name {fault}, got {document.get('name')!r}")
    sections = {key: _read_section(key, cls, document, path, faults) for key, cls in _SECTIONS.items()}
    space = _read_space(document.get("space", {}), faults)
    families = [one.family for one in space.members] if space is not None else [FAMILIES.get(DEFAULT_FAMILY)]
    constraints = _read_constraints(document.get("constraints", {}), families, faults)
    if faults:
        raise StudyFileError(path, faults)
    values: dict[str, Any] = {"name": document["name"], "space": space, "constraints": constraints, **sections}
    return StudySettings(**values)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        document = tomllib.loads(read_text(path))
    except DataError as error:
        raise StudyFileError(path, [f"the study file {error.fault}"]) from error
    except RecursionError as error:
        raise StudyFileError(path, ["it must be TOML that is not nested too deeply"]) from error
    except ValueError as error:  # TOMLDecodeError, or Python's of an integer of thousands of digits
        raise StudyFileError(path, [f"it must be TOML: {error}"]) from error
    if faults := [f"{key} must be a whole number of at most 64 bits, as in TOML" for key in _longer_numbers(document)]:
        raise StudyFileError(path, faults)
    return document


def _longer_numbers(value: Any, key: str = "") -> Iterator[str]:
    """The keys of whole numbers of more than 64 bits: of thousands of hexadecimal digits, Python cannot even write."""
    if isinstance(value, Mapping):
        for name, entry in value.items():
            yield from _longer_numbers(entry, f"{key}.{name}" if key else name)
    elif isinstance(value, list):
        for entry in value:
            yield from _longer_numbers(entry, key)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        yield key


def _read_section(
    key: str, section: type[_Section], document: Mapping[str, Any], path: Path, faults: list[str]
) -> _Section | None:
    if key not in document and key in _REQUIRED:
        faults.append(f"[{key}] is missing")
        return None
    table = document.get(key, {})
    if isinstance(table, Mapping):
        if isinstance(table.get("objectives"), list):
            table = {**table, "objectives": [_METRICS.get(name, name) for name in map(str, table["objectives"])]}
        if key in _KINDS:
            return _read_open_section(key, section, table, path, faults)
    try:
        return section.from_mapping(table)
    except SectionError as error:
        faults.extend(_placed(key, fault) for fault in error.faults)
        return None


def _read_open_section(
    key: str, section: type[_Section], table: Mapping[str, Any], path: Path, faults: list[str]
) -> _Section | None:
    """A section whose keys depend on the kind that it selects; the kind has its say once the section is sound."""
    try:
        kind = _kind_of(key, table)
    except InputError as error:
        wrong = list(error.faults) if isinstance(error, SectionError) else []
        faults += [] if isinstance(error, SectionError) else [str(error)]
        settings, more = _section_and_faults(section, table, None)
    else:
        known = [*(e.name for e in fields(section) if e.name != "options"), *kind.option_names]  # type: ignore[arg-type]
        wrong = [f"{name} is unknown, expected one of {', '.join(known)}" for name in table if name not in known]
        table = {name: _resolve(v, path) if name in kind.path_names else v for name, v in table.items()}
        settings, more = _section_and_faults(section, table, kind)
    faults.extend(_placed(key, fault) for fault in dict.fromkeys([*wrong, *more]))
    return settings


def _section_and_faults(
    section: type[_Section], table: Mapping[str, Any], kind: Kind | None
) -> tuple[_Section | None, list[str]]:
    try:
        settings = section.from_mapping(table)
        return settings, kind.faults(settings) if kind is not None else []
    except SectionError as error:
        return None, list(error.faults)


def _kind_of(key: str, table: Mapping[str, Any]) -> Kind:
    """The kind that a section selects: by the key `kind` of a task, by the name of a key of a teacher."""
    if key == "teacher":
        names = set(TEACHER_KINDS.names())
        return TEACHER_KINDS.get(TeacherSettings(**{name: table[name] for name in table if name in names}).kind)
    if "kind" not in table:
        raise SectionError(["kind is missing"])
    return TASK_KINDS.get(str(table["kind"]))


_METRICS = {"predicted_effectiveness": "effectiveness"}
"""Names that the stored study gives its metrics, as a study file may write them too."""


def _resolve(value: Any, study_file: Path) -> Any:
    """A path relative to the study file, absolute; a hub name (nothing on disk, no leading dot) stays as it is."""
    if _text(value) is not None:
        return value
    resolved = (study_file.parent / Path(value).expanduser()).resolve()
    is_path = resolved.exists() or value.startswith((".", "/", "~"))
    return str(resolved) if is_path else value


def _read_space(table: Any, faults: list[str]) -> StudySpace | None:
    if not isinstance(table, Mapping):
        faults.append(f"space must be a table, got {table!r}")
        return None
    try:
        return space_from_mapping(table)
    except InputError as error:
        faults.extend(str(error).split("; "))
        return None


_COMPARISON = re.compile(r"\s*(<=|>=|<|>|==|!=)\s*(.+)")


def _read_constraints(table: Any, families: Sequence[StudentFamily], faults: list[str]) -> tuple[str, ...]:
    """`size_mb = "<= 3"` becomes "size_mb <= 3"; `expressions` is a list taken as it stands."""
    if not isinstance(table, Mapping):
        faults.append(f"constraints must be a table, got {table!r}")
        return ()
    texts: list[tuple[str, str]] = []
    for key, value in table.items():
        if key == "expressions":
            if (fault := _each(_text)(value)) is not None:
                faults.append(f"constraints.expressions {fault}, got {value!r}")
            else:
                texts.extend((key, text) for text in value)
        elif isinstance(value, str) and _COMPARISON.fullmatch(value):
            texts.append((key, f"{key} {value.strip()}"))
        else:
            faults.append(f'constraints.{key} must be a comparison such as "<= 3", got {value!r}')
    for key, text in texts:
        try:
            parse_for_any(text, families)
        except InputError as error:
            faults.append(f"constraints.{key}: {error}")
    return tuple(text for _, text in texts)


def _placed(section: str, fault: str) -> str:
    """A fault with its place: of a key ("task.kind must ...") or of the whole section ("task must ...")."""
    return f"{section} {fault}" if fault.startswith(("must", "needs")) else f"{section}.{fault}"
