"""Attributes written in bulk: inserted, or overwritten where the key stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from avatar_optuna.storage.dialects import dialect_of


def set_attributes(connection: Connection, table: Table, owner_id: int, attributes: Mapping[str, Any]) -> None:
    """Set attributes of one trial or study, as JSON, in one statement.

    Args:
        connection: In a transaction.
        table: One of Optuna's four tables of attributes.
        owner_id: The trial's or the study's id.
        attributes: Plain JSON values by key.
    """
    if not attributes:
        return
    owner = _owner(table)
    rows = [{owner: owner_id, "key": key, "value_json": json.dumps(value)} for key, value in attributes.items()]
    connection.execute(dialect_of(connection).upsert(table, rows, key=(owner, "key"), value="value_json"))


def get_attributes(connection: Connection, table: Table, owner_id: int) -> dict[str, Any]:
    """All attributes of one trial or study."""
    statement = select(table.c.key, table.c.value_json).where(table.c[_owner(table)] == owner_id)
    return {key: json.loads(text) for key, text in connection.execute(statement)}


def delete_attribute(connection: Connection, table: Table, owner_id: int, key: str) -> None:
    """Delete one attribute, if it stands."""
    connection.execute(delete(table).where(table.c[_owner(table)] == owner_id, table.c.key == key))


def _owner(table: Table) -> str:
    return "trial_id" if "trial_id" in table.c else "study_id"
