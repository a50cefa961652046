"""What `avatar-optuna delete` removes: a study, its students and checkpoints, and with the last study the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avatar_optuna.exceptions import StudyError
from avatar_optuna.pool import pool_status
from avatar_optuna.storage import artifact_store, delete_study, search_lock, stored_files, study_summaries
from avatar_optuna.study import AvatarStudy


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What is removed.

    Args:
        trials: Trials of its search.
        jobs: Trials of its study of jobs.
        files: Files in the artifact store, students' and checkpoints'.
        size_bytes: Of these.
        artifacts: The artifact store.
        cached: Files of the cache, which studies share: none while the database holds another study.
    """

    study: str
    trials: int
    jobs: int
    files: int
    size_bytes: int
    artifacts: str
    cached: tuple[Path, ...]


def delete(study: AvatarStudy, *, cache_dir: Path, is_dry_run: bool, keeps_files: bool = False) -> Deletion:
    """Remove a study, unless somebody works on it; interrupted anywhere, the same call completes it.

    Args:
        study: What is removed.
        cache_dir: The cache of teachers, tasks and tokenizers, all of which can be made again.
        is_dry_run: Whether nothing is removed.
        keeps_files: Whether the files stay in the artifact store and the cache, for a copy of the study.

    Raises:
        StudyBusyError: The study is being searched.
        StudyError: Workers serve it.
        StorageError: A file cannot be removed.
    """
    with search_lock(study.storage, study.name):
        _refuse_workers(study)
        files = {} if keeps_files else stored_files(study.storage, study.name)
        has_others = any(summary.name != study.name for summary in study_summaries(study.storage))
        deletion = Deletion(
            study=study.name,
            trials=len(study.search.get_trials(deepcopy=False)),
            jobs=len(study.distilled.get_trials(deepcopy=False)),
            files=len(files),
            size_bytes=sum(files.values()),
            artifacts=study.artifacts,
            cached=() if keeps_files or has_others else tuple(_cached(cache_dir)),
        )
        if not is_dry_run:
            for file in deletion.cached:
                file.unlink(missing_ok=True)
            delete_study(study.storage, study.name, None if keeps_files else artifact_store(study.artifacts))
    return deletion


def _refuse_workers(study: AvatarStudy) -> None:
    status = pool_status(study.storage, study.name)
    if status.workers:
        names = ", ".join(worker.worker for worker in status.workers)
        raise StudyError(f"the study {study.name!r} is served by workers ({names}): stop them first")


def _cached(cache_dir: Path) -> Iterator[Path]:
    for part in ("tasks", "teachers", "tokenizers"):
        yield from (path for path in sorted((cache_dir / part).rglob("*")) if path.is_file())
