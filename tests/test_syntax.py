"""Source code is read by the grammar of its language."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import LANGUAGES, known_language, language_named, language_of
from avatar_optuna.syntax import comment_nodes, function_nodes, parse, qualified_name

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


def test_a_language_has_synonyms_and_suffixes_that_it_shares() -> None:
    cpp = known_language("C++")
    assert cpp is not None
    assert cpp is known_language("cpp") is LANGUAGES["cpp"]
    assert known_language("cobol") is None
    assert ".h" in cpp.further_suffixes
    assert language_of(PurePath("a.h")) is LANGUAGES["c"]


def test_a_language_without_a_grammar_is_refused() -> None:
    with pytest.raises(InputError, match=r"the language must be one of c, cpp, java, javascript, python, got 'cobol'"):
        language_named("cobol")


NESTED = {
    "c": ("static int *twice(int *a)\n{ return a; }\nint later(int);\n", ["twice"]),
    "cpp": (
        "namespace n { class A { public: A() { x = 1; } int f() const { return x; } int g(); int x; }; }\n"
        "int n::A::g() { return 2; }\ntemplate <typename T> T twice(T a) { return 2 * a; }\n",
        ["n.A.A", "n.A.f", "n::A::g", "twice"],
    ),
    "java": (
        "class A { A() { x = 1; } @Override int f() { return 2; } abstract int g(); interface B { void h(); } }\n"
        "record P(int a) { P { check(a); } }\n",
        ["A.A", "A.f", "P.P"],
    ),
    "javascript": (
        "const twice = (a) => 2 * a;\nfunction f() { return [1].map(function (x) { return x; }); }\n"
        "class A { g() { return 1; } }\nexports.h = function* () { yield 1; };\nconst o = { k: async () => 1 };\n",
        ["twice", "f", "f.<anonymous>", "A.g", "exports.h", "k"],
    ),
    "python": (
        "class A:\n    @property\n    def f(self):\n        async def g():\n            return 1\n        return g\n",
        ["A.f", "A.f.g"],
    ),
}


@pytest.mark.parametrize("name", LANGUAGES)
def test_functions_are_found_and_named_by_what_holds_them(name: str) -> None:
    language, (source, names) = language_named(name), NESTED[name]
    functions = function_nodes(parse(source.encode(), language), language)
    assert [qualified_name(node, language) for node in functions] == names


def test_comments_and_docstrings_are_found() -> None:
    python = language_named("python")
    source = b'"""Module."""\n# One.\ndef f():\n    """Two."""\n    a = "no"\n    return a  # Three.\n'
    texts = [source[node.start_byte : node.end_byte] for node in comment_nodes(parse(source, python), python)]
    assert texts == [b"# One.", b'"""Two."""', b"# Three."]
    java = language_named("java")
    source = b"class A { /* one */ int f() { // two\n return 1; } }"
    texts = [source[node.start_byte : node.end_byte] for node in comment_nodes(parse(source, java), java)]
    assert texts == [b"/* one */", b"// two"]
