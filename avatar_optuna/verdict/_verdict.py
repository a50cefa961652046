"""The answer to "is it any good?", from what is stored of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from avatar_optuna.schema import Difference
from avatar_optuna.verdict._recommendation import Recommendation, better_than, recommend
from avatar_optuna.verdict._worth import weaknesses
from avatar_optuna.view import DistilledStudent, StudyView, metric_title
from avatar_optuna.words import interval, listed, percent, points, signed_interval, times

BASELINE = "TF-IDF with logistic regression"
_WON = {"size": "smaller", "latency": "faster", "energy": "less energy"}

Answer = Literal["yes", "no", "unsure", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether any student is better than the plain baseline, and what it costs beside its teacher.

    Args:
        answer: "yes": on validation, where it was chosen, and on test, beyond noise. "unsure": on one of them alone, or
            above it on validation within noise. "no": not above it on validation. "unknown": none is distilled.
        sentence: That with figures.
        next_steps: What to try, one sentence each; empty where the answer is "yes".
        recommendation: The student to take; None where none is better than chance and the baseline on validation.
        is_final: Whether the study is finished; else the sentence begins with "So far" or "Not known yet".
    """

    answer: Answer
    sentence: str
    next_steps: tuple[str, ...]
    recommendation: Recommendation | None
    is_final: bool


def verdict_of(view: StudyView) -> Verdict:
    """The verdict on a study, finished or not."""
    recommendation = recommend(better_than(view.students, chance=chance_of(view), baseline=floor_of(view)), view.metric)
    answer, said = _answer(view, recommendation)
    is_final = _is_final(view)
    begins = {"yes": "Yes", "no": "No", "unsure": "Not sure", "unknown": "Not known yet"}[answer]
    if not is_final and answer != "unknown":
        begins = f"So far {begins.lower()}"
    return Verdict(
        answer=answer,
        sentence=f"{begins}: {said}.",
        next_steps=tuple(_next_steps(view, answer, is_final=is_final)),
        recommendation=recommendation,
        is_final=is_final,
    )


def chance_of(view: StudyView) -> float:
    """The balanced accuracy of a coin."""
    return 1 / view.task_shape.num_labels


def floor_of(view: StudyView) -> float:
    """The larger of chance and the baseline's balanced accuracy on validation."""
    figures = view.baseline["valid"] if view.baseline is not None else {}
    return max(chance_of(view), float(figures.get("balanced_accuracy", 0.0)))


def _is_final(view: StudyView) -> bool:
    is_open = bool(view.jobs["WAITING"] + view.jobs["RUNNING"])
    return bool(view.students) and not is_open and all(student.is_compared for student in view.students)


def _answer(view: StudyView, recommendation: Recommendation | None) -> tuple[Answer, str]:
    if not view.students:
        return "unknown", "no student of the front is distilled"
    if recommendation is None:
        best = view.students[0]
        if not _is_above(view, best):
            return "no", _none(view)
        return "unsure", f"{_none(view)}{_beside_teacher(view, best)}"
    student = recommendation.student
    valid, test = student.difference("valid", "baseline"), student.difference("test", "baseline")
    beside = _beside_teacher(view, student)
    if valid is None or test is None:
        return "yes", f"{_unpaired(view, student)}{beside}"
    if test.is_above:
        return "yes", f"student {student.job} beats {BASELINE} by {_paired(test)} on test{beside}"
    return "unsure", (
        f"student {student.job} beats {BASELINE} by {_paired(valid)} on validation, but not beyond noise on test "
        f"({_signed(test)}){beside}"
    )


def _is_above(view: StudyView, student: DistilledStudent) -> bool:
    """Whether its figure on validation is above the baseline's and chance, be it by noise."""
    paired = student.difference("valid", "baseline")
    floor = floor_of(view) if paired is None else chance_of(view)
    return _balanced_accuracy(student) > floor and (paired is None or paired.value > 0)


def _none(view: StudyView) -> str:
    """No student is better on validation beyond noise; the best there, beside the baseline."""
    best, several = view.students[0], len(view.students) > 1
    none = f"none of {len(view.students)} students" if several else f"student {best.job}, the only one, does not"
    beats = f"{none} {'beats' if several else 'beat'}"
    which = f"the best on validation, student {best.job}," if several else "it"
    if floor_of(view) <= chance_of(view):
        return (
            f"{beats} chance beyond noise: {which} has a balanced accuracy of {_balanced(best)} on validation, chance "
            f"is {percent(chance_of(view))}"
        )
    differences = [(split, best.difference(split, "baseline")) for split in ("valid", "test")]
    known = [f"{_signed(found)} on {_SPLITS[split]}" for split, found in differences if found is not None]
    if known:
        metric = _metric(best.difference("valid", "baseline"))
        return f"{beats} {BASELINE} beyond noise: {which} differs from it by {listed(known)}, in {metric}, paired"
    return (
        f"{beats} {BASELINE} beyond noise: {which} has a balanced accuracy of {_balanced(best)} on validation, the "
        f"baseline {percent(floor_of(view))}"
    )


