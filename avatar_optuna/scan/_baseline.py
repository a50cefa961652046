"""Findings that are known already: what an earlier scan wrote as JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from avatar_optuna.exceptions import DataError
from avatar_optuna.files import read_json
from avatar_optuna.scan._findings import Finding, Place


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The functions that had a finding, and how they were found.

    Args:
        student_digest: SHA-256 of the student's weights.
        margin: The threshold, as a margin of logits.
        digests: Of the functions.
        names: Their files and qualified names.
    """

    student_digest: str
    margin: float
    digests: frozenset[str]
    names: frozenset[tuple[str, str]]

    @classmethod
    def read(cls, path: Path) -> Baseline:
        """What `scan -f json` wrote.

        Raises:
            DataError: It cannot be read, or is no such file.
        """
        report = read_json(path)
        try:
            functions = [function for finding in report["findings"] for function in finding["functions"]]
            return cls(
                student_digest=str(report["student"]["digest"]),
                margin=float(report["threshold"]["margin"]),
                digests=frozenset(str(function["digest"]) for function in functions),
                names=frozenset((str(function["file"]), str(function["name"])) for function in functions),
            )
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                path, None, f"must be what `avatar-optuna scan -f json` wrote, it is not: {error}"
            ) from error

    def knows(self, place: Place) -> bool:
        """Whether a function had a finding: by what it says, wherever it stands now, or by its file and name."""
        return place.digest in self.digests or (place.file, place.name) in self.names

    def marked(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings with what is new of them."""
        return [
            replace(finding, places=tuple(replace(place, is_new=not self.knows(place)) for place in finding.places))
            for finding in findings
        ]
