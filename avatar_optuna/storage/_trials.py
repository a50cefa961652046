"""Trials read in bulk: six statements whatever their number, where Optuna's mapper takes a millisecond a trial."""

from __future__ import annotations

import gc
import json
from collections import defaultdict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import ColumnElement, Connection, Table, and_, select

from avatar_optuna.storage._tables import (
    TRIAL_INTERMEDIATE_VALUES,
    TRIAL_PARAMS,
    TRIAL_SYSTEM_ATTRIBUTES,
    TRIAL_USER_ATTRIBUTES,
    TRIAL_VALUES,
    TRIALS,
)

# Identifiers in one statement: SQLite takes 32,766 variables, older ones 999.
_IDS_A_STATEMENT = 500

_Row = Any
"""A row of a child table: the trial's id, then the columns asked for."""


def read_trials(
    connection: Connection,
    study_id: int,
    *,
    states: Collection[TrialState] | None = None,
    including: Collection[int] = (),
    after: int | None = -1,
) -> list[FrozenTrial]:
    """Trials of a study as `RDBStorage` would build them, ordered by id.

    Args:
        connection: In one transaction, so that the tables agree.
        study_id: The study.
        states: Only trials in these states.
        including: Identifiers to read beside those greater than `after`.
        after: Read every trial with a greater identifier; None reads those of `including` alone.

    Raises:
        KeyError: There is no such study.
    """
    if connection.execute(select(models.StudyModel.study_id).filter_by(study_id=study_id)).scalar() is None:
        raise KeyError(models.NOT_FOUND_MSG)
    of_study = [TRIALS.c.study_id == study_id]
    if states is not None:
        of_study.append(TRIALS.c.state.in_(list(states)))
    trials: list[FrozenTrial] = []
    with _collecting_nothing():
        for condition in _conditions(sorted(i for i in including if after is None or i <= after), after):
            trials += _read(connection, and_(*of_study, condition))
    return sorted(trials, key=lambda trial: trial._trial_id)


def read_rows(connection: Connection, study_id: int, states: Collection[TrialState]) -> list[FrozenTrial]:
    """All trials of a study in one of these states, by id: four statements, for what only samplers read is left out.

    System attributes and intermediate values of the trials are empty.
    """
    with _collecting_nothing():
        condition = and_(TRIALS.c.study_id == study_id, TRIALS.c.state.in_(list(states)))
        return _read(connection, condition, with_internals=False)


@contextmanager
def _collecting_nothing() -> Iterator[None]:
    """Millions of new objects, none of them garbage: looking for cycles among them is a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _conditions(including: list[int], after: int | None) -> Iterator[ColumnElement[bool]]:
    """One for each statement; never an OR, for which the databases would look at every trial of the study."""
    if after is not None:
        yield TRIALS.c.trial_id > after
    for start in range(0, len(including), _IDS_A_STATEMENT):
        yield TRIALS.c.trial_id.in_(including[start : start + _IDS_A_STATEMENT])


def _read(connection: Connection, condition: ColumnElement[bool], *, with_internals: bool = True) -> list[FrozenTrial]:
    rows = connection.execute(select(TRIALS).where(condition).order_by(TRIALS.c.trial_id)).all()
    if not rows:
        return []
    chosen = select(TRIALS.c.trial_id).where(condition)

    def children(table: Table, *columns: str) -> dict[int, list[_Row]]:
        statement = select(table.c.trial_id, *(table.c[name] for name in columns))
        statement = statement.where(table.c.trial_id.in_(chosen)).order_by(*table.primary_key.columns)
        grouped: dict[int, list[_Row]] = defaultdict(list)
        for row in connection.execute(statement).all():
            grouped[row[0]].append(row)
        return grouped

    params = children(TRIAL_PARAMS, "param_name", "param_value", "distribution_json")
    values = children(TRIAL_VALUES, "objective", "value", "value_type")
    user_attributes = children(TRIAL_USER_ATTRIBUTES, "key", "value_json")
    system_attributes: dict[int, list[_Row]] = defaultdict(list)
    intermediate: dict[int, list[_Row]] = defaultdict(list)
    if with_internals:
        system_attributes = children(TRIAL_SYSTEM_ATTRIBUTES, "key", "value_json")
        intermediate = children(TRIAL_INTERMEDIATE_VALUES, "step", "intermediate_value", "intermediate_value_type")
    return [
        _build(row, params[i], values[i], user_attributes[i], system_attributes[i], intermediate[i])
        for row in rows
        for i in (row.trial_id,)
    ]


def _build(
    row: _Row,
    params: list[_Row],
    values: list[_Row],
    user_attributes: list[_Row],
    system_attributes: list[_Row],
    intermediate: list[_Row],
) -> FrozenTrial:
    distributions = {name: _distribution(text) for _, name, _, text in params}
    to_value = models.TrialValueModel.stored_repr_to_value
    to_intermediate = models.TrialIntermediateValueModel.stored_repr_to_intermediate_value
    ordered = sorted(values, key=lambda entry: entry.objective)
    return FrozenTrial(
        number=row.number,
        state=row.state,
        value=None,
        values=[to_value(value, kind) for _, _, value, kind in ordered] or None,
        datetime_start=to_local(row.datetime_start),
        datetime_complete=to_local(row.datetime_complete),
        params={name: distributions[name].to_external_repr(value) for _, name, value, _ in params},
        distributions=distributions,
        user_attrs={key: json.loads(text) for _, key, text in user_attributes},
        system_attrs={key: json.loads(text) for _, key, text in system_attributes},
        intermediate_values={step: to_intermediate(value, kind) for _, step, value, kind in intermediate},
        trial_id=row.trial_id,
    )


@lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution:
    """Distributions are immutable and few: trials share them."""
    return json_to_distribution(text)


def to_utc(local: datetime | None) -> datetime | None:
    """A time as Optuna stores it, naive UTC, of the naive local time in a `FrozenTrial`."""
    return local.astimezone(UTC).replace(tzinfo=None) if local is not None else None


def to_local(utc: datetime | None) -> datetime | None:
    """The inverse of `to_utc`."""
    return utc.replace(tzinfo=UTC).astimezone().replace(tzinfo=None) if utc is not None else None
