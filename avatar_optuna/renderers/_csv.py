"""The front as CSV: a row a student, nested figures left out."""

from __future__ import annotations

import csv
from typing import IO

from avatar_optuna.renderers._json import front_values
from avatar_optuna.view import StudyView


def front_csv(view: StudyView, stream: IO[str]) -> None:
    """Write distilled students, then the predicted front."""
    values = front_values(view)
    rows = [
        {name: value for name, value in row.items() if not isinstance(value, dict)}
        for row in (*values["students"], *values["predicted"])
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(stream, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
