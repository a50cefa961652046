"""What processes say of themselves now and then, in system attributes of a study of jobs, by the database's clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, literal_column, select

from avatar_optuna.storage._attributes import set_attributes
from avatar_optuna.storage._tables import STUDY_SYSTEM_ATTRIBUTES
from avatar_optuna.storage.dialects import dialect_of


def beat(connection: Connection, study_id: int, key: str, about: Mapping[str, Any]) -> None:
    """Keep what a process says of itself, and that it was heard now."""
    now = float(connection.execute(select(_clock(connection))).scalar_one())
    set_attributes(connection, STUDY_SYSTEM_ATTRIBUTES, study_id, {key: {"about": dict(about), "heard": now}})


def heard(connection: Connection, study_id: int, prefix: str) -> dict[str, tuple[Mapping[str, Any], float]]:
    """What was said last under each key that begins with a prefix, in the order of keys, and seconds since."""
    columns = STUDY_SYSTEM_ATTRIBUTES.c
    statement = select(columns.key, columns.value_json, _clock(connection)).where(
        columns.study_id == study_id, columns.key.startswith(prefix, autoescape=True)
    )
    said = {}
    for key, text, now in connection.execute(statement.order_by(columns.key)):
        value = json.loads(text)
        said[key] = (value["about"], float(now) - value["heard"])
    return said


def _clock(connection: Connection) -> ColumnElement[Any]:
    return literal_column(dialect_of(connection).epoch_s_sql)
