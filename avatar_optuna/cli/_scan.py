"""The command `scan`, apart from the others: it starts without what studies need."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

from rich.console import Console

from avatar_optuna.exceptions import AvatarError, InputError
from avatar_optuna.files import write_text
from avatar_optuna.progress import Progress, say
from avatar_optuna.scan import Baseline, ScanOptions, ScanReport, scan_folder
from avatar_optuna.scan.renderers import html, sarif, text


def scan(options: Namespace, console: Console) -> None:
    """Print what a student finds in a folder.

    Raises:
        AvatarError: There are findings that are new, and these are to fail.
    """
    baseline = Baseline.read(options.baseline) if options.baseline is not None else None
    if options.out is not None and not options.out.resolve().parent.is_dir():
        raise InputError(f"--out must be in a folder that is there, got {str(options.out)!r}")
    report = scan_folder(
        options.directory, options.folder, _scan_options(options), Progress(Console(stderr=True)), baseline=baseline
    )
    for sentence in (*report.warnings, *report.faults):
        sys.stderr.write(f"avatar-optuna scan: {sentence}\n")
    if options.out is not None:
        write_text(options.out.resolve(), _rendered(report, options))
    elif options.format == "table":
        for line in text(report, options.limit):
            say(console, line)
    else:
        console.file.write(_rendered(report, options))
    if options.fail_on_findings and report.new_findings:
        what = "new findings" if report.has_baseline else "findings"
        raise AvatarError(f"there must be no {what} with --fail-on-findings, there are {report.new_findings:,}")


def _rendered(report: ScanReport, options: Namespace) -> str:
    if options.format == "html":
        return html(report)
    if options.format == "table":
        return "".join(f"{line}\n" for line in text(report, options.limit))
    values = sarif(report) if options.format == "sarif" else report.to_dict()
    return json.dumps(values, indent=2) + "\n"


def _scan_options(options: Namespace) -> ScanOptions:
    return ScanOptions(
        languages=options.language,
        threshold=options.threshold,
        false_per_1000=options.false_per_1000,
        neighbours=options.neighbours,
        min_lines=options.min_lines,
        min_tokens=options.min_tokens,
        comments=options.comments,
        excluded=options.exclude,
        has_all_folders=options.all_folders,
        max_bytes=1000 * options.max_kb,
        jobs=options.jobs,
    )
