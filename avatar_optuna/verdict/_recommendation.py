"""Which of the distilled students to take, by validation figures and costs alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avatar_optuna.metrics import MIN_FIGURES, shrunk
from avatar_optuna.view import DistilledStudent
from avatar_optuna.words import amount, percent, points

_Z = 1.96


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """A distilled student, and in sentences why it is this one."""

    student: DistilledStudent
    reason: str


def better_than(students: Sequence[DistilledStudent], *, chance: float, baseline: float) -> list[DistilledStudent]:
    """The students that are better than chance and the baseline on validation, beyond noise.

    Better than chance: the 95 % interval of its balanced accuracy lies above it. Better than the baseline: the interval
    of the paired difference does; where that is not known (before the comparison, and of earlier versions), that of its
    balanced accuracy lies above the baseline's figure.

    Args:
        students: Distilled.
        chance: A balanced accuracy.
        baseline: The larger of chance and the baseline's balanced accuracy on validation.
    """

    def is_better(student: DistilledStudent) -> bool:
        interval = student.result.valid.get("balanced_accuracy_interval")
        paired = student.difference("valid", "baseline")
        least = baseline if paired is None else chance
        return (interval is None or interval[0] > least) and (paired is None or paired.is_above)

    return [student for student in students if is_better(student)]


@dataclass(frozen=True, kw_only=True)
class AsGood:
    """The students that a validation split cannot tell from the best of them.

    Args:
        best: The most effective on validation; of equally effective ones the smallest.
        students: At most one standard error of the best's figure below it, itself included, in the order given.
        error: The standard error, a fraction; 0 where the figure has no interval.
        expected: What the best is expected to reach on other inputs of the kind, since it is the best by luck too (see
            `metrics.shrunk`); None where there are few students, or figures without intervals.
    """

    best: DistilledStudent
    students: tuple[DistilledStudent, ...]
    error: float
    expected: float | None

    @property
    def cheapest(self) -> DistilledStudent:
        """The fastest of them, and of two equally fast the smaller."""
        return min(self.students, key=lambda student: (student.latency_ms, student.size_bytes))


def as_good_as_best(students: Sequence[DistilledStudent], metric: str) -> AsGood | None:
    """Who is as good as the best on validation; None where there is no student.

    Args:
        students: Distilled.
        metric: What counts as effectiveness; its interval says the standard error.
    """
    if not students:
        return None
    best = max(students, key=lambda student: (student.effectiveness, -student.size_bytes))
    error = _standard_error(best, metric)
    as_good = tuple(student for student in students if student.effectiveness >= best.effectiveness - error)
    return AsGood(best=best, students=as_good, error=error, expected=_expected(best, students, metric))


def _expected(best: DistilledStudent, students: Sequence[DistilledStudent], metric: str) -> float | None:
    errors = [_standard_error(student, metric) for student in students]
    if len(students) < MIN_FIGURES or not all(errors):
        return None
    drawn_in = shrunk([student.effectiveness for student in students], errors)
    return float(next(figure for student, figure in zip(students, drawn_in, strict=True) if student is best))


def recommend(students: Sequence[DistilledStudent], metric: str) -> Recommendation | None:
    """The one-standard-error rule (Breiman et al. 1984): of those as good as the best, the cheapest.

    A student is as good as the best where it is at most one standard error of the best's validation figure below it;
    the cheapest is the fastest, and of two equally fast the smaller. Test figures play no part.

    Args:
        students: Distilled.
        metric: What counts as effectiveness; its interval says the standard error; without one the best is it.

    Returns:
        None where there is none.
    """
    if (found := as_good_as_best(students, metric)) is None:
        return None
    chosen = found.cheapest
    return Recommendation(student=chosen, reason=_reason(chosen, found.best, found.students, students, found.error))


def _reason(
    chosen: DistilledStudent,
    best: DistilledStudent,
    as_good: Sequence[DistilledStudent],
    students: Sequence[DistilledStudent],
    error: float,
) -> str:
    if len(students) == 1:
        return "It is the only student that has been distilled so far."
    if len(as_good) == 1:
        why = f"more than one standard error ({points(error)})" if error else "the figure has no interval here"
        others = f"The others are {why} below it." if error else f"The rule of one standard error needs one: {why}."
        return (
            f"It is the most effective of the {len(students)} distilled students on validation "
            f"({percent(best.effectiveness)}). {others}"
        )
    compared = (
        f"It is itself the most effective of the {len(students)} distilled students on validation "
        f"({percent(best.effectiveness)})"
        if chosen is best
        else f"The most effective of the {len(students)} distilled students on validation is student {best.job} "
        f"({percent(best.effectiveness)}); student {chosen.job} reaches {percent(chosen.effectiveness)}"
    )
    return (
        f"{compared}. {len(as_good)} students lie within one standard error ({points(error)}) of the best, so this "
        f"validation split cannot tell them apart, and of these it is the fastest "
        f"({amount('latency_ms', chosen.latency_ms)})."
    )


def _standard_error(student: DistilledStudent, metric: str) -> float:
    """Of the validation figure, from its 95 % interval; 0 where it has none."""
    interval = student.result.valid.get(f"{metric}_interval")
    return (interval[1] - interval[0]) / (2 * _Z) if interval is not None else 0.0
