"""Waiting for a database that has gone away."""

from __future__ import annotations

import errno
import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy import exc

from avatar_optuna.storage import describe_error

logger = logging.getLogger(__name__)

T = TypeVar("T")

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.1, 5.0
_LAST_CHANCE_S = 5.0
_STORE_DELAY_S = 2.0
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE})
_LASTING = ("no such table", "no such column", "readonly database")


class Patience:
    """Repeats a database operation until the database is there.

    Args:
        is_stopping: Whether the worker was told to stop: then it waits only a few seconds more.
        on_outage: Called when the database comes back.
    """

    def __init__(self, is_stopping: Callable[[], bool], on_outage: Callable[[], None] = lambda: None) -> None:
        self._is_stopping = is_stopping
        self._on_outage = on_outage

    def __call__(self, operation: Callable[[], T]) -> T:
        """Do the operation, which must be one transaction that may be repeated.

        Raises:
            DBAPIError: The error will not pass with time, or the worker is stopping.
        """
        delay_s, stopping_since = _FIRST_DELAY_S, None
        began = time.monotonic()
        while True:
            try:
                result = operation()
            except (exc.DBAPIError, exc.TimeoutError, StorageInternalError) as error:
                if not is_passing(error):
                    raise
                if self._is_stopping():
                    stopping_since = stopping_since or time.monotonic()
                    if time.monotonic() - stopping_since > _LAST_CHANCE_S:
                        raise
                if delay_s == _FIRST_DELAY_S:
                    logger.warning("waiting for the database: %s", describe_error(error))
            else:
                if delay_s != _FIRST_DELAY_S:
                    logger.warning("the database is back after %.1f s", time.monotonic() - began)
                    self._on_outage()
                return result
            time.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(delay_s * 2, _LONGEST_DELAY_S)


class StorePatience:
    """Repeats a write to the artifact store that fails in a way that may pass: a full disk, a read-only file system.

    Args:
        is_stopping: Whether the worker was told to stop: then it does not wait.
        patience_s: How long it waits before the write fails all the same.
    """

    def __init__(self, is_stopping: Callable[[], bool], patience_s: float) -> None:
        self._is_stopping = is_stopping
        self._patience_s = patience_s

    def __call__(self, operation: Callable[[], T]) -> T:
        """Do the operation, which leaves nothing behind where it fails.

        Raises:
            OSError: The error is of another kind, or did not pass in time, or the worker is stopping.
        """
        until, has_said = time.monotonic() + self._patience_s, False
        while True:
            try:
                return operation()
            except OSError as error:
                if error.errno not in _PASSING or self._is_stopping() or time.monotonic() > until:
                    raise
                if not has_said:
                    logger.warning("waiting for the artifact store: %s", error)
                    has_said = True
            time.sleep(min(_STORE_DELAY_S, self._patience_s))


def is_passing(error: BaseException) -> bool:
    """Whether a database error may pass with time: a lost connection, a server that starts, a lock, a full disk."""
    while isinstance(error, StorageInternalError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, exc.DBAPIError):
        operational = isinstance(error, exc.OperationalError | exc.InterfaceError)
        lasting = any(text in str(error.orig) for text in _LASTING)
        return error.connection_invalidated or (operational and not lasting)
    return isinstance(error, exc.TimeoutError)
