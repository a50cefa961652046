"""The audit of the stand-ins: do FLOPs and parameters order students as this device does?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape, flops, num_parameters
from avatar_optuna.measurement._energy import open_counter
from avatar_optuna.measurement._latency import computing_threads, describe_device
from avatar_optuna.measurement._random_students import BATCH_SIZE, TimedStudents, energies_of_students, time_students
from avatar_optuna.schema import Audit, AuditedStudent, MisorderedPair, RankCorrelation
from avatar_optuna.students import Configuration

Array = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.bool_]

AUDITED_STUDENTS = 40
AUDIT_REPEATS = 21
TRUSTED_SHARE = 0.10
"""FLOPs are trusted where they surely (95 %) order at most this share of the pairs wrongly."""

_BOOTSTRAPS = 1_000
_WORST = 10
_SIGNIFICANCE = 0.01
_LEAST_TOLD_APART = 0.25


def audit_stand_ins(
    students: Sequence[Configuration],
    task_shape: TaskShape,
    *,
    device: str,
    threads: int | None = None,
    repeats: int = AUDIT_REPEATS,
    on_progress: Callable[[int], None] | None = None,
) -> Audit:
    """Time random students by turns (and count their energy, where a counter is readable), and compare with formulas.

    Args:
        students: Random feasible ones, with random weights.
        threads: On a CPU; None takes one.
        repeats: Timed passes of each.
        on_progress: Called with the number of timed passes done.
    """
    begun = time.monotonic()
    with computing_threads(device, threads):
        timed = time_students(students, task_shape, device=device, repeats=repeats, on_progress=on_progress)
        counter = open_counter(device)
        joules: Sequence[float | None] = [None] * len(students)
        if counter is not None:
            joules = energies_of_students(students, task_shape, counter, device=device)
        about = describe_device(device)
    audited = tuple(
        AuditedStudent(
            hyperparameters=student.to_dict(),
            flops=int(flops(student, task_shape)),
            parameters=int(num_parameters(student, task_shape)),
            latency_ms=float(times_ms.min()),
            latency_interval_ms=(float(times_ms.min()), float(np.percentile(times_ms, 95))),
            energy_j=energy_j,
        )
        for student, times_ms, energy_j in zip(students, timed.times_ms, joules, strict=True)
    )
    return Audit(
        students=audited,
        correlations=_correlations(audited),
        **_judged(np.asarray([float(student.flops) for student in audited]), timed),
        device=about,
        batch_size=BATCH_SIZE,
        repeats=repeats,
        waited_share=timed.waited_share,
        seconds=time.monotonic() - begun,
        measured_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _correlations(students: Sequence[AuditedStudent]) -> tuple[RankCorrelation, ...]:
    """Of both stand-ins with latency, and with energy where it was counted for most students."""
    counted = {"latency_ms": students, "energy_j": [student for student in students if student.energy_j is not None]}
    return tuple(
        rank_correlation(
            stand_in,
            figure,
            *(np.asarray([getattr(s, name) for s in used], dtype=np.float64) for name in (stand_in, figure)),
        )
        for figure, used in counted.items()
        if len(used) > len(students) / 2
        for stand_in in ("flops", "parameters")
    )


def rank_correlation(stand_in: str, figure: str, values: Array, measured: Array) -> RankCorrelation:
    """Spearman's and Kendall's correlation of two arrays (students,), with intervals from a bootstrap over students."""
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(values), size=len(values)) for _ in range(_BOOTSTRAPS)]
    drawn = [rows for rows in drawn if np.ptp(values[rows]) > 0 and np.ptp(measured[rows]) > 0]
    statistics: dict[str, Any] = {}
    for name, statistic in (("spearman", spearmanr), ("kendall", kendalltau)):
        statistics[name] = float(statistic(values, measured).statistic)
        resampled = [float(statistic(values[rows], measured[rows]).statistic) for rows in drawn]
        statistics[f"{name}_interval"] = _percentiles(resampled)
    return RankCorrelation(stand_in=stand_in, figure=figure, **statistics)


def _judged(flop_counts: Array, timed: TimedStudents) -> dict[str, Any]:
    """What the pairs say: fields of `Audit`."""
    latencies = timed.latencies_ms
    pairs = told_apart(timed.times_ms) & (latencies[:, None] < latencies[None, :])
    wrong = pairs & (flop_counts[:, None] > flop_counts[None, :])  # [i, j]: i is faster, and has more FLOPs
    interval = _share_interval(pairs, wrong)
    worst = sorted(zip(*np.nonzero(wrong), strict=True), key=lambda ij: latencies[ij[0]] / latencies[ij[1]])
    count, misordered, possible = int(pairs.sum()), int(wrong.sum()), len(latencies) * (len(latencies) - 1) // 2
    is_enough = count >= _LEAST_TOLD_APART * possible
    trusted = is_enough and interval[1] <= TRUSTED_SHARE
    return {
        "pairs": count,
        "misordered": misordered,
        "misordered_interval": interval,
        "worst": tuple(
            MisorderedPair(
                fewer_flops=int(slow),
                more_flops=int(fast),
                times_flops=float(flop_counts[fast] / flop_counts[slow]),
                times_latency=float(latencies[slow] / latencies[fast]),
            )
            for fast, slow in worst[:_WORST]
        ),
        "trusted": trusted,
        "verdict": _verdict(trusted, is_enough, count, misordered, possible, interval),
    }


def told_apart(times_ms: Array) -> Matrix:
    """Which student is surely the faster of two: in significantly more turns than not, by a sign test.

    Args:
        times_ms: Shape (students, repeats), timed by turns.

    Returns:
        Shape (students, students): [i, j] says that i is faster than j.
    """
    from scipy.stats import binom

    repeats = times_ms.shape[1]
    needed = int(binom.isf(_SIGNIFICANCE / 2, repeats, 0.5)) + 1
    wins = (times_ms[:, None, :] < times_ms[None, :, :]).sum(axis=2)
    return np.asarray(wins >= min(needed, repeats))


def _share_interval(pairs: Matrix, wrong: Matrix) -> tuple[float, float]:
    """95 % interval of the share of wrong pairs, by bootstrap over students: pairs of one student belong together."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(_BOOTSTRAPS):
        rows = rng.integers(0, len(pairs), size=len(pairs))
        all_of_them = pairs[np.ix_(rows, rows)].sum()
        if all_of_them:
            shares.append(float(wrong[np.ix_(rows, rows)].sum() / all_of_them))
    return _percentiles(shares) if shares else (0.0, 1.0)


def _percentiles(values: Sequence[float]) -> tuple[float, float]:
    if not values:
        return (-1.0, 1.0)
    low, high = np.percentile(values, [2.5, 97.5])
    return (float(low), float(high))


def _verdict(
    trusted: bool, is_enough: bool, pairs: int, misordered: int, possible: int, interval: tuple[float, float]
) -> str:
    if not is_enough:
        return (
            f"Whether FLOPs may stand in for latency here cannot be told: only {pairs} of {possible} pairs of students "
            "differ by more than the noise of this machine."
        )
    may = "may" if trusted else "may not"
    return (
        f"FLOPs {may} stand in for latency here: of {pairs} pairs of students that differ in latency they order "
        f"{misordered / pairs:.0%} wrongly (95 % interval {interval[0]:.0%} to {interval[1]:.0%}; trusted up to "
        f"{TRUSTED_SHARE:.0%})."
    )
