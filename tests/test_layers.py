"""Imports run one way, and this file draws the order."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "avatar_optuna"

# A module or package, and those it may import. It imports only from rows above its own.
MAY_IMPORT: dict[str, set[str]] = {
    "exceptions": set(),
    "progress": set(),
    "files": {"exceptions"},
    "cached_rows": {"files"},
    "data_files": {"exceptions", "files"},
    "places": set(),
    "templates": set(),
    "registry": {"exceptions"},
    "languages": {"exceptions"},
    "syntax": {"languages"},
    "data_flow": {"exceptions", "languages", "syntax"},
    "edits": {"exceptions", "files", "languages", "syntax"},
    "codec": {"exceptions"},
    "costs": {"exceptions"},
    "decision": {"exceptions"},
    "manifest": {"exceptions", "files", "costs", "decision"},
    "runtimes": {"exceptions", "registry", "manifest"},
    "students": {"exceptions", "files", "registry", "costs", "manifest", "runtimes"},
    "objectives": {"exceptions", "registry", "edits", "students", "costs"},
    "space": {"exceptions", "students"},
    "space_union": {"exceptions", "students", "space"},
    "configurations": {"students", "space"},
    "cost_model": {"exceptions", "codec", "students", "costs", "objectives"},
    "constraints": {"exceptions", "students", "costs", "objectives"},
    "carbon": {"exceptions"},
    "kinds": {"registry"},
    "presets": {"students", "space"},
    "settings": {
        "decision",
        "presets",
        "space_union",
        *("exceptions", "files", "students", "space", "constraints", "carbon", "registry", "kinds", "objectives"),
    },
    "schema": {"decision", "space_union", "exceptions", "codec", "students", "space", "objectives"},
    "feasibility": {
        "space_union",
        "exceptions",
        "codec",
        "students",
        "costs",
        "objectives",
        "space",
        "configurations",
        "constraints",
    },
    "pareto": {"exceptions", "students", "costs", "space", "configurations", "feasibility"},
    "sampler": {"exceptions", "students", "space", "configurations", "feasibility", "pareto", "objectives", "schema"},
    "indicator": {"exceptions", "codec", "students", "costs", "space", "space_union", "configurations"},
    "tasks": {"exceptions", "files", "data_files", "costs", "kinds", "settings"},
    "metrics": {"decision", "tasks"},
    "data_audit": {"codec", "tasks"},
    "distillation": {
        *(
            "decision",
            "exceptions",
            "edits",
            "languages",
            "data_flow",
            "codec",
            "files",
            "cached_rows",
            "manifest",
            "students",
            "costs",
            "settings",
            "tasks",
            "metrics",
        ),
    },
    "teachers": {
        "decision",
        "exceptions",
        "data_flow",
        "languages",
        "files",
        "data_files",
        "manifest",
        "students",
        "kinds",
        "settings",
        "tasks",
        "distillation",
    },
    "measurement": {
        *(
            "decision",
            "exceptions",
            "edits",
            "codec",
            "students",
            "costs",
            "configurations",
            "space",
            "cost_model",
            "settings",
            "schema",
            "carbon",
        ),
        *("tasks", "metrics", "distillation", "objectives"),
    },
    "storage": {"exceptions", "registry", "files", "schema"},
    "objective": {
        "space_union",
        *(
            "exceptions",
            "students",
            "configurations",
            "costs",
            "cost_model",
            "space",
            "feasibility",
            "indicator",
        ),
        *("schema", "objectives"),
    },
    "study": {
        *(
            "space_union",
            "exceptions",
            "places",
            "codec",
            "students",
            "configurations",
            "costs",
            "settings",
            "cost_model",
            "schema",
            "feasibility",
            "pareto",
            "sampler",
        ),
        *("indicator", "tasks", "storage", "objective", "objectives"),
    },
    "pool": {
        *("decision", "manifest"),
        "space_union",
        *("exceptions", "students", "costs", "settings", "schema", "tasks", "teachers", "distillation"),
        *("measurement", "storage", "progress", "objectives"),
    },
    "view": {
        "decision",
        *("codec", "exceptions", "students", "costs", "cost_model", "objectives", "settings", "schema", "pareto"),
        *("indicator", "tasks", "data_audit", "storage"),
    },
    "words": {"carbon", "objectives"},
    "verdict": {"metrics", "settings", "schema", "view", "words"},
    "renderers": {
        "verdict",
        "decision",
        "templates",
        "progress",
        "cost_model",
        "objectives",
        "schema",
        "indicator",
        "view",
        "words",
    },
    "report": {
        "decision",
        *(
            "templates",
            "files",
            "exceptions",
            "students",
            "costs",
            "objectives",
            "schema",
            "pareto",
            "carbon",
            "tasks",
            "data_audit",
            "metrics",
            "view",
            "words",
            "verdict",
        ),
    },
    "dashboard_notes": {"schema", "study", "renderers", "view", "report"},
    "pipeline": {
        "decision",
        *("exceptions", "edits", "progress", "students", "costs", "cost_model", "settings", "schema", "feasibility"),
        *(
            "constraints",
            "pareto",
            "indicator",
            "tasks",
            "metrics",
            "data_audit",
            "teachers",
            "distillation",
            "measurement",
            "storage",
            "objective",
            "study",
            "pool",
        ),
        *("report", "dashboard_notes", "objectives", "verdict", "view", "words"),
    },
    "live": {
        *("exceptions", "objectives", "pareto", "pool", "report", "schema", "settings", "storage", "study"),
        *("templates", "verdict", "view", "words"),
    },
    "dashboard": {"exceptions", "schema", "pareto", "storage", "study", "report", "progress", "live"},
    "sources": {"exceptions", "files", "data_files", "languages"},
    "inference": {"decision", "exceptions", "files", "manifest", "runtimes", "sources", "distillation"},
    "scan": {"exceptions", "files", "progress", "templates", "languages", "syntax", "manifest", "inference"},
    "exports": {
        *("files", "exceptions", "registry", "students", "costs", "schema", "settings", "storage", "study", "view"),
        *("renderers", "manifest", "runtimes", "kinds", "languages"),
    },
    "cli": {
        "decision",
        "space_union",
        "places",
        "words",
        *(
            "cost_model",
            "exceptions",
            "progress",
            "settings",
            "space",
            "schema",
            "feasibility",
            "costs",
            "tasks",
            "data_audit",
            "teachers",
            "distillation",
            "storage",
        ),
        *(
            "study",
            "pool",
            "pipeline",
            "report",
            "dashboard",
            "exports",
            "inference",
            "scan",
            "files",
            "metrics",
            "measurement",
            "indicator",
            "students",
            "view",
            "renderers",
            "verdict",
        ),
    },
    "interface": {
        *("exceptions", "progress", "places", "settings", "storage", "study", "pool", "view", "renderers", "report"),
        *("pipeline", "exports"),
    },
    "testing": {
        "constraints",
        *("students", "costs", "kinds", "settings", "tasks", "teachers", "distillation", "inference", "exports"),
        *("exceptions", "objectives", "space", "configurations", "feasibility", "storage", "manifest"),
    },
    "__main__": {"cli"},
}

# The packages that may import each heavy dependency.
HOMES: dict[str, set[str]] = {
    "filelock": {"files"},
    "msgspec": {"codec"},
    "pyarrow": {"data_files"},
    "jinja2": {"templates", "renderers", "report"},
    "z3": {"feasibility"},
    "sklearn": {"tasks", "metrics"},
    "tree_sitter": {"syntax"},
    "torch": {"students", "testing", "distillation", "measurement", "teachers"},
    "transformers": {"students", "distillation", "measurement", "teachers"},
    "tokenizers": {"students", "runtimes"},
    "onnx": {"exports"},
    "onnxruntime": {"exports", "runtimes"},
    "plotly": {"report"},
    "optuna_dashboard": {"dashboard_notes", "dashboard"},
}


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_to_rows_above_only(path: Path) -> None:
    layer = _layer(path)
    assert layer in MAY_IMPORT, f"{layer} has no row in MAY_IMPORT: add one"
    imported = {
        name.split(".")[1]
        for name in _imports(path)
        if name.startswith("avatar_optuna.") and name != "avatar_optuna.__version__"
    }
    assert imported <= MAY_IMPORT[layer] | {layer}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_heavy_dependency_has_one_home(path: Path) -> None:
    roots = {name.split(".")[0] for name in _imports(path)}
    strangers = {dependency for dependency in roots & set(HOMES) if _layer(path) not in HOMES[dependency]}
    assert not strangers


def test_no_row_names_a_later_one() -> None:
    rows = list(MAY_IMPORT)
    for index, layer in enumerate(rows):
        assert MAY_IMPORT[layer] <= set(rows[:index])


def test_importing_the_package_is_light() -> None:
    code = "import sys, avatar_optuna; print({'torch', 'z3', 'sklearn', 'transformers'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


def test_python_tasks_use_what_any_other_package_may() -> None:
    """`avatar_optuna_python_tasks` imports public modules only, and no module of `avatar_optuna` imports it."""
    package = PACKAGE.with_name("avatar_optuna_python_tasks")
    imported = {name for path in package.rglob("*.py") for name in _imports(path) if name.startswith("avatar_optuna.")}
    assert imported
    assert not [name for name in imported if any(part.startswith("_") for part in name.split("."))]
    assert not [path for path in SOURCES if any("avatar_optuna_python_tasks" in name for name in _imports(path))]
