"""A scan as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from avatar_optuna.scan._findings import Finding, ScanReport


def text(report: ScanReport, limit: int) -> Iterator[str]:
    """The findings that are new, of which at most `limit` are shown, and what was scanned; all of them where 0."""
    new = [finding for finding in report.findings if finding.is_new]
    shown = new[:limit] if limit else new
    for number, finding in enumerate(shown, start=1):
        yield f"{number}  {heading(finding)}"
        for place in finding.places:
            mark = "" if place.is_new or not report.has_baseline else "  (known)"
            yield f"   {said(place.margin, finding):>5}  {place.file}:{place.line}  {place.name}{mark}"
    if len(shown) < len(new):
        yield f"and {len(new) - len(shown):,} more; --limit 0 shows all"
    yield from summary(report)


def heading(finding: Finding) -> str:
    """What a finding is, in a line."""
    count, lines = len(finding.places), f"{finding.lines} line{'' if finding.lines == 1 else 's'}"
    if finding.kind == "suspicious":
        return f"{finding.label}, probability {finding.probability:.3f}, {lines}"
    if finding.kind == "copies":
        return f"{count} copies of one function, {lines}"
    more = " or more" if count > 2 else ""
    return f"{finding.label}: {count} functions, margin {said(finding.margin, finding)}{more}, {lines}"


def said(margin: float | None, finding: Finding) -> str:
    """A probability of a suspicious function; a margin of clones, whose probabilities are all near 1."""
    if margin is None:
        return ""
    return f"{finding.probability:.3f}" if finding.kind == "suspicious" else f"{margin:.1f}"


def summary(report: ScanReport) -> Iterator[str]:
    """What was scanned, how, and what was left out."""
    found = f"{len(report.findings):,} finding{'' if len(report.findings) == 1 else 's'}"
    if report.has_baseline:
        found += f", {report.new_findings:,} of them new"
    small = f"; {report.small:,} smaller ones were left out" if report.small else ""
    yield f"{found} in {report.functions:,} functions of {report.files:,} files ({', '.join(report.languages)}){small}"
    threshold = report.threshold
    chance = f"; {threshold.expected_false:,.1f} by chance expected" if threshold.expected_false is not None else ""
    yield f"threshold: a margin of {threshold.margin:.2f} ({threshold.origin}){chance}"
    if report.truncated:
        yield f"{report.truncated:,} functions are longer than the student's window of {report.window:,} tokens"
    if report.skipped:
        yield "left out: " + ", ".join(f"{count:,} {reason}" for reason, count in report.skipped.items())
    yield f"student: {trained_on(report)}"


def trained_on(report: ScanReport) -> str:
    """What is known of a student's training."""
    student = report.student
    parts = [
        f"learnt from functions in {student.language}" if student.language else "it does not say what it learnt from",
        f"for the task {student.task}" if student.task else "",
        f"distilled from {student.teacher}" if student.teacher else "",
    ]
    return ", ".join(part for part in parts if part)
