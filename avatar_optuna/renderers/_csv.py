"""The front as CSV: a row a student, nested figures left out."""

from __future__ import annotations

import csv
from typing import IO, Any

from avatar_optuna.renderers._json import front_values
from avatar_optuna.view import StudyView


def front_rows(view: StudyView) -> list[dict[str, Any]]:
    """A flat dictionary a student: distilled students, then the predicted front."""
    values = front_values(view)
    return [
        {name: value for name, value in row.items() if not isinstance(value, dict)}
        for row in (*values["students"], *values["predicted"])
    ]


def front_csv(view: StudyView, stream: IO[str]) -> None:
    """Write the rows of the front."""
    rows = front_rows(view)
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
