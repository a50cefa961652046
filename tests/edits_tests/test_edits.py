"""Edited functions do what they did: they are compiled and run, and the standard library is read before and after."""

from __future__ import annotations

import ast
import inspect
import json
import shutil
import subprocess
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from avatar_optuna.edits import EDITED_LANGUAGES, recipes, variant
from avatar_optuna.edits._names import local_names
from avatar_optuna.edits._source import Source, walk
from avatar_optuna.exceptions import InputError
from avatar_optuna.languages import LANGUAGES
from tests.edits_tests.programs import JAVA, PYTHON, C

INPUTS = [(0, 0), (1, 2), (2, 9), (4, 1), (7, 30), (12, -3)]
SEEDS = range(12)


def _variants(function: str, language: str) -> list[str]:
    others = recipes({"c": C, "cpp": C, "java": JAVA, "python": PYTHON}[language], language)
    return sorted({variant(function, language, recipe, seed=seed) for recipe in others for seed in SEEDS})


@pytest.mark.parametrize("function", PYTHON)
def test_python_functions_give_what_they_gave(function: str) -> None:
    def results(text: str) -> list[Any]:
        space: dict[str, Any] = {"__file__": ""}
        exec(compile(text, "variant", "exec"), space)
        return [space["f"](a, b) for a, b in INPUTS]

    expected, texts = results(function), _variants(function, "python")
    assert len(texts) > 10
    for text in texts:
        assert results(text) == expected, text


def _run(words: list[str], folder: Path) -> list[str]:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(("compiler", "language"), [("gcc", "c"), ("g++", "cpp")])
@pytest.mark.parametrize("function", C)
def test_c_functions_give_what_they_gave(function: str, compiler: str, language: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"needs {compiler}")
    texts = [function, *_variants(function, language)]
    assert len(texts) > 10
    named = [text.replace("int f(", f"int f{number}(", 1) for number, text in enumerate(texts)]
    calls = [f'    printf("{number} %d\\n", f{number}({a}, {b}));' for number in range(len(texts)) for a, b in INPUTS]
    program = "\n".join(["#include <stdio.h>", *named, "int main(void) {", *calls, "return 0; }"])
    suffix = {"c": "c", "cpp": "cpp"}[language]
    (tmp_path / f"all.{suffix}").write_text(program)
    _run([compiler, "-w", "-fpermissive" if suffix == "cpp" else "-O0", f"all.{suffix}", "-o", "all"], tmp_path)
    _assert_all_alike(_run(["./all"], tmp_path), texts)


def test_java_functions_give_what_they_gave(tmp_path: Path) -> None:
    if shutil.which("javac") is None:
        pytest.skip("needs javac")
    texts = [[function, *_variants(function, "java")] for function in JAVA]
    assert min(map(len, texts)) > 10
    flat = [text for group in texts for text in group]
    classes = [f"class C{number} {{ {text} }}" for number, text in enumerate(flat)]
    calls = [
        f'System.out.println("{number} " + C{number}.f({a}, {b}));' for number in range(len(flat)) for a, b in INPUTS
    ]
    main = "public class Main { public static void main(String[] words) {\n" + "\n".join(calls) + "\n} }"
    (tmp_path / "Main.java").write_text("\n".join([*classes, main]))
    _run(["javac", "-nowarn", "Main.java"], tmp_path)
    lines = _run(["java", "-cp", ".", "-XX:TieredStopAtLevel=1", "Main"], tmp_path)
    first = len(texts[0]) * len(INPUTS)
    _assert_all_alike(lines[:first], texts[0])
    _assert_all_alike(lines[first:], texts[1])


def _assert_all_alike(lines: list[str], texts: list[str]) -> None:
    given = [
        [line.split(" ", 1)[1] for line in lines[at : at + len(INPUTS)]] for at in range(0, len(lines), len(INPUTS))
    ]
    assert len(given) == len(texts)
    for own, text in zip(given, texts, strict=True):
        assert own == given[0], text


def _functions_of_the_library() -> Iterator[str]:
    for module in (ast, inspect, shutil, subprocess, textwrap):
        for value in vars(module).values():
            if isinstance(value, types.FunctionType) and value.__module__ == module.__name__:
                yield textwrap.dedent(inspect.getsource(value))


def _names_of_code(text: str) -> tuple[set[str], int]:
    """Names that a function takes from elsewhere, and how many variables of its own it has, functions within too."""
    outside: set[str] = set()
    variables = 0
    codes = [compile(text, "function", "exec")]
    while codes:
        code = codes.pop()
        outside |= set(code.co_names)
        variables += len(code.co_varnames) + len(code.co_cellvars) + len(code.co_freevars)
        codes += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return outside, variables


