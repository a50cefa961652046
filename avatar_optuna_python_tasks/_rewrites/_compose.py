"""Several rewrites of one function, chosen by a seed.

Each rewrite is sound for functions of one scope (see `_python_source`): the order of expressions that may have effects
is never changed, and a rewrite that cannot be shown to be safe where it stands is not made. Names of the function and
of its parameters change too: a caller passes arguments by position.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avatar_optuna_python_tasks._rewrites import _branches, _loops, _statements
from avatar_optuna_python_tasks._rewrites._rename import rename
from avatar_optuna_python_tasks._rewrites._trees import walk


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """One kind of rewrite.

    Args:
        make: The transformer for a function.
        needs: Kinds of nodes without which there is nothing to rewrite.
        share: How often it is chosen where there is.
    """

    make: Callable[[ast.FunctionDef], ast.NodeTransformer]
    needs: tuple[type[ast.AST], ...]
    share: float = 0.6

    def __call__(self, function: ast.FunctionDef) -> ast.FunctionDef:
        """The rewritten function; the one given may be changed in place."""
        result = self.make(function).visit(function)
        assert isinstance(result, ast.FunctionDef)
        return result


def _plain(transformer: type[ast.NodeTransformer]) -> Callable[[ast.FunctionDef], ast.NodeTransformer]:
    return lambda function: transformer()


_BRANCHES = (ast.If, ast.IfExp)
_COMPARED = (ast.Compare,)

REWRITES: tuple[Rewrite, ...] = (
    Rewrite(make=_plain(_branches.InvertBranches), needs=_BRANCHES),
    Rewrite(make=_plain(_branches.MirrorComparisons), needs=_COMPARED),
    Rewrite(make=_plain(_branches.UnchainComparisons), needs=_COMPARED),
    Rewrite(make=_plain(_branches.SpellNegations), needs=_COMPARED),
    Rewrite(make=_plain(_branches.MorganConditions), needs=(ast.BoolOp,)),
    Rewrite(make=_plain(_branches.SplitConditionals), needs=(ast.IfExp,)),
    Rewrite(make=_plain(_branches.JoinConditionals), needs=(ast.If,)),
    Rewrite(make=_plain(_branches.NestAfterGuard), needs=(ast.If,)),
    Rewrite(make=_plain(_branches.FlattenAfterGuard), needs=(ast.If,)),
    Rewrite(make=_plain(_branches.NestConjunctions), needs=(ast.BoolOp,)),
    Rewrite(make=_plain(_branches.JoinConjunctions), needs=(ast.If,)),
    Rewrite(make=_plain(_loops.LoopForever), needs=(ast.While,)),
    Rewrite(make=_plain(_loops.LoopWhile), needs=(ast.While,)),
    Rewrite(make=_loops.CountInstead, needs=(ast.For,)),
    Rewrite(make=_loops.DrawInstead, needs=(ast.For,), share=0.3),
    Rewrite(make=_loops.UnrollComprehensions, needs=(ast.ListComp,)),
    Rewrite(make=_loops.CollectInstead, needs=(ast.For,)),
    Rewrite(make=_plain(_statements.ExpandAugmented), needs=(ast.AugAssign,)),
    Rewrite(make=_plain(_statements.AugmentAssignments), needs=(ast.BinOp,)),
    Rewrite(make=_plain(_statements.SwapAssignments), needs=(ast.Assign,)),
    Rewrite(make=_plain(_statements.SortKeywords), needs=(ast.keyword,)),
    Rewrite(make=_plain(_statements.JoinConstants), needs=(ast.Assign,)),
    Rewrite(make=_plain(_statements.SplitTuples), needs=(ast.Tuple,)),
    Rewrite(make=_statements.NameResults, needs=(ast.Return,)),
    Rewrite(make=_statements.NameConditions, needs=(ast.If, ast.For)),
    Rewrite(make=_statements.NameArguments, needs=(ast.Call,)),
    Rewrite(make=_plain(_statements.FormatCalls), needs=(ast.JoinedStr,)),
    Rewrite(make=_statements.SpellLiterals, needs=(ast.List, ast.Dict)),
)
"""Rewrites of the structure; names are changed apart."""


def rewritten(source: str, rng: np.random.Generator) -> str:
    """The function under other names, with several of `REWRITES` applied in an order chosen by `rng`.

    Args:
        source: One function.
        rng: Chooses; the result is a function of its state.
    """
    function = ast.parse(source).body[0]
    if not isinstance(function, ast.FunctionDef):
        raise ValueError("a rewrite takes the source of one function")
    kinds = {type(node) for node in walk(function)}
    draws, order = rng.random(len(REWRITES)), rng.permutation(len(REWRITES))
    for index in order:
        rewrite = REWRITES[index]
        if draws[index] < rewrite.share and not kinds.isdisjoint(rewrite.needs):
            function = rewrite(function)
    rename(function, rng)
    return ast.unparse(function)
