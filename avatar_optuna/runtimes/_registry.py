"""The modules that run students without torch, by family."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from avatar_optuna.registry import Registry
from avatar_optuna.runtimes.weights import NumpyStudent


class RuntimeModule(Protocol):
    """A module that runs the stored students of one family."""

    FILES: tuple[str, ...]
    """What it reads, besides `avatar.json`."""

    REQUIRES: tuple[str, ...]
    """Python packages that it imports."""

    __file__: str

    def load(self, directory: str | Path) -> NumpyStudent:
        """The student of a directory."""


RUNTIMES: Registry[RuntimeModule] = Registry(
    "runtimes",
    noun="runtime",
    built_in={"hashed": "avatar_optuna.runtimes.hashed", "transformer": "avatar_optuna.runtimes.transformer"},
)
"""The modules, by the name of their family; the entry point of another package names its module."""


def find_runtime(family: str) -> RuntimeModule | None:
    """The module for a family, None where its students run with torch alone."""
    return RUNTIMES.get(family) if family in RUNTIMES.names() else None
