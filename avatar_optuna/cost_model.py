"""What a student costs on a device, predicted from its shape: a sum of cost terms with calibrated weights.

Latency and energy have no formula, but they are nearly sums: so much for each layer, each product, each element that is
touched. The weights are fitted, none below zero, on students that were measured on the device. The terms are
polynomials in the sizes of its family, so that one cost model takes an int, an array, an interval or a Z3 term.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.codec import Stored
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import StudyError
from avatar_optuna.objectives import OBJECTIVES
from avatar_optuna.students import DEFAULT_FAMILY, FAMILIES, Configuration, Reading, UncheckedConfiguration

Array = npt.NDArray[np.float64]

MIN_STUDENTS = 12

_FORMAT = 1
_DIGITS = 9


@dataclass(frozen=True, kw_only=True)
class CostModel(Stored):
    """A calibrated cost model; calling it with a shape gives the figure, in the reading of the shape.

    Args:
        quantity: "latency_ms" or "energy_j": of one input at full length.
        family: Name of the family whose students it predicts; of several, their names with commas between.
        task_shape: Single functions or pairs.
        weights: By term of the family's `device_terms`, those above 0; of several families with a family's name and a
            full stop before each term.
        device: `{"name", "model", "threads"}`, where it was calibrated.
        host: Name of the machine.
        batch_size: Inputs a pass.
        num_students: How many students it was fitted on.
        median_error: Of each student predicted from all others: the median of the relative errors, a fraction.
        p90_error: Their 90th percentile.
        rank_correlation: Spearman's, of those predictions with what was measured.
        range: Lowest and highest figure that was measured; outside it predicts what it never saw.
        waited_share: Share of the timed seconds in which other work had the processor, or None where unknown.
        measured_utc: When, ISO 8601.
    """

    quantity: str
    family: str
    task_shape: TaskShape
    weights: Mapping[str, float]
    device: Mapping[str, Any]
    host: str
    batch_size: int
    num_students: int
    median_error: float
    p90_error: float
    rank_correlation: float
    range: tuple[float, float]
    waited_share: float | None
    measured_utc: str

    @classmethod
    def fit(
        cls,
        quantity: str,
        students: Sequence[Configuration],
        measured: Sequence[float],
        task_shape: TaskShape,
        *,
        device: Mapping[str, Any],
        batch_size: int = 1,
        waited_share: float | None = None,
    ) -> CostModel:
        """Non-negative least squares of relative errors; each student is left out in turn to say how far to trust it.

        Args:
            students: What was measured, on this machine.
            measured: Its figures, above 0.

        Raises:
            StudyError: There are too few students, or a figure is not above 0.
        """
        from scipy.stats import spearmanr

        figures = np.asarray(measured, dtype=np.float64)
        if len(figures) < MIN_STUDENTS or len(figures) != len(students):
            raise StudyError(f"a cost model needs at least {MIN_STUDENTS} measured students, got {len(figures)}")
        if not (np.isfinite(figures) & (figures > 0)).all():
            raise StudyError("a cost model is fitted on figures above 0")
        families = list(dict.fromkeys(student.family.name for student in students))
        rows = [_terms(student, task_shape, families) for student in students]
        names = list(dict.fromkeys(name for row in rows for name in row))
        matrix = np.asarray([[float(row.get(name, 0.0)) for name in names] for row in rows])
        predicted = np.zeros(len(figures))
        for index in range(len(figures)):
            others = np.arange(len(figures)) != index
            predicted[index] = matrix[index] @ _solved(matrix[others], figures[others])
        errors = np.abs(predicted - figures) / figures
        weights = zip(names, _solved(matrix, figures), strict=True)
        return cls(
            quantity=quantity,
            family=",".join(families),
            task_shape=task_shape,
            weights={name: float(weight) for name, weight in weights if weight > 0},
            device=device,
            host=platform.node(),
            batch_size=batch_size,
            num_students=len(figures),
            median_error=float(np.median(errors)),
            p90_error=float(np.percentile(errors, 90)),
            rank_correlation=float(spearmanr(predicted, figures).statistic),
            range=(float(figures.min()), float(figures.max())),
            waited_share=waited_share,
            measured_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        )

    def __call__(self, shape: Reading) -> Any:
        """The figure of a shape: a float, an array, an interval or a Z3 term."""
        terms = _terms(shape, self.task_shape, self.family.split(","))
        return sum(terms[name] * weight for name, weight in self.weights.items() if name in terms)

    @property
    def unit(self) -> str:
        """Of the objective that it predicts, such as "ms"."""
        return OBJECTIVES.get(self.quantity).unit

    def is_of(self, device: Mapping[str, Any]) -> bool:
        """Whether it was calibrated on such a device: the same model, with as many threads."""
        return all(self.device[key] == device[key] for key in ("model", "threads"))

    def __post_init__(self) -> None:
        if not all(np.isfinite(weight) and weight > 0 for weight in self.weights.values()):
            raise ValueError(f"Expected finite weights above 0 by {sorted(_term_names(self))}")
        if unknown := self.weights.keys() - _term_names(self):
            raise ValueError(f"Expected weights by {sorted(_term_names(self))}, got {sorted(unknown)}")

    def to_dict(self) -> dict[str, Any]:
        values = super().to_dict()
        del values["task_shape"]
        task_shape = {"form": self.task_shape.form, "num_labels": self.task_shape.num_labels}
        return {"format": _FORMAT, **values, **task_shape}

    @classmethod
    def _upgraded(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if values["format"] != _FORMAT:
            raise ValueError(f"the format must be {_FORMAT}")
        task_shape = TaskShape.from_form(values["form"], values.get("num_labels", 2))
        return {"family": DEFAULT_FAMILY, **values, "task_shape": task_shape}


def _solved(matrix: Array, figures: Array) -> Array:
    """Weights of the terms, rounded to what Z3 reads exactly."""
    from scipy.optimize import nnls

    relative = matrix / figures[:, None]
    scale = np.where(relative.any(axis=0), np.abs(relative).max(axis=0), 1.0)
    weights = nnls(relative / scale, np.ones(len(figures)))[0] / scale
    return np.asarray([float(f"{weight:.{_DIGITS}g}") for weight in weights])


def _terms(shape: Reading, task_shape: TaskShape, families: Sequence[str]) -> dict[str, Any]:
    """The terms of a shape, under names that tell one of several families from the others."""
    terms = shape.family.device_terms(shape, task_shape)
    return terms if len(families) == 1 else {f"{shape.family.name}.{name}": value for name, value in terms.items()}


def _term_names(cost_model: CostModel) -> set[str]:
    """Names of the terms of the families that a cost model is of."""
    names: set[str] = set()
    families = cost_model.family.split(",")
    for family in map(FAMILIES.get, families):
        least = {spec.name: spec.choices[0] if spec.is_category else spec.low or 1 for spec in family.hyperparameters}
        names |= set(_terms(UncheckedConfiguration(family, least), cost_model.task_shape, families))
    return names
