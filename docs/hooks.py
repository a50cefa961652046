"""Hooks of mkdocs: tables that are made from the source, so that they cannot differ from it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LAYERS = "<!-- table: layers -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the generated tables into a page."""
    return markdown.replace(LAYERS, _layers()) if LAYERS in markdown else markdown


def _layers() -> str:
    """The packages in the order of their imports, with the first line of each docstring."""
    sys.path.insert(0, str(ROOT))
    from tests.test_layers import MAY_IMPORT

    rows = ["| module or package | what it holds | may import |", "| --- | --- | --- |"]
    for name, imports in MAY_IMPORT.items():
        order = [other for other in MAY_IMPORT if other in imports]
        rows.append(f"| `{name}` | {_summary(name)} | {', '.join(order) or 'nothing'} |")
    return "\n".join(rows)


def _summary(name: str) -> str:
    package = ROOT / "avatar_optuna" / name
    path = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].replace("|", "\\|")
