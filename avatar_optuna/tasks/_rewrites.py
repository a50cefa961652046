"""Rewrites of a Python function that keep its meaning. A rewrite is a transformer; `rewritten` composes several.

Each is sound for functions of one scope (see `_python_source`): evaluation order of expressions that may have effects
is never changed, and a rewrite that cannot be shown to be safe where it stands is not made. Names of the function and
of its parameters may change: a caller passes arguments by position.
"""

from __future__ import annotations

import ast
import builtins
import copy
import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np

_BUILTINS = frozenset(dir(builtins))
_WORDS = (
    "batch block buf cell chunk cur data elem entry extra field flag found group head hint info inner item key "
    "kind label left level limit line mark mode name node obj offset other out part pos prev query raw ref rest right "
    "row seen seq side size slot spec src start state step table tail target temp text token total unit val view"
).split()
_VERBS = (
    "apply build check collect compute convert do find get handle make parse prepare process resolve run update".split()
)


def rewritten(source: str, rng: np.random.Generator, *, renaming: float = 1.0) -> str:
    """The function with several of the rewrites below applied, chosen by `rng`.

    Args:
        source: One function.
        rng: Chooses; the result is a function of its state.
        renaming: Share of the local names and parameters that are renamed.
    """
    function = _parsed(source)
    chosen = [rewrite for rewrite in STRUCTURAL if rng.random() < 0.75]
    for index in rng.permutation(len(chosen)):
        function = chosen[index](function)
    _rename(function, rng, renaming)
    return ast.unparse(ast.fix_missing_locations(function))


def _parsed(source: str) -> ast.FunctionDef:
    function = ast.parse(source).body[0]
    if not isinstance(function, ast.FunctionDef):
        raise ValueError("a rewrite takes the source of one function")
    return function


def _names(function: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}


def _is_pure(node: ast.expr) -> bool:
    """Names and constants: no effect, and no effect can change them before they are read."""
    return isinstance(node, ast.Name | ast.Constant)


def _fresh(function: ast.FunctionDef) -> Callable[[str], str]:
    taken = _names(function) | {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}

    def fresh(stem: str) -> str:
        name = next(n for n in itertools.chain([stem], (f"{stem}_{i}" for i in itertools.count(2))) if n not in taken)
        taken.add(name)
        return name

    return fresh


def _rename(function: ast.FunctionDef, rng: np.random.Generator, share: float) -> None:
    """Rename the function, its locals and its parameters, in place."""
    arguments = [a for a in ast.walk(function.args) if isinstance(a, ast.arg)]
    first = {"self", "cls"} & {arguments[0].arg} if arguments else set()
    bound = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {handler.name for handler in ast.walk(function) if isinstance(handler, ast.ExceptHandler) and handler.name}
    local = sorted((bound | {a.arg for a in arguments}) - first)
    taken = _names(function) | bound | {a.arg for a in arguments} | _BUILTINS
    words = [word for word in rng.permutation(_WORDS) if word not in taken]
    chosen = [name for name in local if rng.random() < share]
    renamed = {old: str(words[i]) if i < len(words) else f"{old}_{i}" for i, old in enumerate(chosen)}
    old_name = function.name
    function.name = f"{rng.choice(_VERBS)}_{rng.choice(_WORDS)}"
    if old_name not in renamed and function.name not in taken:
        renamed[old_name] = function.name  # a recursive call
    for node in ast.walk(function):
        if isinstance(node, ast.Name):
            node.id = renamed.get(node.id, node.id)
        elif isinstance(node, ast.arg):
            node.arg = renamed.get(node.arg, node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            node.name = renamed.get(node.name, node.name)


class _Blocks(ast.NodeTransformer):
    """A transformer that sees every list of statements as a whole."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        raise NotImplementedError

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        for name in ("body", "orelse", "finalbody"):
            statements = getattr(node, name, None)
            if isinstance(statements, list) and statements and isinstance(statements[0], ast.stmt):
                setattr(node, name, self.block(statements))
        return node


def _negated(test: ast.expr) -> ast.expr:
    """`not test`, written as people write it where the operators allow."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = test.operand
        return inner if isinstance(inner, ast.Compare) else ast.UnaryOp(op=ast.Not(), operand=test)
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        opposite = _OPPOSITE.get(type(test.ops[0]))
        if opposite is not None:
            return ast.Compare(left=test.left, ops=[opposite()], comparators=test.comparators)
    return ast.UnaryOp(op=ast.Not(), operand=test)


# `<` and `>=` are no opposites for NaN and for sets; identity and membership are.
_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.Gt: ast.Lt,
    ast.LtE: ast.GtE,
    ast.GtE: ast.LtE,
}


