"""Texts of functions without what does not change what they do: comments, blanks, names."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

LEVELS = ("text", "code", "names")
"""What two functions may differ in and still be copies: nothing, comments and blanks, names as well."""

KEYWORDS = frozenset(
    # C, C++, Java, JavaScript, Python: whatever is a keyword in one of them.
    """abstract alignas alignof and as assert async await auto bool boolean break byte case catch char class const
    constexpr continue debugger decltype def default del delete do double elif else enum except explicit export extends
    extern final finally float for from function global goto if implements import in inline instanceof int interface is
    lambda let long mutable namespace native new noexcept nonlocal not null nullptr operator or package pass private
    protected public raise register return short signed sizeof static strictfp struct super switch synchronized template
    this throw throws transient try typedef typename typeof undefined union unsigned using var virtual void volatile
    wchar_t while with yield None True False true false NULL""".split()
)
_HASH_COMMENTS = frozenset({"python", "ruby", "perl", "shell", "r"})


def digests_of(function: str, language: str) -> dict[str, bytes]:
    """A digest of 16 bytes for each of `LEVELS`.

    Comments are told apart by the language: `#` in Python and its like, `//` and `/* */` elsewhere; of functions of
    "any" language they stay. Names are numbered in the order of their first use; keywords of any language stay.
    """
    code, numbered = [], []
    numbers: dict[str, str] = {}
    for match in _tokens(_comment_in(language)).finditer(function):
        if match.lastgroup == "comment":
            continue
        token = match[0]
        code.append(token)
        is_name = match.lastgroup == "name" and token not in KEYWORDS
        numbered.append(numbers.setdefault(token, f"\0{len(numbers)}") if is_name else token)
    texts = {"text": function, "code": " ".join(code), "names": " ".join(numbered)}
    return {
        level: blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for level, text in texts.items()
    }


def _comment_in(language: str) -> str:
    if language == "any":
        return r"(?!)"
    return r"\#[^\n]*" if language in _HASH_COMMENTS else r"//[^\n]*|/\*.*?(?:\*/|\Z)"


@lru_cache(maxsize=3)
def _tokens(comment: str) -> re.Pattern[str]:
    string = r'"""(?:\\.|[^\\])*?"""|\'\'\'(?:\\.|[^\\])*?\'\'\'|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.compile(rf"(?P<comment>{comment})|(?P<string>{string})|(?P<name>[^\W\d][\w$]*)|\d[\w.]*|\S", re.S)
