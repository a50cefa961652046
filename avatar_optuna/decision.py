"""How logits become probabilities and labels: a temperature and, of two labels, a threshold, chosen on validation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.exceptions import InputError

Array = npt.NDArray[np.float64]

EVEN = 0.5
"""The threshold at which the likelier of two labels is given."""
AIM_RULE = "must be f1, balanced_accuracy, mcc, or a comparison such as precision >= 0.9 or recall >= 0.9"
_TEMPERATURES = (0.05, 20.0)
_SAME = 1e-12
_HALVINGS = 60


@dataclass(frozen=True, kw_only=True)
class Aim:
    """What a threshold is chosen for.

    Args:
        metric: `f1`, `balanced_accuracy` or `mcc`, which is to be highest, or `precision` or `recall` of the label 1,
            which is to be at least `least`: then the other one of the two is to be highest.
        least: Above 0, at most 1; None of the first three.
    """

    metric: str
    least: float | None = None

    @classmethod
    def parse(cls, text: str) -> Aim:
        """Read what a study file says, such as "f1" or "precision >= 0.9".

        Raises:
            InputError: It is none.
        """
        if text in _HIGHEST:
            return cls(metric=text)
        match = re.fullmatch(r"(precision|recall)\s*>=\s*(\d*\.?\d+)", text)
        if match is None or not 0 < float(match[2]) <= 1:
            raise InputError(f"{AIM_RULE}, got {text!r}")
        return cls(metric=match[1], least=float(match[2]))

    def __str__(self) -> str:
        return self.metric if self.least is None else f"{self.metric} >= {self.least:g}"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """How a classifier's logits become probabilities and labels.

    Args:
        temperature: By which logits are divided before the softmax.
        threshold: Of two labels, the label 1 is given from this probability on; None gives the likeliest label.
        missed: Why the threshold does not do what it was chosen for, as a sentence; None where it does.
    """

    temperature: float = 1.0
    threshold: float | None = None
    missed: str | None = None

    def mirrored(self) -> Decision:
        """The same of two labels in the other order."""
        threshold = None if self.threshold is None else 1 - self.threshold
        return Decision(temperature=self.temperature, threshold=threshold, missed=self.missed)

    def probabilities(self, logits: npt.NDArray[Any]) -> Array:
        """Of each label, shape (n, labels), of logits (n, labels)."""
        scaled = logits.astype(np.float64) / self.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def labels(self, logits: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """The label of each input, shape (n,), of logits (n, labels)."""
        if self.threshold is None:
            return np.asarray(logits.argmax(axis=1), dtype=np.int64)
        return np.asarray(self.probabilities(logits)[:, 1] >= self.threshold, dtype=np.int64)


def decide(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64], aim: Aim | None) -> Decision:
    """The temperature of the highest likelihood and, at that temperature, the threshold for an aim.

    Args:
        logits: Of the validation split, shape (n, labels).
        labels: Shape (n,).
        aim: None chooses no threshold.

    Raises:
        InputError: There is an aim, and there are not two labels.
    """
    temperature = fit_temperature(logits, labels)
    if aim is None:
        return Decision(temperature=temperature)
    require_two_labels(aim, logits.shape[1])
    probabilities = Decision(temperature=temperature).probabilities(logits)[:, 1]
    threshold, missed = choose_threshold(probabilities, labels, aim)
    return Decision(temperature=temperature, threshold=threshold, missed=missed)


def require_two_labels(aim: Aim | None, num_labels: int) -> None:
    """Refuse (`InputError`) a threshold for another number of labels."""
    if aim is not None and num_labels != 2:
        raise InputError(f"distillation.threshold needs a task of two labels, this one has {num_labels}")


def fit_temperature(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> float:
    """The temperature T from 0.05 to 20 at which the labels are likeliest, given softmax(logits / T).

    The logarithm of the likelihood is concave in 1 / T (Guo et al. 2017 fit T by a gradient method): its derivative is
    bisected.

    Args:
        logits: Shape (n, labels).
        labels: Shape (n,).

    Returns:
        1 where all inputs are given their labels: the likelihood then rises without end as T falls.
    """
    z = logits.astype(np.float64)
    own = z[np.arange(len(z)), labels]
    if (own == z.max(axis=1)).all():
        return 1.0

    def slope(temperature: float) -> float:
        """Of the loss over 1 / T: how much the mean logit exceeds that of the label, summed over the inputs."""
        weights = Decision(temperature=temperature).probabilities(z)
        return float(((weights * z).sum(axis=1) - own).sum())

    low, high = np.log(_TEMPERATURES).tolist()
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(float(np.exp(middle))) > 0 else (low, middle)
    return float(np.exp((low + high) / 2))


@dataclass(frozen=True, kw_only=True)
class _Cuts:
    """All ways to part inputs by a threshold, from none of them to all, shape (cuts,) each.

    Args:
        thresholds: One for each: of those that part alike, 0.5 or the one in the middle.
        hits: Inputs of the label 1 from the threshold on.
        alarms: Inputs of the label 0 from the threshold on.
        positives: Inputs of the label 1.
        negatives: Inputs of the label 0.
    """

    thresholds: Array
    hits: Array
    alarms: Array
    positives: float
    negatives: float

    @property
    def precision(self) -> Array:
        """0 where no input is given the label 1."""
        given = self.hits + self.alarms
        return np.divide(self.hits, given, out=np.zeros_like(self.hits), where=given > 0)

    @property
    def recall(self) -> Array:
        return self.hits / max(self.positives, 1.0)

    @property
    def f1(self) -> Array:
        return 2 * self.hits / np.maximum(self.hits + self.alarms + self.positives, 1.0)

    @property
    def balanced_accuracy(self) -> Array:
        return (self.recall + 1 - self.alarms / max(self.negatives, 1.0)) / 2

    @property
    def mcc(self) -> Array:
        given, total = self.hits + self.alarms, self.positives + self.negatives
        spread = np.sqrt(given * (total - given) * self.positives * self.negatives)
        covariance = self.hits * total - given * self.positives
        return np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)


_HIGHEST: Mapping[str, Callable[[_Cuts], Array]] = {
    "f1": lambda cuts: cuts.f1,
    "balanced_accuracy": lambda cuts: cuts.balanced_accuracy,
    "mcc": lambda cuts: cuts.mcc,
}


def choose_threshold(probabilities: Array, labels: npt.NDArray[np.int64], aim: Aim) -> tuple[float, str | None]:
    """The threshold that does best by an aim; of equally good ones the nearest to 0.5.

    A threshold lies in the middle between two probabilities that inputs have, so that figures that differ in their last
    digits, as those of other machines do, part the inputs alike.

    Args:
        probabilities: Of the label 1, shape (n,).
        labels: 0 or 1, shape (n,).
        aim: What it is chosen for.

    Returns:
        The threshold, from 0 to 1, and None; or, where a precision or recall cannot be reached, the one that comes
        nearest to it, and a sentence that says so.
    """
    cuts = _cuts(probabilities, labels)
    if aim.least is None:
        return _best(cuts, _HIGHEST[aim.metric](cuts)), None
    held, other, name = cuts.precision, cuts.recall, "recall"
    if aim.metric == "recall":
        held, other, name = other, held, "precision"
    if (reaches := (held >= aim.least) & (cuts.hits > 0)).any():
        return _best(cuts, np.where(reaches, other, -1.0), np.where(reaches, held, -1.0)), None
    chosen = _place(cuts, held, other)
    return float(cuts.thresholds[chosen]), (
        f"{aim} cannot be reached on validation: the highest {aim.metric} is {held[chosen]:.3f}, at a {name} of "
        f"{other[chosen]:.3f}"
    )


def _cuts(probabilities: Array, labels: npt.NDArray[np.int64]) -> _Cuts:
    values, places = np.unique(probabilities, return_inverse=True)  # ascending
    of_label = [np.bincount(places, weights=labels == label, minlength=len(values)) for label in (1, 0)]
    # Cut k gives the label 1 to the k inputs of the highest values; its thresholds are above `low`, up to `high`.
    hits, alarms = (np.concatenate([[0.0], counts[::-1].cumsum()]) for counts in of_label)
    low, high = np.concatenate([values[::-1], [0.0]]), np.concatenate([[1.0], values[::-1]])
    middle = (low + high) / 2
    middle = np.where(middle > low, middle, high)
    middle = np.where((low < EVEN) & (high >= EVEN), EVEN, middle)
    is_there = (low < high) | (np.arange(len(low)) == len(low) - 1)  # none is given the label 1 by no threshold, at 1
    return _Cuts(
        thresholds=middle[is_there],
        hits=hits[is_there],
        alarms=alarms[is_there],
        positives=float(hits[-1]),
        negatives=float(alarms[-1]),
    )


def _best(cuts: _Cuts, *values: Array) -> float:
    return float(cuts.thresholds[_place(cuts, *values)])


def _place(cuts: _Cuts, *values: Array) -> int:
    """Of the cut of the highest values, the first of them first; of equal ones that nearest to 0.5."""
    is_best = np.ones(len(cuts.thresholds), dtype=np.bool_)
    for row in values:
        is_best &= row >= row[is_best].max() - _SAME
    distances = np.where(is_best, np.abs(cuts.thresholds - EVEN), np.inf)
    return int(distances.argmin())
