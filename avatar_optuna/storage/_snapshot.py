"""Both studies of one name, read in one transaction and a dozen statements."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine, select

from avatar_optuna.schema import distilled_name
from avatar_optuna.storage._attributes import get_attributes
from avatar_optuna.storage._database import engine_of, reading
from avatar_optuna.storage._tables import STUDIES, STUDY_USER_ATTRIBUTES
from avatar_optuna.storage._trials import read_rows


@dataclass(frozen=True, kw_only=True)
class StudySnapshot:
    """What is stored of a study at one moment.

    Args:
        names: Of all studies in the database.
        attributes: User attributes of the search study; empty where there is no such study.
        scored: COMPLETE trials of the search study, by id.
        jobs: Trials of the study of distillation jobs, in any state, by id; None where that study is missing.
    """

    names: Collection[str]
    attributes: dict[str, Any]
    scored: list[FrozenTrial]
    jobs: list[FrozenTrial] | None


def read_snapshot(storage: BaseStorage | Engine, study_name: str) -> StudySnapshot:
    """Read a study whole.

    Args:
        storage: Opened by `open_storage` or `open_for_reading`.
        study_name: The study, without "/distilled".
    """
    with reading(engine_of(storage)) as connection:
        ids = {
            name: study_id for study_id, name in connection.execute(select(STUDIES.c.study_id, STUDIES.c.study_name))
        }
        search_id, jobs_id = ids.get(study_name), ids.get(distilled_name(study_name))
        if search_id is None:
            return StudySnapshot(names=ids.keys(), attributes={}, scored=[], jobs=None)
        return StudySnapshot(
            names=ids.keys(),
            attributes=get_attributes(connection, STUDY_USER_ATTRIBUTES, search_id),
            scored=read_rows(connection, search_id, (TrialState.COMPLETE,)),
            jobs=read_rows(connection, jobs_id, tuple(TrialState)) if jobs_id is not None else None,
        )
