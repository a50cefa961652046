"""`python-defects`: does a Python function hold a seeded fault?

One half of the functions carries one fault (wrong operator, wrong variable, swapped arguments, off by one, dropped
check), the other half none. Both are written by `ast.unparse`, no function is in both halves, and a module belongs to
one split.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from avatar_optuna.exceptions import InputError
from avatar_optuna.tasks._python_clones import split_by_module
from avatar_optuna.tasks._python_source import SourceFunction, library_functions
from avatar_optuna.tasks._task import Split

DEFAULT_INPUTS = {"train": 3_000, "valid": 600, "test": 600}

_OTHER_OPERATOR: Mapping[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.GtE,
    ast.GtE: ast.Lt,
    ast.Gt: ast.LtE,
    ast.LtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
}

Fault = Callable[[], None]
"""Changes the tree in place."""


def make_python_defects(*, seed: int, inputs: Mapping[str, int]) -> dict[str, Split]:
    """The three splits, half of each with a fault.

    Args:
        seed: Everything is a function of it and of the Python library.
        inputs: Number of functions of each split.
    """
    by_split = split_by_module(library_functions(), seed=seed)
    return {
        name: _labelled(by_split[name], inputs[name], np.random.default_rng([seed, index, 7]), name)
        for index, name in enumerate(("train", "valid", "test"))
    }


def _labelled(functions: Sequence[SourceFunction], count: int, rng: np.random.Generator, name: str) -> Split:
    texts: list[str] = []
    labels: list[int] = []
    for index in rng.permutation(len(functions)):
        if len(texts) == count:
            break
        wants_fault = len(texts) % 2
        faulty = with_fault(functions[index].text, rng)
        if faulty is None:
            continue  # nowhere to put one: left out of both halves, so that it tells nothing
        texts.append(faulty if wants_fault else functions[index].text)
        labels.append(wants_fault)
    if len(texts) < count:
        raise InputError(
            f"task.max_{name} must be at most {len(texts)}, the functions this Python's library gives, got {count}"
        )
    return Split(
        functions=tuple(texts),
        inputs=np.arange(len(texts), dtype=np.int32).reshape(-1, 1),
        labels=np.asarray(labels, dtype=np.int64),
    )


def with_fault(source: str, rng: np.random.Generator) -> str | None:
    """The function with one seeded fault, or None where there is nowhere to put one."""
    tree = ast.parse(source)
    kinds = [faults for find in _FAULTS if (faults := find(tree, rng))]
    if not kinds:
        return None
    chosen = kinds[rng.integers(len(kinds))]
    chosen[rng.integers(len(chosen))]()
    faulty = ast.unparse(ast.fix_missing_locations(tree))
    return faulty if faulty != source else None


def _wrong_operators(tree: ast.AST, rng: np.random.Generator) -> list[Fault]:
    def fault(node: ast.AST, at: int | None) -> Fault:
        def change() -> None:
            if at is None:
                node.op = _OTHER_OPERATOR[type(node.op)]()  # type: ignore[attr-defined]
            else:
                node.ops[at] = _OTHER_OPERATOR[type(node.ops[at])]()  # type: ignore[attr-defined]

        return change

    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            found += [fault(node, at) for at, op in enumerate(node.ops) if type(op) in _OTHER_OPERATOR]
        elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in _OTHER_OPERATOR:
            found.append(fault(node, None))
    return found


def _wrong_variables(tree: ast.AST, rng: np.random.Generator) -> list[Fault]:
    """A local that is read becomes another local that is bound."""
    local = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    local |= {a.arg for a in ast.walk(tree) if isinstance(a, ast.arg)} - {"self", "cls"}

    def fault(node: ast.Name) -> Fault:
        def change() -> None:
            node.id = str(rng.choice(sorted(local - {node.id})))

        return change

    reads = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in local]
    return [fault(node) for node in reads] if len(local) > 1 else []


def _swapped_arguments(tree: ast.AST, rng: np.random.Generator) -> list[Fault]:
    def fault(node: ast.Call, at: int) -> Fault:
        def change() -> None:
            node.args[at], node.args[at + 1] = node.args[at + 1], node.args[at]

        return change

    return [
        fault(node, at)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and not any(isinstance(argument, ast.Starred) for argument in node.args)
        for at in range(len(node.args) - 1)
        if ast.dump(node.args[at]) != ast.dump(node.args[at + 1])
    ]


def _off_by_one(tree: ast.AST, rng: np.random.Generator) -> list[Fault]:
    def fault(node: ast.Constant) -> Fault:
        def change() -> None:
            assert isinstance(node.value, int)
            node.value = node.value + 1 if node.value == 0 or rng.random() < 0.5 else node.value - 1

        return change

    numbers = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and type(n.value) is int and 0 <= n.value <= 64]
    return [fault(node) for node in numbers]


def _dropped_checks(tree: ast.AST, rng: np.random.Generator) -> list[Fault]:
    """A guard (`if ...: return` or `raise`) is left out."""

    def fault(body: list[ast.stmt], node: ast.stmt) -> Fault:
        return lambda: body.remove(node)

    return [
        fault(parent.body, node)
        for parent in ast.walk(tree)
        if isinstance(parent, ast.FunctionDef | ast.For | ast.While | ast.If | ast.With) and len(parent.body) > 1
        for node in parent.body
        if isinstance(node, ast.If)
        and not node.orelse
        and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue)
    ]


_FAULTS = (_wrong_operators, _wrong_variables, _swapped_arguments, _off_by_one, _dropped_checks)
