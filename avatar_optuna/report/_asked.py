"""Sentences about a study for the report's templates: its state, what is missing, its settings, where it ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from avatar_optuna.objectives import OBJECTIVES
from avatar_optuna.report._content import Content
from avatar_optuna.report._words import count, listed, percent
from avatar_optuna.tasks import task_kind


def summary(content: Content) -> str:
    """How far the study is, and what teacher and baseline reach."""
    done, scored = len(content.students), sum(len(round_.scored) for round_ in content.rounds)
    state = (
        f"{count(scored, 'configuration')} scored, {count(done, 'student')} distilled and measured"
        if scored or done
        else "Nothing scored or distilled yet"
    )
    teacher, baseline = content.teacher, content.baseline
    reached = f"; the teacher reaches {percent(teacher.valid[content.metric])} on validation" if teacher else ""
    beside = f", TF-IDF with logistic regression {percent(baseline['valid'][content.metric])}" if baseline else ""
    return f"{state}{reached}{beside}."


def faults(content: Content) -> list[str]:
    """What an unfinished study lacks; empty for a finished one."""
    settings, jobs, samples = content.settings, content.jobs, len(content.indicator_samples)
    faults = []
    if content.teacher is None:
        faults.append("The teacher has not been measured.")
    scored = {round_.number: len(round_.scored) for round_ in content.rounds}
    for number in range(settings.search.rounds):
        place = f" of round {number + 1}" if settings.search.rounds > 1 else ""
        if number not in scored:
            faults.append(f"The search{place} has not begun.")
        elif scored[number] < settings.search.n_trials and jobs["COMPLETE"] == samples:
            faults.append(f"The search{place} has scored {scored[number]:,} of {settings.search.n_trials:,}.")
    if samples < settings.indicator.samples:
        faults.append(f"{samples} of {settings.indicator.samples} samples of the indicator are distilled.")
    if not content.students:
        faults.append("No student of the front has been distilled.")
    if waiting := jobs["WAITING"] + jobs["RUNNING"]:
        faults.append(f"{count(waiting, 'job')} still to be done: {jobs['RUNNING']} running, {jobs['WAITING']} queued.")
    faults += [f"Job {number} failed: {reason}" for number, reason in content.failures]
    uncompared = [str(student.job) for student in content.students if content.model(str(student.job)) is None]
    if uncompared:
        faults.append(
            f"{count(len(uncompared), 'student')} not yet timed side by side with the teacher: {listed(uncompared)}."
        )
    return faults


def task(content: Content) -> str:
    """The task in words."""
    return task_kind(content.settings.task.kind).title


def objectives(content: Content) -> str:
    """What the search improves, and in which direction."""
    kinds = [OBJECTIVES.get(name) for name in content.settings.search.objectives]
    return listed([f"{kind.title} {'up' if kind.direction == 'maximize' else 'down'}" for kind in kinds])


def constraints(content: Content) -> list[str]:
    """Of the study and of its family, as expressions."""
    family = content.settings.space.family
    return [*content.settings.constraints, *(rule.text for rule in family.divides), *family.constraints]


def space_rows(content: Content) -> list[list[str]]:
    """By hyperparameter: its name, the range asked for, the feasible range."""
    feasible, distributions = content.feasible, content.settings.space.distributions
    return [
        [
            name.replace("_", " "),
            _range(feasible["asked"][name]) if feasible is not None else str(distributions[name]),
            _range(feasible["ranges"][name]) if feasible is not None else "",
        ]
        for name in distributions
    ]


def _range(values: Sequence[Any]) -> str:
    if not all(isinstance(value, int | float) for value in values):
        return ", ".join(map(str, values))
    low, high = (f"{value:,}" if isinstance(value, int) else f"{value:g}" for value in values)
    return f"{low} to {high}" if low != high else low


def devices(content: Content) -> str:
    """Where the students were distilled."""
    places = []
    for result in (student.result for student in content.students):
        threads = result.device.get("threads")
        place = f"{result.device.get('model', result.device.get('name'))} of {result.host}"
        places.append(f"{place}, {count(threads, 'thread')}" if threads else place)
    return "; ".join(dict.fromkeys(places)) or "nothing yet"