class _InvertBranches(ast.NodeTransformer):
    """`if a: X else: Y` becomes `if not a: Y else: X`, for tests whose truth is taken once either way."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if node.orelse and not (len(node.orelse) == 1 and isinstance(node.orelse[0], ast.If)):
            return ast.If(test=_negated(node.test), body=node.orelse, orelse=node.body)
        return node


class _MirrorComparisons(ast.NodeTransformer):
    """`i < 3` becomes `3 > i` where one side is a number and the other a name."""

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) == 1 and type(node.ops[0]) in _MIRRORED:
            sides = (node.left, node.comparators[0])
            numbers = [isinstance(s, ast.Constant) and isinstance(s.value, int | float) for s in sides]
            if any(numbers) and all(_is_pure(side) for side in sides):
                return ast.Compare(left=sides[1], ops=[_MIRRORED[type(node.ops[0])]()], comparators=[sides[0]])
        return node


class _ExpandAugmented(ast.NodeTransformer):
    """`n += 1` becomes `n = n + 1`, for numbers (a list would be changed in place)."""

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        value = node.value
        if (
            isinstance(node.target, ast.Name)
            and isinstance(value, ast.Constant)
            and isinstance(value.value, int | float)
        ):
            read = ast.Name(id=node.target.id, ctx=ast.Load())
            return ast.Assign(targets=[node.target], value=ast.BinOp(left=read, op=node.op, right=value), lineno=0)
        return node


class _SplitConditionals(_Blocks):
    """`return a if c else b` and `x = a if c else b` become an `if` statement."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return [self._split(statement) for statement in statements]

    def _split(self, node: ast.stmt) -> ast.stmt:
        if not isinstance(node, ast.Return | ast.Assign) or not isinstance(node.value, ast.IfExp):
            return node
        if isinstance(node, ast.Assign) and not all(isinstance(target, ast.Name) for target in node.targets):
            return node
        choice = node.value
        branches = []
        for value in (choice.body, choice.orelse):
            branch = copy.deepcopy(node)
            branch.value = value
            branches.append(branch)
        return ast.If(test=choice.test, body=[branches[0]], orelse=[branches[1]])


class _NestAfterGuard(_Blocks):
    """`if a: ... return` and what follows becomes `if a: ... return else: what follows`."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        for index, node in enumerate(statements[:-1]):
            leaves = isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue)
            if leaves and isinstance(node, ast.If) and not node.orelse:
                nested = ast.If(test=node.test, body=node.body, orelse=self.block(statements[index + 1 :]))
                return [*statements[:index], nested]
        return statements


class _FlattenAfterGuard(_Blocks):
    """`if a: ... return else: Y` becomes `if a: ... return` and then Y."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        flat: list[ast.stmt] = []
        for node in statements:
            if (
                isinstance(node, ast.If)
                and node.orelse
                and isinstance(node.body[-1], ast.Return | ast.Raise | ast.Continue)
            ):
                flat += [ast.If(test=node.test, body=node.body, orelse=[]), *node.orelse]
            else:
                flat.append(node)
        return flat


