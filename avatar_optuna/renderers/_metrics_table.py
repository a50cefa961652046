"""All metrics of a study's students, teacher and baseline, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from avatar_optuna.progress import say
from avatar_optuna.view import METRIC_TITLES, StudyView

_COLUMNS = 8


def metrics_table(view: StudyView, console: Console) -> None:
    """Tables for validation and for test: a row a model, a column a metric, so many that a line holds their titles."""
    for split, title in (("valid", "validation, which selects"), ("test", "test, which is only reported")):
        models, names = view.figures(split), view.metrics(split)
        if not models:
            continue
        say(console, f"\n{view.name} on {title}: in %, with 95 % intervals")
        for start in range(0, len(names), _COLUMNS):
            console.print(_table(models, names[start : start + _COLUMNS]))


def _table(models: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> Table:
    table = Table(box=None)
    for heading in ("student", *(METRIC_TITLES[name] for name in names)):
        table.add_column(heading, justify="right")
    for model, figures in models.items():
        table.add_row(model, *(_cell(figures, name) for name in names))
    return table


def _cell(figures: Mapping[str, Any], name: str) -> str:
    """`91.2 [88, 94]`."""
    if name not in figures:
        return ""
    low, high = figures.get(f"{name}_interval", (None, None))
    between = f" \\[{100 * low:.0f}, {100 * high:.0f}]" if low is not None else ""
    return f"{100 * figures[name]:.1f}{between}"
