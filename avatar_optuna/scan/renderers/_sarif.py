"""A scan as SARIF 2.1.0 (OASIS), which editors and forges show."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from avatar_optuna import __version__
from avatar_optuna.scan._findings import Finding, Place, ScanReport
from avatar_optuna.scan.renderers._text import said, trained_on

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_FINGERPRINT = "avatarOptunaFinding/v1"
_RULES: Mapping[str, tuple[str, str, str]] = {
    "copies": ("CopiedFunctions", "note", "Functions that differ in comments and blanks alone."),
    "clones": ("ClonedFunctions", "note", "Functions that a student takes for clones of one another."),
    "suspicious": ("SuspiciousFunction", "warning", "A function to which a student gives its second label."),
}
"""Name, level and description, by kind of finding."""


def sarif(report: ScanReport) -> dict[str, Any]:
    """The values of a SARIF file of one run."""
    kinds = [kind for kind in _RULES if (kind == "suspicious") == (report.student.arity == 1)]
    driver = {"name": "avatar-optuna", "version": __version__, "rules": [_rule(kind) for kind in kinds]}
    notifications = [
        {"level": level, "message": {"text": text}}
        for level, texts in (("warning", report.warnings), ("error", report.faults))
        for text in texts
    ]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "utf16CodeUnits",
                "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notifications}],
                "results": [
                    _result(finding, kinds.index(finding.kind), report.has_baseline) for finding in report.findings
                ],
                "properties": {
                    "student": trained_on(report),
                    "functions": report.functions,
                    "threshold": report.threshold.margin,
                    "thresholdOrigin": report.threshold.origin,
                },
            }
        ],
    }


def _rule(kind: str) -> dict[str, Any]:
    name, level, description = _RULES[kind]
    return {
        "id": kind,
        "name": name,
        "shortDescription": {"text": description},
        "defaultConfiguration": {"level": level},
    }


def _result(finding: Finding, rule_index: int, has_baseline: bool) -> dict[str, Any]:
    """A result stands at its first function that is new; the others are related locations."""
    first = next((place for place in finding.places if place.is_new), finding.places[0])
    others = [place for place in finding.places if place is not first]
    links = "".join(f"\n- [{_escaped(place)}]({number})" for number, place in enumerate(others, start=1))
    sentence = {
        "copies": f"{first.name} has the code of:{links}",
        "clones": f"{first.name} is taken for a clone (margin {said(finding.margin, finding)}) of:{links}",
        "suspicious": f"{first.name}: {finding.label}, probability {finding.probability:.3f}",
    }[finding.kind]
    return {
        "ruleId": finding.kind,
        "ruleIndex": rule_index,
        "level": _RULES[finding.kind][1],
        "message": {"text": sentence},
        "locations": [_location(first)],
        **(
            {"relatedLocations": [{"id": n, **_location(place)} for n, place in enumerate(others, start=1)]}
            if others
            else {}
        ),
        "partialFingerprints": {_FINGERPRINT: finding.fingerprint},
        **({"baselineState": "new" if finding.is_new else "unchanged"} if has_baseline else {}),
        "properties": {"probability": finding.probability, "margin": finding.margin},
    }


def _escaped(place: Place) -> str:
    """The text of a link in a message, in which brackets have a meaning."""
    text = f"{place.name}, {place.file}:{place.line}"
    return text.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def _location(place: Place) -> dict[str, Any]:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": quote(place.file), "uriBaseId": "%SRCROOT%"},
            "region": {"startLine": place.line, "endLine": place.end_line},
        },
        "logicalLocations": [{"fullyQualifiedName": place.name, "kind": "function"}],
        "message": {"text": place.name},
    }
