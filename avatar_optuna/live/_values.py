"""What a live page shows, as plain JSON values: text where it is read, numbers where they are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.live._study import LiveStudent, LiveStudy
from avatar_optuna.objectives import signs
from avatar_optuna.pareto import non_dominated
from avatar_optuna.pool import RunStatus
from avatar_optuna.report import bar_percent, funnel_of
from avatar_optuna.view import DistilledStudent
from avatar_optuna.words import amount, count, duration, interval, listed, percent

_MOST_CURVES, _MOST_POINTS, _MOST_WAITING = 30, 300, 20

Point = list[float]
Values = npt.NDArray[np.float64]


def live_values(study: LiveStudy, scored: Values) -> dict[str, Any]:
    """Everything of one look at a study.

    Args:
        study: As read.
        scored: Values of what the last round has scored, shape (trials, objectives).
    """
    view, pool = study.view, study.pool
    front = predicted_front(study, scored)
    funnel = funnel_of(view, scored=sum(study.scored.values()), on_predicted_front=len(front))
    return {
        "name": view.name,
        "state": study.state,
        "sentence": _sentence(study),
        "verdict": {"answer": study.verdict.answer, "sentence": study.verdict.sentence},
        "read_utc": study.read_utc.isoformat(timespec="seconds") + "Z",
        "metric": view.metric_title,
        "tiles": _tiles(study),
        "phases": [
            {
                "title": phase.title,
                "done": phase.done,
                "total": phase.total,
                "state": "stands" if phase.state == "going" and study.state == "standing" else phase.state,
            }
            for phase in study.phases
        ],
        "funnel": [
            {"title": title, "number": number, "bar": round(bar_percent(number, max(n for _, n in funnel)), 1)}
            for title, number in funnel
        ],
        "rungs": _rungs(study),
        "jobs": {"waiting": pool.queued, "running": len(pool.running), "done": pool.done, "failed": len(pool.failed)},
        "running": _running(study),
        "waiting": [_named(student) for student in study.students if student.state == "waiting"][:_MOST_WAITING],
        "failed": [{"job": job.number, "reason": job.reason, "attempts": job.attempts} for job in pool.failed],
        "workers": [
            {"worker": one.worker, "host": one.host, "device": one.device, "since": one.since, "job": one.job}
            for one in pool.workers
        ],
        "curves": _curves(study),
        "teacher": _hundredth(view.teacher_reached),
        "baseline": _hundredth(view.baseline_reached),
        "front": {
            "measured": [_measured(student, view.metric) for student in view.students],
            "brief": [
                [student.size_bytes / 1e6, 100 * student.effectiveness, student.job]
                for student in view.indicator_samples
            ],
            "predicted": thinned(front, _MOST_POINTS),
        },
    }


def predicted_front(study: LiveStudy, scored: Values) -> list[Point]:
    """[MB, predicted percent] of what no other scored configuration dominates; empty where sizes are no objective."""
    names = list(study.view.settings.search.searched_objectives)
    if "size_bytes" not in names or not len(scored):
        return []
    kept = scored[non_dominated(scored * signs(names))]
    points = [[float(row[names.index("size_bytes")]) / 1e6, 100 * float(row[0])] for row in kept]
    return sorted(points)


def thinned(points: Sequence[Point], most: int) -> list[Point]:
    """At most so many of the points, evenly chosen, in few digits."""
    if len(points) > most:
        points = [points[int(place)] for place in np.linspace(0, len(points) - 1, most).round()]
    return [[float(f"{value:.5g}") for value in point] for point in points]


def _sentence(study: LiveStudy) -> str:
    """What the study is doing, in words."""
    if study.is_finished:
        return "This study is finished."
    since = f" The last sign of it is {duration(study.quiet_s)} old." if study.quiet_s is not None else ""
    run = study.pool.run
    if study.state == "standing":
        goes_on = "`avatar-optuna run STUDY.toml` goes on where it stopped."
        return f"Nobody works on this study.{_stopped(run) or since} {goes_on}"
    going = next((phase for phase in study.phases if phase.state == "going"), None)
    what = f" Next: {going.title[0].lower()}{going.title[1:]}." if going is not None else ""
    if study.state == "quiet" and run is None:
        return f"Neither a worker nor `run` says that it is there.{since}{what}"
    if study.state == "quiet":
        return f"No worker is there.{_stopped(run)}"
    workers = f"; {count(len(study.pool.workers), 'worker')} at work"
    if run is None or run.state != "alive":
        return f"This study runs{workers}.{what.replace('Next', 'Now')}"
    begun = (study.read_utc - datetime.fromisoformat(run.since).astimezone(UTC).replace(tzinfo=None)).total_seconds()
    beside = workers if study.pool.workers else ""
    return f"This study runs{beside}. Now: {run.at} (begun {duration(max(begun, 0.0))} ago on {run.host})."


def _stopped(run: RunStatus | None) -> str:
    """Where a run that is no longer heard was; nothing where none was."""
    if run is None:
        return ""
    at = f" `run` was at “{run.at}” (begun {run.since[:16].replace('T', ' ')} UTC on {run.host})"
    if run.state == "gone":
        return f"{at} when it was stopped; it was last heard {duration(run.heard_s)} ago."
    return f"{at} and was last heard {duration(run.heard_s)} ago: it is in a long step, or was stopped."


def _tiles(study: LiveStudy) -> list[dict[str, str]]:
    """The figures that are read first: a value, what it is, and a note."""
    tiles, to_go, view = [], study.to_go, study.view
    if not study.is_finished:
        note = to_go.basis + (f"; without {listed(to_go.left_out)}" if to_go.left_out else "")
        value = f"about {duration(to_go.seconds)}" if to_go.seconds is not None else "not known"
        tiles.append({"value": value, "what": "to go", "note": note})
    if (budget := study.budget) is not None:
        tiles.append(
            {
                "value": duration(budget.left_s),
                "what": "of the budget left",
                "note": f"{budget.used_s / 60:.1f} of {budget.minutes:g} minutes used",
            }
        )
    pool = study.pool
    open_jobs = f"{len(pool.running)} running, {pool.queued} waiting"
    failed = f", {len(pool.failed)} failed" if pool.failed else ""
    tiles.append({"value": f"{pool.done:,}", "what": "jobs done", "note": open_jobs + failed})
    if view.students:
        tiles.append(_best(view.students[0], view.metric))
    if view.teacher_reached is not None:
        beside = f"TF-IDF {percent(view.baseline_reached)}" if view.baseline_reached is not None else ""
        tiles.append({"value": percent(view.teacher_reached), "what": "the teacher, on validation", "note": beside})
    return tiles


def _best(student: DistilledStudent, metric: str) -> dict[str, str]:
    bounds = student.result.valid.get(f"{metric}_interval")
    between = f" ({interval(bounds)})" if bounds is not None else ""
    return {
        "value": percent(student.effectiveness),
        "what": f"student {student.job}, the best so far",
        "note": f"{amount('size_bytes', student.size_bytes)}, on validation{between}",
    }


def _rungs(study: LiveStudy) -> list[dict[str, int]]:
    """Of each rung: students that reached it, that run towards it, and that wait for it; none of the paper's way."""
    settings = study.view.settings
    if settings.search.policy == "paper":
        return []
    rungs = []
    for rung in settings.rungs:
        own = [student for student in study.students if student.epochs == rung]
        reached = sum(
            student.trained >= rung or (student.state == "done" and student.epochs >= rung)
            for student in study.students
        )
        states = [student.state for student in own]
        rungs.append(
            {"epochs": rung, "reached": reached, "running": states.count("running"), "waiting": states.count("waiting")}
        )
    return rungs


