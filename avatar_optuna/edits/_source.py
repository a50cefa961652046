"""A source text with its syntax tree, and how places of it are replaced."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from avatar_optuna.languages import Language
from avatar_optuna.syntax import parse

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node


@dataclass(frozen=True)
class Replacement:
    """Bytes from `start` to `end` that become `text`."""

    start: int
    end: int
    text: bytes


@dataclass(frozen=True)
class Source:
    """A text in UTF-8 and its language."""

    text: bytes
    language: Language

    @cached_property
    def root(self) -> Node:
        """The root of its syntax tree."""
        return parse(self.text, self.language)

    @cached_property
    def words(self) -> frozenset[bytes]:
        """Texts of all leaves: what a new name must not be."""
        return frozenset(self.of(node) for node in self.nodes if node.child_count == 0)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All nodes of its syntax tree, in the order of the text."""
        return tuple(walk(self.root))

    def of(self, node: Node) -> bytes:
        """The text of a node."""
        return self.text[node.start_byte : node.end_byte]

    def replaced(self, replacements: Iterable[Replacement]) -> Source:
        """The text with places replaced that do not overlap."""
        text, end = b"", 0
        for one in sorted(replacements, key=lambda replacement: replacement.start):
            text += self.text[end : one.start] + one.text
            end = one.end
        return Source(text + self.text[end:], self.language)

    def indentation(self, node: Node) -> bytes | None:
        """What stands before a node on its line, where that is blank; None where it is not."""
        before = self.text[self.text.rfind(b"\n", 0, node.start_byte) + 1 : node.start_byte]
        return before if not before.strip() else None


def walk(node: Node) -> Iterator[Node]:
    """A node and all below it, in the order of the text."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


def replace_node(node: Node, text: bytes) -> Replacement:
    """A node that becomes another text."""
    return Replacement(node.start_byte, node.end_byte, text)


def field_of(node: Node) -> str | None:
    """The field of its parent that a node is."""
    parent = node.parent
    if parent is None:
        return None
    place = next(index for index, child in enumerate(parent.children) if child.id == node.id)
    return parent.field_name_for_child(place)