_SPLITS = {"valid": "validation", "test": "test"}


def _beside_teacher(view: StudyView, student: DistilledStudent) -> str:
    """What is given up and what is won."""
    ratios = student.times_less_than.get("teacher", {})
    won = [f"{times(ratios[key])} {word}" for key, word in _WON.items() if key in ratios]
    test, given = student.difference("test", "teacher"), ""
    if test is not None:
        verb = "gives up" if test.value < 0 else "gains"
        noise = "" if test.is_above or test.is_below else ", within noise"
        given = f"{verb} {points(abs(test.value))} ({signed_interval(test.interval)}{noise})"
    elif view.teacher_reached is not None:
        difference = student.effectiveness - view.teacher_reached
        given = f"{'gives up' if difference < 0 else 'gains'} {points(abs(difference))} on validation"
    parts = ([f"is {listed(won)}"] if won else []) + ([given] if given else [])
    return f"; beside its teacher it {' and '.join(parts)}" if parts else ""


def _unpaired(view: StudyView, student: DistilledStudent) -> str:
    """Of a study that was compared by an earlier version, or is not compared yet."""
    chance, floor = chance_of(view), floor_of(view)
    other = f"{BASELINE} {percent(floor)}" if floor > chance else f"chance is {percent(chance)}"
    return f"student {student.job} has a balanced accuracy of {_balanced(student)} on validation, {other}"


def _balanced_accuracy(student: DistilledStudent) -> float:
    """On validation; in studies of an early version the effectiveness."""
    return float(student.result.valid.get("balanced_accuracy", student.effectiveness))


def _balanced(student: DistilledStudent) -> str:
    """`72.0 % (66.5 to 76.8)`."""
    bounds, reached = student.result.valid.get("balanced_accuracy_interval"), percent(_balanced_accuracy(student))
    return f"{reached} ({interval(bounds)})" if bounds is not None else reached


def _paired(difference: Difference) -> str:
    """`4.3 points of balanced accuracy (95 % interval, paired: +0.3 to +8.1)`."""
    return (
        f"{points(difference.value)} of {_metric(difference)} (95 % interval, paired: "
        f"{signed_interval(difference.interval)})"
    )


def _signed(difference: Difference) -> str:
    """`+0.3 points (95 % interval -2.0 to +2.5)`."""
    return f"{100 * difference.value:+.1f} points (95 % interval {signed_interval(difference.interval)})"


def _metric(difference: Difference | None) -> str:
    return metric_title(difference.metric) if difference is not None else ""


def _next_steps(view: StudyView, answer: Answer, *, is_final: bool) -> list[str]:
    """What to try where nobody can be told to take a student."""
    going_on = [] if is_final else ["`avatar-optuna run STUDY.toml` goes on where the study stopped."]
    if answer == "yes":
        return going_on
    steps = going_on + _of_teacher(view)
    if answer == "unknown":
        return steps
    if answer == "unsure":
        inputs = view.data["inputs"] if view.data is not None else None
        size = f": there are {inputs['valid']:,} and {inputs['test']:,} inputs" if inputs is not None else ""
        steps.append(f"Larger validation and test splits tell smaller differences from noise{size}.")
    distillation = view.settings.distillation
    steps.append(
        f"Distil longer (distillation.epochs is {distillation.epochs}) on more training data, or let students be larger"
        f"{_binding(view)}."
    )
    if view.indicator is not None and not view.indicator.ranks:
        steps.append(
            f"The indicator cannot rank students, so those on its front may not be the best: indicator.samples is "
            f"{view.settings.indicator.samples}, indicator.epochs {view.settings.indicator.epochs}."
        )
    if floor_of(view) > chance_of(view):
        steps.append(f"Until then {BASELINE} is the simpler choice: {_of_baseline(view)} on validation.")
    return steps


def _of_baseline(view: StudyView) -> str:
    """What it reaches on validation, in what the study selects by where that is known of it."""
    figures = view.baseline["valid"] if view.baseline is not None else {}
    metric = view.metric if view.metric in figures else "balanced_accuracy"
    return f"{percent(float(figures[metric]))} {metric_title(metric)}"


def _of_teacher(view: StudyView) -> list[str]:
    """What is wrong with it."""
    if view.teacher is None or view.baseline is None or "balanced_accuracy_interval" not in view.teacher.valid:
        return []
    found: Sequence[str] = weaknesses(view.teacher.valid, view.baseline["valid"], view.task_shape.num_labels)
    return [f"A better teacher first: {sentence}." for sentence in found]


def _binding(view: StudyView) -> str:
    binding = view.feasible["binding"] if view.feasible is not None else None
    return f" (what binds is {binding})" if binding is not None else ""
