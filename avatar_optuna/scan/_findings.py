"""What a scan found, and of what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any, Literal

from avatar_optuna.scan._scores import probability


@dataclass(frozen=True, kw_only=True)
class Place:
    """A function of a finding.

    Args:
        file: Its path below the folder.
        name: Qualified by the classes and functions that hold it.
        line: Its first line, counted from 1.
        end_line: Its last.
        digest: Hexadecimal; equal for functions that differ in comments and blanks alone.
        margin: Of the student's answer, a difference of logits: of clones, that it is one of the first; of a suspicious
            function, that it is what it is suspected of. None of the first of a group and of its copies.
        is_new: Whether the baseline has no finding with it; True where there is no baseline.
    """

    file: str
    name: str
    line: int
    end_line: int
    digest: str
    margin: float | None
    is_new: bool = True

    @property
    def probability(self) -> float | None:
        """The probability that the margin stands for."""
        return None if self.margin is None else probability(self.margin)

    def to_dict(self) -> dict[str, Any]:
        values = asdict(self)
        if self.margin is not None:
            values |= {"margin": round(self.margin, 4), "probability": round(probability(self.margin), 6)}
        return values


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Functions that say the same, or one that is suspicious.

    Args:
        kind: `copies` differ in comments and blanks alone, `clones` are what the student says, and `suspicious` is a
            function of its own.
        label: The student's name for it.
        lines: Lines of code of the first function.
        places: At least two, or the one that is suspicious.
    """

    kind: Literal["copies", "clones", "suspicious"]
    label: str
    lines: int
    places: tuple[Place, ...]

    @property
    def margin(self) -> float | None:
        """The least of its functions; None of copies."""
        return min((place.margin for place in self.places if place.margin is not None), default=None)

    @property
    def probability(self) -> float:
        """The probability that the margin stands for; 1 of copies."""
        return 1.0 if self.margin is None else probability(self.margin)

    @property
    def is_new(self) -> bool:
        """Whether a function of it is new."""
        return any(place.is_new for place in self.places)

    @property
    def fingerprint(self) -> str:
        """The same wherever its functions stand, as long as their code is the same."""
        return sha256("".join(sorted(place.digest for place in self.places)).encode()).hexdigest()[:32]

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "label": self.label,
            "margin": None if self.margin is None else round(self.margin, 4),
            "probability": round(self.probability, 6),
            "lines": self.lines,
            "is_new": self.is_new,
            "fingerprint": self.fingerprint,
            "functions": [place.to_dict() for place in self.places],
        }


@dataclass(frozen=True, kw_only=True)
class ScannedStudent:
    """Which student looked, and what it learnt from.

    Args:
        directory: Where it lies.
        digest: SHA-256 of its weights, "" where it has no manifest.
        language: Of the functions that it learnt from, "" where it is not known.
        task: The kind of task that it was distilled for, "" where it is not known.
        teacher: What it was distilled from, "" where it is not known.
        labels: Names of its labels.
        arity: Functions that it reads at once.
    """

    directory: str
    digest: str
    language: str
    task: str
    teacher: str
    labels: tuple[str, ...]
    arity: int


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """From which probability on something is a finding.

    Args:
        probability: From 0 to 1.
        margin: The same as the logit of the label 1 less that of the label 0: probabilities near 1 look alike.
        origin: What it was set by.
        expected_false: Findings to expect among unrelated functions, pairs or functions; None where it was not
            estimated.
    """

    probability: float
    margin: float
    origin: str
    expected_false: float | None


@dataclass(frozen=True, kw_only=True)
class ScanReport:
    """A scan.

    Args:
        student: Who looked.
        folder: Where.
        languages: Of the files, as people call them.
        warnings: Sentences on what the figures may not be worth.
        files: Files that were read.
        skipped: Files and folders that were left out, by reason.
        faults: Files that could not be read, a sentence each.
        functions: Functions that were compared.
        small: Functions that were too small.
        truncated: Functions longer than the student's window.
        window: The window, in tokens.
        compared: Pairs that the student's head was asked about; functions where it reads one at a time.
        threshold: From where on something is a finding.
        has_baseline: Whether findings were compared with those of a baseline.
        findings: New ones first.
    """

    student: ScannedStudent
    folder: str
    languages: tuple[str, ...]
    warnings: tuple[str, ...]
    files: int
    skipped: Mapping[str, int]
    faults: tuple[str, ...]
    functions: int
    small: int
    truncated: int
    window: int
    compared: int
    threshold: Threshold
    has_baseline: bool
    findings: tuple[Finding, ...]

    @property
    def new_findings(self) -> int:
        """How many findings are new."""
        return sum(finding.is_new for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """What `scan -f json` prints."""
        shown = asdict(replace(self, findings=()))
        return {
            "version": 1,
            **shown,
            "new_findings": self.new_findings,
            "findings": [finding.to_dict() for finding in self.findings],
        }
