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
        task_shape: Single functions or pairs.
        device: Where they run.
        threads: On a CPU; None takes one.
        repeats: Timed passes of each.
        on_progress: Called with the number of timed passes done.
    """
    begun = time.monotonic()
    with computing_threads(device, threads):
        timed = time_students(students, task_shape, device=device, repeats=repeats, on_progress=on_progress)
        counter = open_counter(device)
        joules: list[float | None] = [None] * len(students)
        if counter is not None:
            joules = energies_of_students(students, task_shape, counter, device=device)
        about = describe_device(device)
    stand_ins = {
        "flops": np.asarray([float(flops(student, task_shape)) for student in students]),
        "parameters": np.asarray([float(num_parameters(student, task_shape)) for student in students]),
    }
    return Audit(
        students=_audited(students, stand_ins, timed, joules),
        correlations=_correlations(stand_ins, timed.latencies_ms, joules),
        **_judged(stand_ins["flops"], timed),
        device=about,
        batch_size=BATCH_SIZE,
        repeats=repeats,
        waited_share=timed.waited_share,
        seconds=time.monotonic() - begun,
        measured_utc=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _audited(
    students: Sequence[Configuration],
    stand_ins: dict[str, Array],
    timed: TimedStudents,
    joules: Sequence[float | None],
) -> tuple[AuditedStudent, ...]:
    return tuple(
        AuditedStudent(
            hyperparameters=student.to_dict(),
            flops=int(stand_ins["flops"][index]),
            parameters=int(stand_ins["parameters"][index]),
            latency_ms=float(timed.latencies_ms[index]),
            latency_interval_ms=(float(timed.latencies_ms[index]), float(np.percentile(timed.times_ms[index], 95))),
            energy_j=joules[index],
        )
        for index, student in enumerate(students)
    )


def _correlations(
    stand_ins: dict[str, Array], latencies_ms: Array, joules: Sequence[float | None]
) -> tuple[RankCorrelation, ...]:
    counted = np.asarray([value is not None for value in joules])
    everything = np.ones(len(latencies_ms), dtype=np.bool_)
    figures = [("latency_ms", latencies_ms, everything)]
    if counted.mean() > 0.5:
        figures.append(("energy_j", np.asarray([value or 0.0 for value in joules]), counted))
    return tuple(
        rank_correlation(name, figure, values[used], measured[used])
        for figure, measured, used in figures
        for name, values in stand_ins.items()
    )


def rank_correlation(stand_in: str, figure: str, values: Array, measured: Array) -> RankCorrelation:
    """Spearman's and Kendall's correlation, with percentile intervals from a bootstrap over students.

    Args:
        stand_in, figure: Their names.
        values, measured: Shape (students,).
    """
    from scipy.stats import kendalltau, spearmanr

    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, len(values), size=len(values)) for _ in range(_BOOTSTRAPS)]
    drawn = [rows for rows in drawn if np.ptp(values[rows]) > 0 and np.ptp(measured[rows]) > 0]
    found: dict[str, Any] = {}
    for name, statistic in (("spearman", spearmanr), ("kendall", kendalltau)):
        found[name] = float(statistic(values, measured).statistic)
        resampled = [float(statistic(values[rows], measured[rows]).statistic) for rows in drawn]
        found[f"{name}_interval"] = _percentiles(resampled)
    return RankCorrelation(stand_in=stand_in, figure=figure, **found)


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
