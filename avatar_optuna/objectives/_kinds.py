"""What an objective is: how it is called, shown, ordered and obtained."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape
from avatar_optuna.students import Configuration, StudentFamily

Direction = Literal["maximize", "minimize"]

Source = Literal["predicted", "formula", "calibrated", "measured"]
"""How a figure is obtained: effectiveness is predicted by the indicator; a formula needs the configuration alone; a
calibrated figure comes from a cost model fitted on a device; a measured one needs the distilled student."""


class ObjectiveKind(Protocol):
    """An entry of the registry of objectives. Entries with a formula or a measurement extend it, see below."""

    name: str
    """In study files, databases, JSON and CSV; the unit of the stored value is part of it, as in `size_bytes`."""
    title: str
    """For people, without the unit, such as "size"."""
    unit: str
    """In which people read it, such as "MB": the heading of its column."""
    scale: float
    """The stored value times this is in `unit`."""
    digits: int
    """Decimals in which people read it, in `unit`."""
    direction: Direction
    """Which way is better."""
    is_logarithmic: bool
    """Whether an axis of it is logarithmic."""
    source: Source
    """How it is obtained."""


class FormulaObjective(ObjectiveKind, Protocol):
    """An objective whose `source` is "formula". Constraints may name it."""

    def reads(self, family: StudentFamily) -> Collection[str]:
        """The hyperparameters of a family on which the formula depends: those of the family's formulas."""
        return family.formula_names

    def formula(self, shape: Any, task_shape: TaskShape) -> Any:
        """The value of a configuration.

        Args:
            shape: A configuration whose numbers are ints, arrays, intervals or terms of the solver: use +, -, *, and
                // alone. The family's quotients and derived quantities are attributes too.
            task_shape: Functions an input, and labels.
        """


DEFAULT_EDITS = 5
"""Edits of each function under which robustness is measured, where a study does not say."""

Predict = Callable[[Sequence[str], npt.NDArray[np.integer[Any]]], npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class MeasuredStudent:
    """A distilled student, as a measured objective gets it in the worker that distilled it.

    Args:
        directory: Its files: a Hugging Face directory.
        hyperparameters: Its configuration.
        task_shape: Functions an input, and labels.
        device: Where it is, such as "cpu" or "cuda:0".
        labels: Shape (inputs,): of the validation split.
        logits: Shape (inputs, labels): what it answers on the validation split.
        run: Classifies one test input; call it to time it.
        functions: The functions of the validation split.
        inputs: Shape (inputs, functions an input): places in `functions`.
        language: Of the functions, such as "java".
        predict: Logits (inputs, labels) of functions and inputs in the form of these two.
        labels_of: The labels (inputs,) that it gives by such logits: of two labels, at its threshold.
        edits: Of each function, under which robustness is measured.
        cache_dir: Where edited functions are kept, or None.
    """

    directory: Path
    hyperparameters: Configuration
    task_shape: TaskShape
    device: str
    labels: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    run: Callable[[], object]
    functions: tuple[str, ...]
    inputs: npt.NDArray[np.integer[Any]]
    language: str
    predict: Predict
    labels_of: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.int64]]
    edits: int = DEFAULT_EDITS
    cache_dir: Path | None = None


class MeasuredObjective(ObjectiveKind, Protocol):
    """An objective whose `source` is "measured". The search leaves it out; the front of distilled students has it."""

    def measure(self, student: MeasuredStudent) -> float:
        """The figure of a distilled student, finite, in the unit that the name says."""


@runtime_checkable
class ChecksLanguage(Protocol):
    """What a measured objective is besides, where functions of some languages cannot be measured."""

    def check(self, language: str) -> None:
        """Called before a study begins.

        Raises:
            InputError: Functions of this language cannot be measured.
        """
