"""What is checked of a teacher that is named by a path."""

from __future__ import annotations

from avatar_optuna.settings import TeacherSettings


def path_faults(settings: TeacherSettings) -> list[str]:
    """The fault of a source that is no text, if it is none."""
    if isinstance(settings.source, str) and settings.source.strip():
        return []
    return [f"{settings.kind} must be text, got {settings.source!r}"]
