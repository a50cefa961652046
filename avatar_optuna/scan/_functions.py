"""Functions, cut out of the text of a file."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from avatar_optuna.languages import Language
from avatar_optuna.syntax import comment_nodes, function_nodes, parse, qualified_name

if TYPE_CHECKING:
    from avatar_optuna.syntax import Node

DIGEST_BYTES = 16
_TOKEN = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFunction:
    """A function of a file.

    Args:
        name: Qualified by the classes and functions that hold it.
        line: Its first, counted from 1.
        end_line: Its last.
        start: Its first byte.
        end: The byte behind its last.
        text: What a student reads: not indented, and without comments if they are dropped.
        lines: Of code: comments and blank lines are not counted.
        tokens: Words and signs of code.
        digest: Equal for functions of equal tokens: comments, blanks and indentation aside.
    """

    name: str
    line: int
    end_line: int
    start: int
    end: int
    text: str
    lines: int
    tokens: int
    digest: bytes


def cut(
    source: bytes, language: Language, *, min_lines: int = 1, min_tokens: int = 1, keeps_comments: bool = False
) -> tuple[list[SourceFunction], int]:
    """The functions of a text in UTF-8, and how many more are smaller than asked for.

    A method, and a function within another, is a function of its own. A function's decorators do not belong to it. A
    text with errors gives what its grammar makes of it.

    Args:
        min_lines: Lines of code that a function has at least.
        min_tokens: Tokens that it has at least.
        keeps_comments: Whether the texts keep comments and docstrings.
    """
    root = parse(source, language)
    comments = [(node.start_byte, node.end_byte) for node in comment_nodes(root, language)]
    functions, small = [], 0
    for node in function_nodes(root, language):
        code = _unindented(_without(comments, source, node), node)
        tokens = _TOKEN.findall(code)
        lines = [line for line in code.splitlines() if line.strip()]
        if len(lines) < min_lines or len(tokens) < min_tokens:
            small += 1
            continue
        text = _unindented(source[node.start_byte : node.end_byte], node) if keeps_comments else "\n".join(lines)
        functions.append(
            SourceFunction(
                name=qualified_name(node, language),
                line=node.start_point.row + 1,
                end_line=node.end_point.row + 1,
                start=node.start_byte,
                end=node.end_byte,
                text=text,
                lines=len(lines),
                tokens=len(tokens),
                digest=blake2b(" ".join(tokens).encode(), digest_size=DIGEST_BYTES).digest(),
            )
        )
    return functions, small


def _without(comments: list[tuple[int, int]], source: bytes, node: Node) -> bytes:
    """The text of a node without its comments."""
    parts, at = [], node.start_byte
    for start, end in comments[bisect_left(comments, (node.start_byte, 0)) :]:
        if start >= node.end_byte:
            break
        if start >= at:  # a comment is in no other
            parts.append(source[at:start])
            at = end
    return b"".join([*parts, source[at : node.end_byte]])


def _unindented(text: bytes, node: Node) -> str:
    """Without the indentation that the first line of a node has, on the others."""
    decoded = text.decode(errors="replace").replace("\r\n", "\n")
    return decoded.replace("\n" + " " * column, "\n") if (column := node.start_point.column) else decoded
