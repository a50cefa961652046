"""Source code is read by the grammar of its language."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.syntax import LANGUAGES, language_named, language_of, parse

SOURCES = {
    "c": "int twice(int a) { return 2 * a; }",
    "cpp": "template <typename T> T twice(T a) { return 2 * a; }",
    "java": "class A { int twice(int a) { return 2 * a; } }",
    "javascript": "const twice = (a) => 2 * a;",
    "python": "def twice(a):\n    return 2 * a\n",
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_language_parses_its_own_source_and_finds_faults(name: str) -> None:
    language = language_named(name)
    assert not parse(SOURCES[name].encode(), language).has_error
    assert parse(b"((((", language).has_error
    assert language.grammar_version[0].isdigit()


def test_the_name_of_a_file_tells_its_language() -> None:
    names = ("a.c", "a.h", "a.cpp", "A.java", "a.JS", "a.py")
    languages = [language_of(PurePath(name)) for name in names]
    assert [language.name for language in languages if language] == ["c", "c", "cpp", "java", "javascript", "python"]
    assert language_of(PurePath("README.md")) is None


def test_a_language_without_a_grammar_is_refused() -> None:
    with pytest.raises(InputError, match=r"the language must be one of c, cpp, java, javascript, python, got 'cobol'"):
        language_named("cobol")
