"""A study moved to another database, both of its parts in one transaction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from avatar_optuna.exceptions import InputError
from avatar_optuna.schema import PROGRESS, distilled_name
from avatar_optuna.storage._attributes import get_attributes, set_attributes
from avatar_optuna.storage._database import engine_of, find_study_id, reading, search_lock
from avatar_optuna.storage._runs import RUN
from avatar_optuna.storage._tables import STUDIES, STUDY_DIRECTIONS, STUDY_SYSTEM_ATTRIBUTES, STUDY_USER_ATTRIBUTES
from avatar_optuna.storage._trial_writer import insert_trials
from avatar_optuna.storage._trials import read_trials
from avatar_optuna.storage._workers import WORKER_PREFIX

# Optuna's NSGA-II caches a generation's parents as trial ids, which are others in another database; it recomputes them.
_PARENT_CACHE = re.compile(r".*:parent:\d+")
# optuna-dashboard keeps the notes of trials in the study, by trial id.
_NOTE = re.compile(r"dashboard:(?P<trial_id>\d+):(?P<rest>note_.*)")


@dataclass(frozen=True, kw_only=True)
class _Study:
    directions: tuple[StudyDirection, ...]
    user_attributes: Mapping[str, Any]
    system_attributes: Mapping[str, Any]
    trials: tuple[FrozenTrial, ...]

    def renamed_system_attributes(self, ids: Mapping[int, int]) -> dict[str, Any]:
        """The system attributes, with trial ids as they are in the target."""
        renamed = {}
        for key, value in self.system_attributes.items():
            note = _NOTE.fullmatch(key)
            if note is None:
                renamed[key] = value
            elif int(note["trial_id"]) in ids:
                renamed[f"dashboard:{ids[int(note['trial_id'])]}:{note['rest']}"] = value
        return renamed


def copy_study(*, source: BaseStorage, target: BaseStorage, study_name: str) -> dict[str, int]:
    """Copy a study and its jobs so that the copy resumes exactly; the source stays as it is.

    Numbers, values, parameters, attributes and times are the same; ids are the target's own. Jobs at work are queued
    in the copy, with their checkpoints. Artifacts stay where they are: the copy refers to the same store.

    Args:
        source: The database that holds the study.
        target: The database it is copied to.
        study_name: The study, without "/distilled".

    Returns:
        Name of a study -> number of its trials.

    Raises:
        InputError: The source has no such study, or the target has one.
        StudyBusyError: The study is being searched.
    """
    with search_lock(source, study_name):
        studies = _read(source, study_name)
        try:
            with engine_of(target).begin() as connection:
                for name, study in studies.items():
                    _write(connection, name, study)
        except IntegrityError as error:
            raise InputError(f"study {study_name!r} is in the target already, made by another process") from error
    return {name: len(study.trials) for name, study in studies.items()}


def _read(storage: BaseStorage, study_name: str) -> dict[str, _Study]:
    with reading(engine_of(storage)) as connection:
        if find_study_id(connection, study_name) is None:
            raise InputError(f"study {study_name!r} is not in the database to copy from")
        names = (study_name, distilled_name(study_name))
        ids = {name: find_study_id(connection, name) for name in names}
        studies = {name: _read_one(connection, study_id) for name, study_id in ids.items() if study_id is not None}
    jobs = studies.get(distilled_name(study_name))
    for trial in jobs.trials if jobs is not None else ():
        if trial.state == TrialState.RUNNING:
            trial.state, trial.datetime_start = TrialState.WAITING, None
            trial.user_attrs.pop(PROGRESS, None)
    return studies


def _read_one(connection: Connection, study_id: int) -> _Study:
    columns = STUDY_DIRECTIONS.c
    directions = select(columns.direction).where(columns.study_id == study_id).order_by(columns.objective)
    system = get_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id)
    passing = {key for key in system if key.startswith(WORKER_PREFIX) or key == RUN or _PARENT_CACHE.fullmatch(key)}
    kept = {key: value for key, value in system.items() if key not in passing}
    trials = sorted(read_trials(connection, study_id), key=lambda trial: trial.number)
    return _Study(
        directions=tuple(connection.execute(directions).scalars()),
        user_attributes=get_attributes(connection, STUDY_USER_ATTRIBUTES, study_id),
        system_attributes=kept,
        trials=tuple(trials),
    )


def _write(connection: Connection, name: str, study: _Study) -> None:
    if find_study_id(connection, name) is not None:
        raise InputError(f"study {name!r} is in the target already: delete it there, or copy to another database")
    statement = insert(STUDIES).values(study_name=name).returning(STUDIES.c.study_id)
    study_id = int(connection.execute(statement).scalar_one())
    rows = [
        {"study_id": study_id, "objective": objective, "direction": direction}
        for objective, direction in enumerate(study.directions)
    ]
    connection.execute(insert(STUDY_DIRECTIONS), rows)
    set_attributes(connection, STUDY_USER_ATTRIBUTES, study_id, study.user_attributes)
    new_ids = insert_trials(connection, study_id, study.trials)
    ids = {trial._trial_id: new_id for trial, new_id in zip(study.trials, new_ids, strict=True)}
    set_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id, study.renamed_system_attributes(ids))
