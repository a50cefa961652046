"""Functions of the Python standard library, as the user's own Python ships them."""

from __future__ import annotations

import ast
import functools
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from avatar_optuna_python_tasks._rewrites import local_names, walk

_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idle_test", "site-packages", "dist-packages", "turtledemo", "__pycache__"}
)
_STATEMENTS = (4, 40)
_CHARACTERS = (120, 1_800)


@dataclass(frozen=True, kw_only=True)
class SourceFunction:
    """A function without its decorators, annotations and docstring, as `ast.unparse` writes it.

    Args:
        module: Path of its file below the library, such as "json/decoder.py".
        name: Of the function.
        text: Source, one function, at no indentation.
        local_names: What the function binds, sorted.
    """

    module: str
    name: str
    text: str
    local_names: tuple[str, ...]


@functools.cache
def library_functions() -> tuple[SourceFunction, ...]:
    """Every distinct function of sensible length, by module and line; read once a process.

    Two functions with one text are one; the first by path stays.
    """
    library = Path(sysconfig.get_path("stdlib"))
    seen: set[str] = set()
    found = []
    for path in sorted(library.rglob("*.py")):
        module = path.relative_to(library)
        if _SKIPPED_FOLDERS.isdisjoint(module.parts):
            for function in _functions_of(path, module.as_posix()):
                body = function.text.partition("\n")[2]
                if body not in seen:
                    seen.add(body)
                    found.append(function)
    return tuple(found)


def _functions_of(path: Path, module: str) -> Iterator[SourceFunction]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return  # files that show what does not parse
    for function in _definitions(tree):
        if _is_plain(function):
            text = ast.unparse(bare(function))
            if _CHARACTERS[0] <= len(text) <= _CHARACTERS[1]:
                names = tuple(sorted(local_names(function)))
                yield SourceFunction(module=module, name=function.name, text=text, local_names=names)


def _definitions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Functions by line; only statements are looked through, which is what makes it quick."""
    waiting: list[ast.stmt] = tree.body[::-1]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef):
            yield node
        for name in ("finalbody", "orelse", "handlers", "body"):
            waiting += reversed(getattr(node, name, ()))


def bare(function: ast.FunctionDef) -> ast.FunctionDef:
    """The function without decorators, annotations and docstring; changed in place."""
    function.decorator_list = []
    function.returns = None
    arguments = function.args
    for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg):
        if argument is not None:
            argument.annotation = None
    if ast.get_docstring(function, clean=False) is not None:
        function.body = function.body[1:] or [ast.Pass()]
    return function


_UNWELCOME = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Lambda,
    ast.Match,
    ast.Global,
    ast.Nonlocal,
    ast.Import,
    ast.ImportFrom,
    ast.NamedExpr,
    ast.Delete,
    ast.AnnAssign,
)
_REFLECTION = frozenset({"locals", "vars", "eval", "exec", "super", "__class__"})


def _is_plain(function: ast.FunctionDef) -> bool:
    """Whether the rewrites can be trusted with it: one scope, no reflection, a body of sensible length."""
    assert function.end_lineno is not None
    if not _STATEMENTS[0] <= function.end_lineno - function.lineno <= 3 * _STATEMENTS[1]:
        return False  # a quick look before the thorough one
    statements = 0
    for node in walk(function):
        if node is function:
            continue
        if isinstance(node, _UNWELCOME) or (isinstance(node, ast.Name) and node.id in _REFLECTION):
            return False
        statements += isinstance(node, ast.stmt)
    return _STATEMENTS[0] <= statements <= _STATEMENTS[1]
