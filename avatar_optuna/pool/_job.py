"""What a job is given to work with, and what it gives back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from optuna.artifacts._protocol import ArtifactStore

from avatar_optuna.exceptions import StorageError
from avatar_optuna.pool._patience import StorePatience
from avatar_optuna.pool._slots import Slot
from avatar_optuna.schema import CHECKPOINT, CONTINUES, LOSSES, Job, JobResult
from avatar_optuna.storage import Claim, JobQueue, Storage, download_directory, remove_files, upload_directory

logger = logging.getLogger(__name__)


class Report(Protocol):
    """Says how far a job is."""

    def __call__(self, epoch: int, reached: float | None = None) -> None:
        """Say that so many epochs are done, and what the last reached on validation, in the study's metric.

        Raises:
            JobLostError: The job was taken back.
        """


@dataclass(frozen=True, kw_only=True)
class JobContext:
    """What a job runs with.

    Args:
        number: Number of the job's trial.
        attempt: How many times the job was begun, this time included.
        slot: Where it runs.
        folder: An empty folder of this attempt, removed afterwards.
        checkpoints: Keeps the last epoch's checkpoint for whoever goes on.
        report: Called after each epoch.
    """

    number: int
    attempt: int
    slot: Slot
    folder: Path
    checkpoints: ArtifactCheckpoints
    report: Report


@dataclass(frozen=True, kw_only=True)
class JobOutcome:
    """What was measured (the worker fills in `files`), and the directory of the student's files, or None."""

    result: JobResult
    directory: Path | None = None


class Executor(Protocol):
    """Does jobs; made once in each worker process, so that it may keep what jobs share."""

    def __call__(self, job: Job, context: JobContext) -> JobOutcome:
        """Do one job. Whatever it raises is a failed attempt."""


@dataclass(frozen=True, kw_only=True)
class ExecutorSettings:
    """What an executor is made from."""

    storage: Storage
    study_name: str
    cache_dir: Path
    slot: Slot


class ArtifactCheckpoints:
    """The last checkpoint of one job, in the artifact store: a new one is stored and named before the old one goes.

    Args:
        patiently: Repeats an operation until the database is there.
        stored: Repeats a write to the artifact store that may succeed later.
    """

    def __init__(
        self,
        store: ArtifactStore,
        queue: JobQueue,
        claim: Claim,
        patiently: Callable[[Callable[[], None]], None],
        stored: StorePatience,
    ) -> None:
        self._store, self._queue, self._claim, self._patiently = store, queue, claim, patiently
        self._stored = stored
        self._files: Mapping[str, Any] = claim.trial.user_attrs.get(CHECKPOINT, {}).get("files", {})
        self._inherited: Mapping[str, Any] = claim.trial.user_attrs.get(CONTINUES, {})

    def save(self, directory: Path) -> None:
        """Keep the files of the directory, in place of what was kept before.

        Raises:
            JobLostError: The job was taken back.
            OSError: The store cannot be written.
        """
        files = self._stored(lambda: upload_directory(self._store, directory))
        attributes = {CHECKPOINT: {"files": files}, LOSSES: 0}
        try:
            self._patiently(lambda: self._queue.set_attributes(self._claim, attributes))
        except BaseException:
            remove_files(self._store, files)
            raise
        before, self._files = self._files, files
        remove_files(self._store, before)

    def load(self, directory: Path) -> bool:
        """Bring the kept files into the directory, else those that the job goes on from.

        Returns:
            False where nothing is kept, or what is kept is damaged.
        """
        if self._files and self._download(self._files, directory):
            return True
        self._files = {}  # what is not what was stored may be somebody else's: it is not removed
        return bool(self._inherited) and self._download(self._inherited, directory)

    def _download(self, files: Mapping[str, Any], directory: Path) -> bool:
        try:
            download_directory(self._store, files, directory)
        except StorageError as error:
            logger.warning("job %d does not go on from its checkpoint: %s", self._claim.trial.number, error)
            return False
        return True

    def discard(self) -> None:
        """Remove what is kept, once the job is finished."""
        files, self._files = self._files, {}
        remove_files(self._store, files)
