"""How a checkpoint is read: what its logits mean and which text it was trained on, where its files do not say.

A layout is the name of published code whose checkpoints users have; it fixes everything that their files leave open.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from avatar_optuna.data_flow import VARIANTS
from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import LANGUAGES
from avatar_optuna.settings import TeacherSettings

HEADS = ("softmax", "sigmoid", "sigmoid of column 0", "sigmoid of column 1")
PAIRS = ("head", "cross", "similarity")
POOLINGS = ("first", "mean", "last")

_FLOW_CLONE = {"head": "softmax", "lower_case": False, "one_line": False, "pair": "head"}
_FLOW_VULNERABILITY = {"head": "sigmoid of column 0", "lower_case": False, "one_line": False}

LAYOUTS: Mapping[str, Mapping[str, Any]] = {
    "huggingface": {"head": "softmax", "lower_case": False, "one_line": False},
    "codexglue-clone": {"head": "softmax", "lower_case": False, "one_line": True, "pair": "head"},
    "codexglue-defect": {"head": "sigmoid", "lower_case": False, "one_line": True},
    "codexglue-retrieval": {"pair": "similarity", "similarity": "dot", "lower_case": False, "one_line": True},
    "avatar-codebert-clone": {"head": "softmax", "lower_case": True, "one_line": True, "pair": "head"},
    "avatar-codebert-vulnerability": {"head": "sigmoid of column 0", "lower_case": True, "one_line": True},
    "compressor-codebert-clone": {"head": "softmax", "lower_case": True, "one_line": True, "pair": "head"},
    "compressor-codebert-vulnerability": {"head": "sigmoid of column 0", "lower_case": True, "one_line": True},
    "graphcodebert-clone": {**_FLOW_CLONE, "data_flow": "graphcodebert-2021"},
    "avatar-graphcodebert-clone": {**_FLOW_CLONE, "data_flow": "avatar", "code_length": 384, "data_flow_length": 128},
    "avatar-graphcodebert-vulnerability": {**_FLOW_VULNERABILITY, "data_flow": "avatar"},
    "compressor-graphcodebert-clone": {
        **_FLOW_CLONE,
        "data_flow": "graphcodebert",
        "code_length": 384,
        "data_flow_length": 128,
    },
    "compressor-graphcodebert-vulnerability": {**_FLOW_VULNERABILITY, "data_flow": "compressor"},
}
"""What each layout fixes. The vectors of `codexglue-retrieval` are those of the pooler."""


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be text"


def _truth(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _names(value: Any) -> str | None:
    is_list = isinstance(value, list | tuple) and value and all(_text(entry) is None for entry in value)
    return None if is_list and len(set(value)) == len(value) else "must be a list of different names"


def _count(value: Any) -> str | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 10**9
    return None if is_count else f"must be a whole number from 0 to {10**9}"


def _length(value: Any) -> str | None:
    is_length = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 4096
    return None if is_length else "must be a whole number from 1 to 4096"


def _one_of(*choices: str) -> Callable[[Any], str | None]:
    quoted = ", ".join(f'"{choice}"' for choice in choices)
    return lambda value: None if value in choices else f"must be one of {quoted}"


_RULES: Mapping[str, Callable[[Any], str | None]] = {
    "base": _text,
    "layout": _one_of(*LAYOUTS),
    "head": _one_of(*HEADS),
    "labels": _names,
    "pair": _one_of(*PAIRS),
    "pooling": _one_of(*POOLINGS),
    "lower_case": _truth,
    "one_line": _truth,
    "sampled_pairs": _count,
    "data_flow": _one_of(*VARIANTS),
    "language": _one_of(*LANGUAGES),
    "code_length": _length,
    "data_flow_length": _length,
}
OPTION_NAMES = tuple(_RULES)
_OF_DATA_FLOW = ("data_flow", "language", "code_length", "data_flow_length")


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How a checkpoint is read; None where neither the study file nor a layout says it.

    Args:
        max_sequence_length: Tokens of an input at most.
        base: Model that configuration and tokenizer are of.
        layout: Name of the layout that fixed the rest, or None.
        head: How its logits become probabilities.
        labels: The label of each logit.
        pair: How it reads pairs: by a head over two vectors, both functions in one input, or by a similarity.
        pooling: Of the vectors that are compared or joined.
        similarity: "cosine" or "dot".
        lower_case: Whether text is lower-cased.
        one_line: Whether each stretch of white space becomes one space.
        sampled_pairs: Pairs that a model without vectors is asked about besides the listed ones.
        data_flow: The published implementation whose data flow it was trained with, if it was.
        language: Of the functions, where it is another than the task's.
        code_length: Pieces of code of an input, beside `data_flow_length` nodes of data flow.
    """

    max_sequence_length: int
    base: str | None = None
    layout: str | None = None
    head: str | None = None
    labels: tuple[str, ...] | None = None
    pair: str | None = None
    pooling: str | None = None
    similarity: str | None = None
    lower_case: bool | None = None
    one_line: bool | None = None
    sampled_pairs: int = 0
    data_flow: str | None = None
    language: str | None = None
    code_length: int | None = None
    data_flow_length: int | None = None

    @classmethod
    def of(cls, settings: TeacherSettings) -> Self:
        """What a section `[teacher]` says, its layout included."""
        options = {name: settings.options[name] for name in OPTION_NAMES if name in settings.options}
        if "labels" in options:
            options["labels"] = tuple(options["labels"])
        fixed = LAYOUTS.get(options.get("layout", ""), {})
        return cls(**{**fixed, **options}, max_sequence_length=settings.max_sequence_length)

    @property
    def is_plain(self) -> bool:
        """Whether nothing is said of it."""
        return self == type(self)(max_sequence_length=self.max_sequence_length)

    @property
    def identity(self) -> dict[str, Any]:
        """What the answers of a teacher depend on, as JSON."""
        values = {name: value for name, value in asdict(self).items() if name not in ("base", "layout")}
        return {name: value for name, value in values.items() if name not in _OF_DATA_FLOW}  # the reader has these

    def require(self, source: str, **missing: str) -> None:
        """Refuse a checkpoint whose files leave open what is not said either.

        Args:
            source: The checkpoint.
            missing: Of each key that may be needed, why.

        Raises:
            InputError: A key is missing; the sentence lists all of them, and the layouts that fix them.
        """
        asked = {key: why for key, why in missing.items() if getattr(self, key) is None}
        if asked:
            keys = " and ".join(f"teacher.{key} ({why})" for key, why in asked.items())
            raise InputError(
                f"teacher {source}: its file does not say how it is read: set {keys}, or teacher.layout to one of "
                f"{', '.join(LAYOUTS)}"
            )


