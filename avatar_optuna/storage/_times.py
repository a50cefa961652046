"""Times as Optuna stores them: naive UTC in the database, naive local time in a `FrozenTrial`."""

from __future__ import annotations

from datetime import UTC, datetime


def to_utc(local: datetime | None) -> datetime | None:
    """What is stored, of a naive local time."""
    return local.astimezone(UTC).replace(tzinfo=None) if local is not None else None


def to_local(utc: datetime | None) -> datetime | None:
    """What a `FrozenTrial` holds, of a stored time."""
    return utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if utc is not None else None
