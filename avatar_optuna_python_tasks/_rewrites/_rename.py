"""New names for a function, its parameters and its locals."""

from __future__ import annotations

import ast
import builtins
from collections import Counter

import numpy as np

from avatar_optuna_python_tasks._rewrites._trees import COMPREHENSIONS, stored, walk

_BUILTINS = frozenset(dir(builtins))
_WORDS = (
    "batch block buf cell chunk cur data elem entry extra field flag found group head hint info inner item key "
    "kind label left level limit line mark mode name node obj offset other out part pos prev query raw ref rest right "
    "row seen seq side size slot spec src start state step table tail target temp text token total unit val view"
).split()
_VERBS = (
    "apply build check collect compute convert do find get handle make parse prepare process resolve run update".split()
)


def rename(function: ast.FunctionDef, rng: np.random.Generator) -> None:
    """Rename the function, its locals and its parameters, in place; `self` and `cls` keep their names."""
    nodes = list(walk(function))
    local = local_names(function)
    taken = {n.id for n in nodes if isinstance(n, ast.Name)} | local | _BUILTINS
    words = [word for word in rng.permutation(_WORDS).tolist() if word not in taken]
    ordered = sorted(local - _ambiguous(function) - _passed_by_name(function))
    renamed = {old: words[i] if i < len(words) else f"{old}_{i}" for i, old in enumerate(ordered)}
    old_name, function.name = function.name, f"{rng.choice(_VERBS)}_{rng.choice(_WORDS)}"
    if old_name not in local and function.name not in taken:
        renamed[old_name] = function.name  # a recursive call
    for node in nodes:
        if isinstance(node, ast.Name):
            node.id = renamed.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = renamed.get(node.arg, node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = renamed.get(node.name, node.name)


def local_names(function: ast.FunctionDef) -> set[str]:
    """What the function binds, without a leading `self` or `cls`."""
    arguments = [node.arg for node in walk(function.args) if isinstance(node, ast.arg)]
    handled = {node.name for node in walk(function) if isinstance(node, ast.ExceptHandler) and node.name}
    return (stored(function) | handled | set(arguments)) - {name for name in arguments[:1] if name in ("self", "cls")}


def _ambiguous(function: ast.FunctionDef) -> set[str]:
    """Names that a comprehension binds for itself, and that mean something global outside it."""
    inside: Counter[str] = Counter()
    own: set[str] = set()
    for node in walk(function):
        if isinstance(node, COMPREHENSIONS):
            bound = {name for generator in node.generators for name in stored(generator.target)}
            inside.update(n.id for n in walk(node) if isinstance(n, ast.Name) and n.id in bound)
            own |= bound
    if not own:
        return set()
    everywhere = Counter(node.id for node in walk(function) if isinstance(node, ast.Name))
    return {name for name in own if inside[name] != everywhere[name]}


def _passed_by_name(function: ast.FunctionDef) -> set[str]:
    """Parameters that a recursive call names."""
    calls = [node for node in walk(function) if isinstance(node, ast.Call) and node.keywords]
    own = [node for node in calls if ast.unparse(node.func).rpartition(".")[2] == function.name]
    return {keyword.arg for node in own for keyword in node.keywords if keyword.arg is not None}