def faults_of(settings: TeacherSettings, names: Sequence[str] = OPTION_NAMES) -> list[str]:
    """Broken rules of keys of a checkpoint."""
    options = settings.options
    faults = [
        f"{name} {fault}, got {options[name]!r}"
        for name in names
        if name in options and (fault := _RULES[name](options[name])) is not None
    ]
    layout = options.get("layout")
    fixed = LAYOUTS.get(layout, {}) if isinstance(layout, str) else {}
    if layout is None and "data_flow" not in options:
        faults += [
            f"{name} must be absent: it is of checkpoints with data_flow, got {options[name]!r}"
            for name in _OF_DATA_FLOW
            if name in options
        ]
    return faults + [
        f'{name} must be absent: the layout "{layout}" fixes it, got {options[name]!r}'
        for name in fixed
        if name in options
    ]


def rows_of(reading: Reading, own_names: Sequence[str], label_names: Sequence[str], source: str) -> list[int | None]:
    """Which of its logits answers for each label of the task; None is a logit that is always 0.

    Args:
        own_names: Names of its logits, by the study file or the model.
        label_names: The task's.

    Raises:
        InputError: The logits are others, or cannot be told apart.
    """
    count, wanted = len(own_names), [name.casefold() for name in label_names]
    names = [name.casefold() for name in reading.labels or own_names]
    if reading.labels is not None and not (len(names) == count and set(names) <= set(wanted)):
        raise InputError(
            f"teacher.labels must name the label of each of {count} logits, of {', '.join(label_names)}, got "
            f"{', '.join(reading.labels)}"
        )
    head = reading.head or "softmax"
    if head == "softmax":
        if count != len(wanted):
            hint = '; if a sigmoid reads its one logit, set teacher.head = "sigmoid"' if count == 1 else ""
            raise InputError(f"teacher {source}: it must tell {len(wanted)} labels apart, got {count}{hint}")
        return [names.index(name) for name in wanted] if sorted(names) == sorted(wanted) else list(range(count))
    column = 0 if head == "sigmoid" else int(head[-1])
    if len(wanted) != 2 or (head == "sigmoid" and count != 1) or column >= count:
        logits = "one logit" if head == "sigmoid" else f"more than {column} logits"
        raise InputError(
            f'teacher {source}: the head "{head}" needs two labels and {logits}, got {len(wanted)} and {count}'
        )
    is_first = reading.labels is not None and names[column] == wanted[0]
    return [column, None] if is_first else [None, column]
