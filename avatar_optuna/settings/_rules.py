"""What a field of a section accepts: rules, and how they are put together."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

Rule = Callable[[Any], str | None]
"""Takes what arrived; returns the broken rule as words ("must be ..."), or None."""


def whole_number(low: int, high: int = 10**9) -> Rule:
    """A whole number, both bounds included."""

    def rule(value: Any) -> str | None:
        valid = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return None if valid else f"must be a whole number from {low} to {high}"

    return rule


def real_number(low: float, high: float) -> Rule:
    """A finite number, both bounds included."""

    def rule(value: Any) -> str | None:
        valid = isinstance(value, int | float) and not isinstance(value, bool)
        valid = valid and math.isfinite(value) and low <= value <= high
        return None if valid else f"must be a number from {low:g} to {high:g}"

    return rule


def one_of(*choices: str) -> Rule:
    """One of some words."""
    return lambda value: None if value in choices else f"must be one of {', '.join(choices)}"


def some_text(value: Any) -> str | None:
    """Text that is not blank."""
    return None if isinstance(value, str) and value.strip() and "\0" not in value else "must be text"


def truth(value: Any) -> str | None:
    """True or false, and no number for it."""
    return None if isinstance(value, bool) else "must be true or false"


def study_name(value: Any) -> str | None:
    """A name that may stand in paths and addresses."""
    valid = isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", value)
    return None if valid else "must be letters, digits, '.', '_' and '-', beginning with a letter or digit"


def each(rule: Rule) -> Rule:
    """A list of different entries, at least one, each by a rule."""

    def every(value: Any) -> str | None:
        if not isinstance(value, list | tuple) or not value:
            return "must be a list with at least one entry"
        if len(set(map(repr, value))) < len(value):
            return "may not repeat an entry"
        return next((f"each entry {fault}" for entry in value if (fault := rule(entry))), None)

    return every


def optional(rule: Rule) -> Rule:
    """None, or what the rule accepts."""
    return lambda value: None if value is None else rule(value)
