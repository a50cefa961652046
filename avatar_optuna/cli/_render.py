"""What commands other than `front` print for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from optuna.distributions import CategoricalDistribution
from rich.console import Console
from rich.table import Table

from avatar_optuna.data_audit import DataAudit, findings, mend
from avatar_optuna.progress import say
from avatar_optuna.schema import Audit
from avatar_optuna.space_union import StudySpace
from avatar_optuna.storage import StudySummary
from avatar_optuna.words import count

if TYPE_CHECKING:
    from avatar_optuna.feasibility import TightenedSpace
    from avatar_optuna.pipeline import DryRun, PlannedPhase
    from avatar_optuna.pool import PoolStatus, RunStatus
    from avatar_optuna.study import TimeBudget


def data(audit: DataAudit, console: Console) -> None:
    """What the splits hold, what plain models reach, and what was found."""
    columns = ("split", "inputs", "labels", "functions", "characters", "tokens", "copies within", "copies of train")
    table = Table(*columns, box=None, pad_edge=False)
    beside = {entry.split: entry for entry in audit.overlaps if entry.beside == "train"}
    for name, split in audit.splits.items():
        labels = ", ".join(f"{count:,} {label}" for label, count in split.labels.items())
        lengths = [
            "-" if values is None else " / ".join(f"{value:,}" for value in values)
            for values in (split.characters, split.tokens)
        ]
        copied = f"{beside[name].functions['code']:,}" if name in beside else "-"
        table.add_row(
            *(name, f"{split.inputs:,}", labels, f"{split.functions:,}", *lengths),
            *(f"{split.copies['code']:,}", copied),
        )
    console.print(table)
    say(console, "lengths: median / 95th percentile / longest; copies: functions, comments and blanks aside\n")
    plain = Table("balanced accuracy", "valid", "test", box=None, pad_edge=False)
    words = {
        "tf-idf": "TF-IDF of words and symbols + logistic regression",
        "names": "names alone + logistic regression",
        "groups": "only telling the large groups of train apart",
    }
    for kind, figures in audit.baselines.items():
        plain.add_row(words[kind], *(f"{100 * figures[name]['balanced_accuracy']:.1f} %" for name in ("valid", "test")))
    console.print(plain)
    fitted, whole = audit.baseline_inputs["train"], audit.splits["train"].inputs
    say(console, f"fitted on {fitted:,} of {whole:,} training inputs\n" if fitted < whole else "")
    for finding in (found := findings(audit)):
        say(console, f"- {finding}")
    if not found:
        say(console, "nothing was found to object to")
    if advice := mend(audit):
        say(console, f"\nto mend it: {advice}")


def space(tightened: TightenedSpace, asked_for: StudySpace, console: Console) -> None:
    """The tightened ranges, the feasible share and what binds."""
    table = Table("hyperparameter", "asked for", "feasible", box=None, pad_edge=False)
    for name, feasible in tightened.ranges.items():
        asked, listed = tightened.asked[name], asked_for.distributions[name]
        choices = listed.choices if isinstance(listed, CategoricalDistribution) else ()
        text = _range(feasible, choices)
        table.add_row(name, _range(asked, choices), text if feasible != asked else f"[dim]{text}[/dim]")
    console.print(table)
    low, high = tightened.share_interval
    say(
        console,
        f"\n{tightened.share:.3%} of {tightened.draws:,} uniform draws are feasible "
        f"(95 % interval {low:.3%} to {high:.3%}).",
    )
    for text, share in tightened.broken.items():
        alone = tightened.broken_alone[text]
        mark = "  <- binds" if text == tightened.binding else ""
        say(console, f"  {text}: broken by {share:.1%} of draws, by {alone:.1%} it alone{mark}")
    exact = "exact, by Z3" if tightened.exact else "by Z3, wider than need be where it ran out of time"
    say(console, f"Ranges: {exact}, in {tightened.seconds:.1f} s.")


def _range(values: Sequence[Any], choices: Sequence[Any]) -> str:
    """A range by its ends, a list of numbers as those of its choices that lie between the ends."""
    if isinstance(values[0], str):
        return ", ".join(values)
    low, high = values
    if choices:
        return ", ".join(_number(value) for value in sorted(choices) if low <= value <= high)
    return f"{_number(low)} to {_number(high)}" if low != high else _number(low)


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def teacher(
    source: str, figures: Mapping[str, Mapping[str, Any]], plain: Mapping[str, Mapping[str, Any]], console: Console
) -> None:
    """The teacher beside the plain competitor."""
    say(console, f"teacher {source}")
    table = Table("", *(f"{split} {name}" for split in figures for name in ("accuracy", "balanced")), box=None)
    for name, rows in (("teacher", figures), ("TF-IDF + logistic regression", plain)):
        cells = [f"{100 * rows[split][key]:.1f} %" for split in figures for key in ("accuracy", "balanced_accuracy")]
        table.add_row(name, *cells)
    console.print(table)


def status(study_name: str, status: PoolStatus, budget: TimeBudget | None, console: Console) -> None:
    rate = f", {status.jobs_per_minute:.1f} a minute" if status.jobs_per_minute is not None else ""
    left = f", about {_duration(status.seconds_to_go)} to go" if status.seconds_to_go else ""
    say(
        console,
        f"{study_name}: {status.queued} queued, {len(status.running)} running, {status.done} done{rate}, "
        f"{len(status.failed)} failed; {len(status.workers)} worker(s) alive{left}",
    )
    if budget is not None:
        say(console, f"  budget: {budget}")
    if status.run is not None:
        say(console, f"  run: {_run(status.run)}")
    for job in status.running:
        epoch = f"epoch {job.epoch} of {job.epochs}" if job.epochs else "before its first epoch"
        say(console, f"  job {job.number}: {epoch} on {job.device} of {job.host}, since {job.since}")
    for failure in status.failed:
        say(console, f"  job {failure.number} ({failure.key}) failed: {failure.reason}")


def _run(run: RunStatus) -> str:
    heard = f"last heard {_duration(run.heard_s)} ago"
    ends = {"alive": heard, "silent": f"{heard}: in a long step, or stopped", "gone": f"stopped there, {heard}"}
    return f"{run.at}, since {run.since} on {run.host}; {ends[run.state]}"


def dry_run(planned: DryRun, console: Console) -> None:
    """What a run would do, phase by phase, and what it would take."""
    state = "new: nothing is stored of it" if planned.is_new else "stored, and would be gone on with"
    say(console, f"study        {planned.study} is {state}; policy {planned.policy}")
    for phase in planned.phases:
        say(console, f"{phase.name:<12} {phase.what}: {_state(phase)}")
    if planned.budget is not None:
        used, left = planned.budget["used_minutes"], planned.budget["left_minutes"]
        say(console, f"budget       {used:.1f} of {planned.budget['minutes']:g} minutes used, {left:.1f} left")
    left_out = ", ".join(planned.not_estimated)
    workers = count(planned.workers, "worker")
    say(
        console,
        f"time         about {_duration(planned.seconds)} with {workers}"
        + (f", and what is not estimated: {left_out}" if left_out else ""),
    )
    say(
        console,
        f"             an estimate: {_duration(planned.epoch_seconds)} an epoch and {_duration(planned.step_seconds)} "
        f"besides for each training, in the mean, by {planned.estimated_from}",
    )
    checkpoint = f" and {_bytes(planned.checkpoint_bytes)} of its checkpoint" if planned.checkpoint_bytes else ""
    say(
        console,
        f"disk         about {_bytes(planned.disk_bytes)} of artifacts, {_bytes(planned.stored_bytes)} of them "
        f"stored: {_bytes(planned.student_bytes)} a student{checkpoint}; the cache (the teacher's answers, "
        "tokenizers) is not estimated",
    )
    if planned.host_memory_bytes is not None:
        say(
            console,
            f"memory       this process had {_bytes(planned.host_memory_bytes)} at its peak, with the data and the "
            "students that were timed; a worker also has the teacher",
        )
    if planned.device_memory_bytes is not None:
        say(console, f"             of the GPU, {_bytes(planned.device_memory_bytes)} in the largest training")
    say(console, "nothing was written; without --dry-run, all this is done")


def _state(phase: PlannedPhase) -> str:
    if phase.is_done:
        return "done"
    parts = []
    if phase.trainings_done:
        of_all = f" of about {phase.trainings}" if phase.trainings is not None else ""
        parts.append(f"{phase.trainings_done}{of_all} trainings are done ({phase.epochs_done} epochs)")
    if phase.epochs is not None:
        parts.append(f"{phase.epochs - phase.epochs_done} epochs to do")
    parts.append(f"about {_duration(phase.seconds)}" if phase.seconds is not None else "time not estimated")
    return ", ".join(parts)


def _bytes(size_bytes: int) -> str:
    if size_bytes < 1e6:
        return f"{size_bytes / 1e3:.0f} kB"
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:,.1f} GB"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 or not seconds else f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} min" if seconds < 6_000 else f"{seconds / 3_600:.1f} h"


def audit(audit: Audit, console: Console) -> None:
    """Whether FLOPs may stand in for time on the audited device."""
    say(console, audit.verdict)
    device = audit.device.get("model", audit.device.get("name"))
    say(
        console,
        f"{len(audit.students)} random feasible students, {audit.repeats} passes each, on {device}, "
        f"{audit.measured_utc[:10]}; in brackets 95 % intervals:",
    )
    table = Table("stand-in", "for", "Spearman", "Kendall", box=None)
    for row in audit.correlations:
        cells = ((row.spearman, row.spearman_interval), (row.kendall, row.kendall_interval))
        table.add_row(
            row.stand_in, row.figure, *(f"{value:.2f} \\[{low:.2f}, {high:.2f}]" for value, (low, high) in cells)
        )
    console.print(table)


def studies(summaries: Sequence[StudySummary], console: Console) -> None:
    table = Table("study", "state", box=None, pad_edge=False)
    for heading in ("trials", "students", "waiting", "failed", "MB", "last activity"):
        table.add_column(heading, justify="right")
    for summary in summaries:
        counts = (summary.trials, summary.students, summary.waiting, summary.failed)
        last = summary.last_activity
        table.add_row(
            *(summary.name, summary.state, *(f"{count:,}" for count in counts), f"{summary.size_bytes / 1e6:.1f}"),
            f"{last:%Y-%m-%d %H:%M} UTC" if last else "",
        )
    console.print(table if summaries else "no studies yet", highlight=False, markup=False)