class _NestConjunctions(ast.NodeTransformer):
    """`if a and b: X` becomes `if a: if b: X`."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        test = node.test
        if not node.orelse and isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and len(test.values) == 2:
            return ast.If(test=test.values[0], body=[ast.If(test=test.values[1], body=node.body, orelse=[])], orelse=[])
        return node


class _LoopForever(ast.NodeTransformer):
    """`while a: X` becomes `while True: if not a: break; X`."""

    def visit_While(self, node: ast.While) -> ast.AST:
        self.generic_visit(node)
        if node.orelse or isinstance(node.test, ast.Constant):
            return node
        leave = ast.If(test=_negated(node.test), body=[ast.Break()], orelse=[])
        return ast.While(test=ast.Constant(value=True), body=[leave, *node.body], orelse=[])


class _JoinConstants(_Blocks):
    """`a = 1` and `b = 2` side by side become `a, b = (1, 2)`."""

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        joined: list[ast.stmt] = []
        for node in statements:
            before = joined[-1] if joined else None
            if _is_constant_assignment(node) and before is not None and _is_constant_assignment(before):
                assert isinstance(node, ast.Assign)
                assert isinstance(before, ast.Assign)
                joined[-1] = ast.Assign(
                    targets=[ast.Tuple(elts=[before.targets[0], node.targets[0]], ctx=ast.Store())],
                    value=ast.Tuple(elts=[before.value, node.value], ctx=ast.Load()),
                    lineno=0,
                )
            else:
                joined.append(node)
        return joined


def _is_constant_assignment(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    )


class _NameResults(_Blocks):
    """`return f(x)` becomes `result = f(x); return result`."""

    def __init__(self, fresh: Callable[[str], str]) -> None:
        self._fresh = fresh

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        named: list[ast.stmt] = []
        for node in statements:
            if isinstance(node, ast.Return) and node.value is not None and not _is_pure(node.value):
                name = self._fresh("result")
                named.append(ast.Assign(targets=[ast.Name(id=name, ctx=ast.Store())], value=node.value, lineno=0))
                node = ast.Return(value=ast.Name(id=name, ctx=ast.Load()))
            named.append(node)
        return named


class _UnrollComprehensions(_Blocks):
    """`xs = [f(x) for x in it if c]` becomes a loop that appends; the loop's variable gets a name of its own."""

    def __init__(self, fresh: Callable[[str], str]) -> None:
        self._fresh = fresh

    def block(self, statements: list[ast.stmt]) -> list[ast.stmt]:
        return list(itertools.chain.from_iterable(self._unroll(node) for node in statements))

    def _unroll(self, node: ast.stmt) -> Sequence[ast.stmt]:
        value = node.value if isinstance(node, ast.Assign | ast.Return) else None
        if not isinstance(value, ast.ListComp) or len(value.generators) != 1 or value.generators[0].is_async:
            return [node]
        generator = value.generators[0]
        if not isinstance(generator.target, ast.Name) or _has_scope(value.elt) or any(map(_has_scope, generator.ifs)):
            return [node]
        name, loop_variable = self._fresh("collected"), self._fresh("each")
        element = _replaced(value.elt, generator.target.id, loop_variable)
        method = ast.Attribute(value=ast.Name(id=name, ctx=ast.Load()), attr="append", ctx=ast.Load())
        body: ast.stmt = ast.Expr(value=ast.Call(func=method, args=[element], keywords=[]))
        for test in reversed(generator.ifs):
            body = ast.If(test=_replaced(test, generator.target.id, loop_variable), body=[body], orelse=[])
        start = ast.Assign(
            targets=[ast.Name(id=name, ctx=ast.Store())], value=ast.List(elts=[], ctx=ast.Load()), lineno=0
        )
        loop = ast.For(
            target=ast.Name(id=loop_variable, ctx=ast.Store()), iter=generator.iter, body=[body], orelse=[], lineno=0
        )
        assert isinstance(node, ast.Assign | ast.Return)
        node.value = ast.Name(id=name, ctx=ast.Load())
        # The comprehension evaluates its iterable before anything else, and so does the loop: `start` has no effect.
        return [start, loop, node]


