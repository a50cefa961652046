"""The tokens of a syntax tree: the texts of its leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from avatar_optuna.languages import Language
from avatar_optuna.syntax import parse

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node

_Span = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class TokenizedTree:
    """A syntax tree and its tokens.

    Args:
        root: The root of the tree.
        lines: Lines of the text that was parsed.
        whole: Types of nodes that are one token though they have children, such as strings.
        hidden: Types of nodes that are no tokens, and that nothing is done at.
        words: Types of nodes whose keyword is taken for a name, such as that of a null pointer.
    """

    root: Node
    lines: tuple[str, ...]
    whole: frozenset[str]
    hidden: frozenset[str]
    words: frozenset[str]

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """One a token, in the order of the text. A token that the parser missed is an empty leaf."""
        return tuple(self.leaves_of(self.root))

    @cached_property
    def tokens(self) -> tuple[str, ...]:
        """Texts of the leaves."""
        return tuple(self._text(leaf) for leaf in self.leaves)

    @cached_property
    def _indexes(self) -> dict[_Span, int]:
        return {_span(leaf): index for index, leaf in enumerate(self.leaves)}

    def is_leaf(self, node: Node) -> bool:
        """Whether a node is one token."""
        return node.child_count == 0 or node.type in self.whole

    def leaves_of(self, node: Node) -> Iterator[Node]:
        """The leaves below a node, hidden ones left out."""
        if node.type in self.hidden:
            return
        if self.is_leaf(node):
            yield node
        else:
            for child in node.children:
                yield from self.leaves_of(child)

    def index(self, leaf: Node) -> int:
        """Which token a leaf is. Of several empty leaves at one place, the last."""
        return self._indexes[_span(leaf)]

    def variables(self, node: Node) -> list[int]:
        """Tokens below a node that stand for a value: names, literals and types, not keywords and punctuation."""
        indexes = (self.index(leaf) for leaf in self.leaves_of(node) if self.is_variable(leaf))
        return list(indexes)

    def is_variable(self, leaf: Node) -> bool:
        """Whether a leaf stands for a value: what is named like its own text is a keyword or punctuation."""
        return leaf.type != self.tokens[self.index(leaf)] or self._is_word(leaf)

    def is_identifier(self, leaf: Node) -> bool:
        """Whether a leaf is the name of something."""
        return leaf.type == "identifier" or self._is_word(leaf)

    def _is_word(self, leaf: Node) -> bool:
        return leaf.parent is not None and leaf.parent.type in self.words

    def _text(self, leaf: Node) -> str:
        # Columns count bytes and cut characters all the same: so do the published implementations, and their models
        # have learnt from what that gives behind a character of several bytes.
        (first, start), (last, end) = _span(leaf)
        if first == last:
            return self.lines[first][start:end]
        return "".join((self.lines[first][start:], *self.lines[first + 1 : last], self.lines[last][:end]))


def tokenized_tree(
    text: str, language: Language, *, whole: Collection[str], hidden: Collection[str] = (), words: Collection[str] = ()
) -> TokenizedTree:
    """The tree of a text and its tokens; comments are hidden."""
    return TokenizedTree(
        root=parse(text.encode(), language),
        lines=tuple(text.split("\n")),
        whole=frozenset(whole),
        hidden=frozenset({"comment", *hidden}),
        words=frozenset(words),
    )


def _span(node: Node) -> _Span:
    start, end = node.start_point, node.end_point
    return (start.row, start.column), (end.row, end.column)
