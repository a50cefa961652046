"""A runtime as one file: its module, joined with those of this package that it imports."""

from __future__ import annotations

import ast
import sys
from importlib.util import find_spec
from pathlib import Path

_PACKAGE = "avatar_optuna.runtimes."


def standalone(path: Path, docstring: str) -> str:
    """The source of a runtime's module with what it imports of `avatar_optuna.runtimes` put in its place.

    Args:
        path: The module.
        docstring: Of the file.
    """
    imports: dict[str, set[str]] = {}  # names by module; of a module that is imported itself, as "import MODULE", none
    bodies: list[str] = []
    _collect(path, imports, bodies, set())
    ours: list[str] = []
    others: list[str] = []
    for name, names in sorted(imports.items(), key=lambda entry: (bool(entry[1]), entry[0])):
        line = f"from {name} import {', '.join(sorted(names))}" if names else name
        root = name.removeprefix("import ").split(".")[0]
        (ours if root in sys.stdlib_module_names else others).append(line)
    head = [f'"""{docstring}"""', "from __future__ import annotations", "\n".join(ours), "\n".join(others)]
    return "\n\n".join(head) + "\n\n" + "\n\n\n".join(bodies) + "\n"


def _collect(path: Path, imports: dict[str, set[str]], bodies: list[str], seen: set[Path]) -> None:
    """Add the imports and the bodies of a module, those that it imports first."""
    if path in seen:
        return
    seen.add(path)
    source = path.read_text(encoding="utf-8")
    end = 0
    for node in ast.parse(source).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and end == 0
        if isinstance(node, ast.Import):
            for alias in node.names:
                imports.setdefault(f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else ""), set())
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            spec = find_spec(str(node.module))
            assert spec is not None
            assert spec.origin is not None
            _collect(Path(spec.origin), imports, bodies, seen)
        elif isinstance(node, ast.ImportFrom):
            if node.module != "__future__":
                imports.setdefault(str(node.module), set()).update(alias.name for alias in node.names)
        elif not is_docstring:
            break
        end = node.end_lineno or end
    bodies.append("\n".join(source.splitlines()[end:]).strip("\n"))
