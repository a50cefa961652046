"""Tells the database what a run is doing, so that live pages and `status` can show it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

from avatar_optuna.pool import is_passing, this_process
from avatar_optuna.schema import distilled_name
from avatar_optuna.storage import RunRegistry
from avatar_optuna.study import AvatarStudy

_PAUSE_S = 5.0
"""Between two signs of the same piece of work."""


class Recorder:
    """Stores what a run begins and how far it is; it is told so by `Progress`."""

    def __init__(self, registry: RunRegistry) -> None:
        self._registry = registry
        self._about: dict[str, Any] = {"process": this_process()}
        self._stored_s = 0.0

    def begins(self, what: str, total: int | None) -> None:
        """A piece of work begins."""
        since = datetime.now(UTC).isoformat(timespec="seconds")
        self._about |= {"what": what, "done": None, "total": total, "since": since}
        self._store()

    def reached(self, done: int) -> None:
        """So much of it is done."""
        self._about["done"] = done
        if time.monotonic() - self._stored_s >= _PAUSE_S:
            self._store()

    def ends(self) -> None:
        """The run ends."""
        _unless_away(lambda: self._registry.leave(self._about["process"]))

    def _store(self) -> None:
        self._stored_s = time.monotonic()
        _unless_away(lambda: self._registry.say(self._about))


@contextmanager
def recorded(study: AvatarStudy) -> Iterator[Recorder]:
    """A recorder for a block; what it stored is removed as the block ends, in whatever way short of a kill."""
    recorder = Recorder(RunRegistry(study.storage, distilled_name(study.name)))
    try:
        yield recorder
    finally:
        recorder.ends()


def _unless_away(operation: Callable[[], None]) -> None:
    """Do an operation; where the database cannot be reached, nothing: a sign of life is not worth waiting for."""
    try:
        operation()
    except (exc.DBAPIError, exc.TimeoutError, StorageInternalError) as error:
        if not is_passing(error):
            raise
