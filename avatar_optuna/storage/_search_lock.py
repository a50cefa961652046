"""One searcher a study: a lock that its holder's death releases."""

from __future__ import annotations

from contextlib import AbstractContextManager

from optuna.storages import BaseStorage

from avatar_optuna.storage._database import engine_of
from avatar_optuna.storage.dialects import dialect_of


def search_lock(storage: BaseStorage, study_name: str) -> AbstractContextManager[None]:
    """Hold the right to search a study, until the block ends or the process dies, however it dies.

    Raises:
        StudyBusyError: Another process holds it; nothing has been written.
    """
    engine = engine_of(storage)
    return dialect_of(engine).search_lock(engine, study_name)
