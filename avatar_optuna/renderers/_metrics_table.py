"""All metrics of a study's students, teacher and baseline, as tables for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from avatar_optuna.progress import say
from avatar_optuna.view import METRIC_TITLES, StudyView


def metrics_table(view: StudyView, console: Console) -> None:
    """A table for validation and one for test: a row a model, a column a metric."""
    for split, title in (("valid", "validation, which selects"), ("test", "test, which is only reported")):
        models, names = view.figures(split), view.metrics(split)
        if not models:
            continue
        say(console, f"\n{view.name} on {title}: in %, with 95 % intervals")
        table = Table(box=None)
        for heading in ("student", *(METRIC_TITLES[name] for name in names)):
            table.add_column(heading, justify="right")
        for model, figures in models.items():
            table.add_row(model, *(_cell(figures, name) for name in names))
        console.print(table)


def _cell(figures: Mapping[str, Any], name: str) -> str:
    """`91.2 [88, 94]`."""
    if name not in figures:
        return ""
    low, high = figures.get(f"{name}_interval", (None, None))
    between = f" \\[{100 * low:.0f}, {100 * high:.0f}]" if low is not None else ""
    return f"{100 * figures[name]:.1f}{between}"
