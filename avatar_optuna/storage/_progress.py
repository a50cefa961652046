"""How far a study is: its jobs whole, its search only counted, so that a look costs the same after any search."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, and_, func, select

from avatar_optuna.schema import ROUND, distilled_name
from avatar_optuna.storage._attributes import get_attributes
from avatar_optuna.storage._claims import RunningJob, running_jobs
from avatar_optuna.storage._database import engine_of, find_study_id, reading
from avatar_optuna.storage._runs import RunRecord, run_record
from avatar_optuna.storage._tables import STUDIES, STUDY_USER_ATTRIBUTES, TRIAL_USER_ATTRIBUTES, TRIAL_VALUES, TRIALS
from avatar_optuna.storage._trials import read_rows
from avatar_optuna.storage._workers import WorkerRecord, worker_records


@dataclass(frozen=True, kw_only=True)
class ProgressSnapshot:
    """What is stored of a study at one moment, the trials of its search aside.

    Args:
        names: Of all studies in the database.
        attributes: User attributes of the search study; empty where there is no such study.
        scored: By round: how many configurations it has scored.
        scored_utc: When the last of them was, naive UTC; None before the first.
        jobs: Trials of the study of distillation jobs, in any state, by id; None where that study is missing.
        running: Those that workers hold.
        workers: That have said they are there.
        run: What its `run` said last; None where none is there, or all have ended.
    """

    names: Collection[str]
    attributes: dict[str, Any]
    scored: Mapping[int, int]
    scored_utc: datetime | None
    jobs: list[FrozenTrial] | None
    running: list[RunningJob]
    workers: list[WorkerRecord]
    run: RunRecord | None


def read_progress(storage: BaseStorage | Engine, study_name: str) -> ProgressSnapshot:
    """Read how far a study is, in one transaction and eleven statements.

    Args:
        storage: Opened by `open_storage` or `open_for_reading`.
        study_name: The study, without "/distilled".
    """
    with reading(engine_of(storage)) as connection:
        rows = connection.execute(select(STUDIES.c.study_id, STUDIES.c.study_name))
        ids = {name: study_id for study_id, name in rows}
        search_id, jobs_id = ids.get(study_name), ids.get(distilled_name(study_name))
        rounds = _rounds(connection, search_id) if search_id is not None else {}
        return ProgressSnapshot(
            names=ids.keys(),
            attributes=get_attributes(connection, STUDY_USER_ATTRIBUTES, search_id) if search_id is not None else {},
            scored={round_: number for round_, (number, _) in rounds.items()},
            scored_utc=max((last for _, last in rounds.values()), default=None),
            jobs=read_rows(connection, jobs_id, tuple(TrialState)) if jobs_id is not None else None,
            running=running_jobs(connection, jobs_id) if jobs_id is not None else [],
            workers=worker_records(connection, jobs_id) if jobs_id is not None else [],
            run=run_record(connection, jobs_id) if jobs_id is not None else None,
        )


def scored_values(storage: BaseStorage | Engine, study_name: str, round_: int) -> npt.NDArray[np.float64]:
    """The values of the configurations that a round has scored, shape (trials, objectives), in no order."""
    with reading(engine_of(storage)) as connection:
        study_id = find_study_id(connection, study_name)
        statement = select(TRIAL_VALUES.c.trial_id, TRIAL_VALUES.c.objective, TRIAL_VALUES.c.value)
        statement = statement.join(TRIALS, TRIALS.c.trial_id == TRIAL_VALUES.c.trial_id)
        statement = statement.join(TRIAL_USER_ATTRIBUTES, _of_round()).where(
            *_complete(study_id), TRIAL_USER_ATTRIBUTES.c.value_json == json.dumps(round_)
        )
        rows = connection.execute(statement).all()
    if not rows:
        return np.empty((0, 0))
    table = np.asarray([tuple(row) for row in rows], dtype=np.float64)
    order = np.lexsort((table[:, 1], table[:, 0]))
    return np.asarray(table[order, 2].reshape(len(np.unique(table[:, 0])), -1))


def _rounds(connection: Connection, study_id: int) -> dict[int, tuple[int, datetime]]:
    """By round: configurations scored, and when the last was."""
    text = TRIAL_USER_ATTRIBUTES.c.value_json
    statement = select(text, func.count(), func.max(TRIALS.c.datetime_complete)).select_from(TRIALS)
    statement = statement.join(TRIAL_USER_ATTRIBUTES, _of_round()).where(*_complete(study_id)).group_by(text)
    return {json.loads(round_): (int(number), last) for round_, number, last in connection.execute(statement)}


def _of_round() -> Any:
    return and_(TRIAL_USER_ATTRIBUTES.c.trial_id == TRIALS.c.trial_id, TRIAL_USER_ATTRIBUTES.c.key == ROUND)


def _complete(study_id: int | None) -> tuple[Any, Any]:
    return TRIALS.c.study_id == study_id, TRIALS.c.state == TrialState.COMPLETE