def _has_scope(node: ast.AST) -> bool:
    return any(isinstance(n, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) for n in ast.walk(node))


def _replaced(node: ast.expr, old: str, new: str) -> ast.expr:
    for name in ast.walk(node):
        if isinstance(name, ast.Name) and name.id == old:
            name.id = new
    return node


class _FormatCalls(ast.NodeTransformer):
    """`f'{a}: {b}'` becomes `'{}: {}'.format(a, b)`."""

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        pieces, arguments = [], []
        for value in node.values:
            if isinstance(value, ast.Constant):
                pieces.append(str(value.value).replace("{", "{{").replace("}", "}}"))
            elif isinstance(value, ast.FormattedValue) and value.format_spec is None:
                pieces.append({-1: "{}", 115: "{!s}", 114: "{!r}", 97: "{!a}"}[value.conversion])
                arguments.append(value.value)
            else:
                return node
        method = ast.Attribute(value=ast.Constant(value="".join(pieces)), attr="format", ctx=ast.Load())
        return ast.Call(func=method, args=arguments, keywords=[])


class _SpellLiterals(ast.NodeTransformer):
    """`[]` becomes `list()` and `{}` becomes `dict()`, where these names are the builtins."""

    def __init__(self, names: Iterable[str]) -> None:
        self._bound = frozenset(names)

    def visit_List(self, node: ast.List) -> ast.AST:
        self.generic_visit(node)
        empty = not node.elts and isinstance(node.ctx, ast.Load) and "list" not in self._bound
        return _call("list") if empty else node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        return _call("dict") if not node.keys and "dict" not in self._bound else node


def _call(name: str) -> ast.Call:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=[], keywords=[])


class _MorganConditions(ast.NodeTransformer):
    """`not (a or b)` becomes `not a and not b`, and the other way for `and`."""

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        inner = node.operand
        if isinstance(node.op, ast.Not) and isinstance(inner, ast.BoolOp):
            other: ast.boolop = ast.And() if isinstance(inner.op, ast.Or) else ast.Or()
            return ast.BoolOp(op=other, values=[ast.UnaryOp(op=ast.Not(), operand=value) for value in inner.values])
        return node


def _bound(function: ast.FunctionDef) -> set[str]:
    stored = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    return stored | {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}


Rewrite = Callable[[ast.FunctionDef], ast.FunctionDef]


def _rewrite(make: Callable[[ast.FunctionDef], ast.NodeTransformer]) -> Rewrite:
    def apply(function: ast.FunctionDef) -> ast.FunctionDef:
        result = make(function).visit(function)
        assert isinstance(result, ast.FunctionDef)
        return result

    return apply


STRUCTURAL: tuple[Rewrite, ...] = (
    _rewrite(lambda function: _InvertBranches()),
    _rewrite(lambda function: _MirrorComparisons()),
    _rewrite(lambda function: _ExpandAugmented()),
    _rewrite(lambda function: _SplitConditionals()),
    _rewrite(lambda function: _NestAfterGuard()),
    _rewrite(lambda function: _FlattenAfterGuard()),
    _rewrite(lambda function: _NestConjunctions()),
    _rewrite(lambda function: _LoopForever()),
    _rewrite(lambda function: _JoinConstants()),
    _rewrite(lambda function: _NameResults(_fresh(function))),
    _rewrite(lambda function: _UnrollComprehensions(_fresh(function))),
    _rewrite(lambda function: _FormatCalls()),
    _rewrite(lambda function: _SpellLiterals(_bound(function))),
    _rewrite(lambda function: _MorganConditions()),
)
"""Rewrites of the structure; names are changed apart."""
