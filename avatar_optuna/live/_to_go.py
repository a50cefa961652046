"""How long a study still takes, by what its own trainings and its search took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from avatar_optuna.settings import StudySettings
from avatar_optuna.study import Pace, TimeBudget, TrainingTime
from avatar_optuna.view import StudyView
from avatar_optuna.words import count


@dataclass(frozen=True, kw_only=True)
class TimeToGo:
    """An estimate.

    Args:
        seconds: Of all that is estimated; None where nothing was timed yet.
        basis: Where it comes from, as a sentence's end.
        left_out: What is still to do and not in it.
    """

    seconds: float | None
    basis: str
    left_out: tuple[str, ...]


def time_to_go(
    view: StudyView,
    *,
    scored: int,
    trained: Mapping[str, tuple[bool, int]],
    times: Sequence[TrainingTime],
    budget: TimeBudget | None,
    workers: int,
) -> TimeToGo:
    """What is left of a study.

    Args:
        view: Of it.
        scored: Configurations that its search has scored.
        trained: By name of each student that was queued: whether it is brief, and the epochs that are done.
        times: What trainings took.
        budget: Its minutes, where these decide.
        workers: That train side by side.
    """
    settings = view.settings
    not_estimated = _unmeasured(view)
    if budget is not None:
        return TimeToGo(seconds=budget.left_s, basis="what is left of budget_minutes", left_out=not_estimated)
    epochs, trainings = _left(settings, trained)
    pace = Pace.fit(times, view.task_shape)
    if epochs and pace is None:
        return TimeToGo(seconds=None, basis="known once a training is done", left_out=not_estimated)
    seconds = (epochs * math.exp(pace.log_epoch_s) + trainings * pace.step_s) / workers if pace is not None else 0.0
    searching_s, is_known = _searching_s(view, scored)
    return TimeToGo(
        seconds=seconds + searching_s,
        basis=f"by what {count(len(times), 'training')} took",
        left_out=not_estimated if is_known else ("the search", *not_estimated),
    )


def _left(settings: StudySettings, trained: Mapping[str, tuple[bool, int]]) -> tuple[float, float]:
    """Epochs that are left, and trainings, a begun one as a part."""
    if settings.search.policy != "paper":
        total, full = settings.budget(settings.search.rounds), settings.rungs[-1]
        left = max(0, total - sum(epochs for _, epochs in trained.values()))
        return left, left / full
    parts = (
        (True, settings.indicator.samples, settings.indicator.epochs),
        (False, settings.search.rounds * settings.distillation.students, settings.distillation.epochs),
    )
    epochs = 0.0
    trainings = 0.0
    for is_brief, number, each in parts:
        done = sum(min(own, each) for brief, own in trained.values() if brief == is_brief)
        left = max(0, number * each - done)
        epochs, trainings = epochs + left, trainings + left / each
    return epochs, trainings


def _searching_s(view: StudyView, scored: int) -> tuple[float, bool]:
    """Seconds that the search still takes, and whether that is known: it is once a round was timed."""
    search = view.settings.search
    left = search.rounds * search.n_trials - scored if search.policy in ("paper", "rounds") else 0
    spent = view.cost.phases.get("search") if view.cost is not None else None
    if left <= 0:
        return 0.0, True
    return (left * spent.seconds / scored, True) if spent is not None and scored else (0.0, False)


def _unmeasured(view: StudyView) -> tuple[str, ...]:
    """What ends a run, and what begins it."""
    is_compared = bool(view.students) and all(student.is_compared for student in view.students)
    parts = {
        "the teacher": view.teacher is None,
        "the comparison": not is_compared,
        "the audit": view.settings.measurement.audit and view.audit is None,
    }
    return tuple(name for name, is_left in parts.items() if is_left)