def _named(student: LiveStudent) -> dict[str, Any]:
    return {"job": student.job, "student": student.name, "epochs": student.epochs, "brief": student.is_brief}


def _running(study: LiveStudy) -> list[dict[str, Any]]:
    """The jobs that workers hold."""
    by_job = {student.job: student for student in study.students}
    return [
        {
            "job": job.number,
            "student": by_job[job.number].name if job.number in by_job else "",
            "brief": by_job[job.number].is_brief if job.number in by_job else False,
            "epoch": job.epoch,
            "epochs": job.epochs,
            "worker": job.worker,
            "device": job.device,
            "host": job.host,
            "since": job.since,
            "attempt": job.attempt,
            "heard_s": job.heartbeat_age_s,
            "lost": job.is_lost,
        }
        for job in study.pool.running
    ]


def _curves(study: LiveStudy) -> dict[str, Any]:
    """Of the students that are trained now, and of the best of the others."""
    known = [student for student in study.students if student.curve]
    order = sorted(known, key=lambda one: (one.state != "running", -max(reached for _, reached in one.curve)))
    shown = order[:_MOST_CURVES]
    return {
        "known": len(known),
        "shown": [
            {
                "job": student.job,
                "state": student.state,
                "brief": student.is_brief,
                "points": [[epoch, round(100 * reached, 2)] for epoch, reached in student.curve],
            }
            for student in shown
        ],
    }


def _measured(student: DistilledStudent, metric: str) -> dict[str, Any]:
    low, high = student.result.valid.get(f"{metric}_interval", (student.effectiveness, student.effectiveness))
    return {
        "job": student.job,
        "mb": float(f"{student.size_bytes / 1e6:.5g}"),
        "reached": round(100 * student.effectiveness, 2),
        "low": round(100 * low, 2),
        "high": round(100 * high, 2),
        "on_front": student.on_front,
        "ms": float(f"{student.latency_ms:.3g}"),
    }


def _hundredth(fraction: float | None) -> float | None:
    return round(100 * fraction, 2) if fraction is not None else None