def test_renaming_touches_no_name_from_elsewhere() -> None:
    functions = sorted(set(_functions_of_the_library()))
    assert len(functions) > 150
    by_name = {recipe.name: recipe for recipe in recipes(functions, "python")}
    renamed = 0
    for function in functions:
        for recipe in (by_name["letters"], by_name["numbered names"], by_name["names of other functions"]):
            text = variant(function, "python", recipe, seed=1)
            renamed += text != function
            assert _names_of_code(text) == _names_of_code(function), text
    assert renamed > 2.5 * len(functions)


def test_edited_statements_of_the_library_compile_and_take_no_other_names() -> None:
    functions = sorted(set(_functions_of_the_library()))
    statements = next(recipe for recipe in recipes([], "python") if recipe.name == "statements")
    changed = 0
    for function in functions:
        text = variant(function, "python", statements, seed=3)
        changed += text != function
        assert _names_of_code(text)[0] - {"unused0"} == _names_of_code(function)[0], text
    assert changed > 0.8 * len(functions)


@pytest.mark.parametrize("split", ["bigclonebench/data.jsonl", "devign/test.jsonl"])
def test_renaming_changes_identifiers_alone(shared: Path, split: str) -> None:
    language = "java" if "clone" in split else "c"
    lines = (shared / "data" / split).read_text().splitlines()[:150]
    functions = [json.loads(line)["func"] for line in lines]
    recipe = recipes(functions, language)[0]
    for function in functions:
        before, after = (
            Source(text.encode(), LANGUAGES[language])
            for text in (function, variant(function, language, recipe, seed=0))
        )
        nodes, others = list(walk(before.root)), list(walk(after.root))
        assert [node.type for node in nodes] == [node.type for node in others]
        new: dict[bytes, bytes] = {}
        for node, other in zip(nodes, others, strict=True):
            if node.child_count == 0 and node.type != "identifier":
                assert before.of(node) == after.of(other)
            elif node.type == "identifier" and before.of(node) != after.of(other):
                assert new.setdefault(before.of(node), after.of(other)) == after.of(other)
        assert len(set(new.values())) == len(new)
        assert not set(new.values()) & before.words


@pytest.mark.parametrize(
    ("language", "function", "names"),
    [
        ("python", "def f(a, *b, c=1, **d):\n    global e\n    e = a\n    g(a=1).a = self.c\n", {"b", "c", "d"}),
        ("python", "def f(a):\n    b = eval('a')\n", set()),
        ("java", "void f(int a) { int b = this.b + x.a; L: for (String c : a()) { break L; } }", {"a", "b", "c"}),
        ("java", "void f(int a) { new X() { int a = 1; }; for (int i = 0;;) {} }", {"i"}),
        ("c", "void f(int a) { extern int b; int c, *d[2]; g(&c); x.a = 1; int h(int z); }", {"a", "c", "d", "z"}),
        ("c", "void f(int a) {\n#define G a + b\nint b = G; int c; }", {"c"}),
        ("cpp", "void f(int &a) { for (auto [b, c] : d) { A::b(c); } }", {"a", "c"}),
    ],
)
def test_only_what_is_certainly_local_is_renamed(language: str, function: str, names: set[str]) -> None:
    found = local_names(Source(function.encode(), LANGUAGES[language]))
    assert {name.decode() for name in found} == names


@pytest.mark.parametrize("language", EDITED_LANGUAGES)
@pytest.mark.parametrize("text", ["", "((((", "\udc80", "// é\n", "int f(", "def f(:\n"])
def test_what_cannot_be_read_stays_as_it_is(language: str, text: str) -> None:
    for recipe in recipes([text], language):
        assert variant(text, language, recipe, seed=0) == text


def test_variants_depend_on_the_seed_alone() -> None:
    make: Callable[[int], list[str]] = lambda seed: [  # noqa: E731
        variant(PYTHON[0], "python", recipe, seed=seed) for recipe in recipes(PYTHON, "python")
    ]
    assert make(0) == make(0) != make(1)


def test_a_language_that_cannot_be_edited_is_refused() -> None:
    with pytest.raises(InputError, match=r"functions can be edited in c, cpp, java, python, got 'javascript'"):
        variant("a", "javascript", recipes([], "java")[0], seed=0)
