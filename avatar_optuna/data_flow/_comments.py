"""Source text without its comments, blank lines and docstrings: what data flow is extracted from."""

from __future__ import annotations

import io
import re
import tokenize

_COMMENT_OR_LITERAL = re.compile(
    r"""//.*?$ | /\*.*?\*/ | '(?:\\.|[^\\'])*' | "(?:\\.|[^\\"])*" """, re.DOTALL | re.MULTILINE | re.VERBOSE
)


def without_comments(source: str, *, language: str) -> str:
    """The text without comments and blank lines. A text that cannot be read as its language stays as it is."""
    try:
        text = _without_python_comments(source) if language == "python" else _without_c_comments(source)
    except (tokenize.TokenError, SyntaxError):
        return source
    return "\n".join(line for line in text.split("\n") if line.strip())


def _without_c_comments(source: str) -> str:
    def replacement(match: re.Match[str]) -> str:
        return " " if match[0].startswith("/") else match[0]

    return _COMMENT_OR_LITERAL.sub(replacement, source)


def _without_python_comments(source: str) -> str:
    """Comments and strings that are statements are left out; what is left keeps its place on its line."""
    text = ""
    before = tokenize.INDENT
    last_row, last_column = -1, 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        (row, column), (end_row, end_column) = token.start, token.end
        text += " " * (column - (last_column if row == last_row else 0))
        is_docstring = token.type == tokenize.STRING and (before in (tokenize.INDENT, tokenize.NEWLINE) or column == 0)
        if token.type != tokenize.COMMENT and not is_docstring:
            text += token.string
        before = token.type
        last_row, last_column = end_row, end_column
    return text
