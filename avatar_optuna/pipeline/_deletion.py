"""What `avatar-optuna delete` removes: a study, its students and checkpoints."""

from __future__ import annotations

from dataclasses import dataclass

from avatar_optuna.exceptions import StudyError
from avatar_optuna.pool import pool_status
from avatar_optuna.storage import artifact_store, delete_study, search_lock, stored_files
from avatar_optuna.study import AvatarStudy


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """What is removed.

    Args:
        trials: Trials of its search.
        jobs: Trials of its study of jobs.
        files: Files in the artifact store, students' and checkpoints'.
    """

    study: str
    trials: int
    jobs: int
    files: int
    size_bytes: int
    artifacts: str


def delete(study: AvatarStudy, *, is_dry_run: bool, keeps_files: bool = False) -> Deletion:
    """Remove a study, unless somebody works on it; interrupted anywhere, the same call completes it.

    Args:
        keeps_files: Whether the files stay in the artifact store, for a copy of the study that refers to them.

    Raises:
        StudyBusyError: The study is being searched.
        StudyError: Workers serve it.
        StorageError: A file cannot be removed.
    """
    with search_lock(study.storage, study.name):
        _refuse_workers(study)
        files = {} if keeps_files else stored_files(study.storage, study.name)
        deletion = Deletion(
            study=study.name,
            trials=len(study.search.get_trials(deepcopy=False)),
            jobs=len(study.distilled.get_trials(deepcopy=False)),
            files=len(files),
            size_bytes=sum(files.values()),
            artifacts=study.artifacts,
        )
        if not is_dry_run:
            delete_study(study.storage, study.name, None if keeps_files else artifact_store(study.artifacts))
    return deletion


def _refuse_workers(study: AvatarStudy) -> None:
    status = pool_status(study.storage, study.name)
    if status.workers:
        names = ", ".join(worker.worker for worker in status.workers)
        raise StudyError(f"the study {study.name!r} is served by workers ({names}): stop them first")
