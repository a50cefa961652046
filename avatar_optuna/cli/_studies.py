"""`list` and `delete`: the studies of a database."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from avatar_optuna.exceptions import InputError
from avatar_optuna.places import storage_url
from avatar_optuna.storage import StudySummary, open_storage, study_summaries


def list_studies(options: Namespace, console: Console) -> None:
    """Print every study of the database."""
    summaries = study_summaries(open_storage(storage_url(options.storage), create=False))
    if options.format == "json":
        console.file.write(json.dumps({"studies": [_row(summary) for summary in summaries]}, indent=2) + "\n")
        return
    table = Table("study", "state", box=None, pad_edge=False)
    for heading in ("trials", "students", "waiting", "failed", "MB", "last activity"):
        table.add_column(heading, justify="right")
    for summary in summaries:
        last = summary.last_activity
        table.add_row(
            *(summary.name, summary.state, f"{summary.trials:,}", f"{summary.students:,}", f"{summary.waiting:,}"),
            *(f"{summary.failed:,}", f"{summary.size_bytes / 1e6:.1f}", f"{last:%Y-%m-%d %H:%M} UTC" if last else ""),
        )
    console.print(table if summaries else "no studies yet", highlight=False, markup=False)


def _row(summary: StudySummary) -> dict[str, object]:
    last = summary.last_activity
    return {
        **asdict(summary),
        "state": summary.state,
        "last_activity": last.isoformat(timespec="seconds") if last is not None else None,
    }


def delete_study(options: Namespace, console: Console) -> None:
    """Remove a study, its students and its checkpoints, once it is confirmed."""
    from avatar_optuna.pipeline import delete
    from avatar_optuna.study import AvatarStudy

    study = AvatarStudy(open_storage(storage_url(options.storage), create=False), options.study_name)
    planned = delete(study, is_dry_run=True, keeps_files=options.keep_files)
    kept = "; its files stay" if options.keep_files else f" and {planned.files} files in {planned.artifacts}"
    amount = f"{planned.trials:,} trials, {planned.jobs:,} jobs{kept} ({planned.size_bytes / 1e6:.1f} MB)"
    if options.dry_run:
        _say(console, f"would delete {study.name}: {amount}")
        return
    if not options.yes:
        _confirm(f"delete {study.name}: {amount}; copies of the study lose these files too")
    delete(study, is_dry_run=False, keeps_files=options.keep_files)
    _say(console, f"deleted {study.name}: {amount}")


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise InputError("--yes must be given where nobody can be asked; --dry-run says what would be deleted")
    if input(f"{question}? [y/N] ").strip().lower() not in ("y", "yes"):
        raise InputError("nothing was deleted: the answer was not yes")


def _say(console: Console, sentence: str) -> None:
    console.print(sentence, highlight=False, markup=False, soft_wrap=True)
