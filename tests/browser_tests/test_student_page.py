"""The page that runs a student, opened from a folder and from a server: no network, and the answers of Python."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from avatar_optuna.exports.js import FORMAT
from avatar_optuna.inference import load_student
from avatar_optuna.testing.exports import random_student
from tests.browser_tests.conftest import Watched
from tests.exports_tests.alone import hashed_student
from tests.exports_tests.test_c_and_js import STUDENTS, texts


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, Path]:
    """An exported student of pairs, and its own files."""
    made = random_student(tmp_path, arity=2, hyperparameters=STUDENTS[1])
    (tmp_path / "out").mkdir()
    FORMAT.write(made, tmp_path / "out")
    return tmp_path / "out", made.files


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(exported: tuple[Path, Path]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(exported[0])))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def test_the_page_answers_what_is_typed(watched: Watched, exported: tuple[Path, Path]) -> None:
    out, files = exported
    page = watched.page
    page.goto((out / "index.html").as_uri())
    first, second = (
        "int f(int a) { return a + 1; }",
        "</textarea> <b>ü\U0001f600</b> " + "x y z " * 20 + "a b c d e f g h",
    )
    fields = page.locator("textarea")
    assert fields.count() == 2
    fields.nth(0).fill(first)
    fields.nth(1).fill(second)
    answer = load_student(files).predict([(first, second)])[0]
    assert page.locator("#answer").inner_text() == answer.label_name
    shown = page.locator(".bar > output").all_inner_texts()
    assert shown == [f"{100 * probability:.1f} %" for probability in answer.probabilities]
    assert "first 20 distinct n-grams of both functions were read" in page.locator("#note").inner_text()
    fields.nth(1).fill(" ")
    assert page.locator("#answer").inner_text() == ""
    assert (watched.outside, watched.errors) == ([], [])


def test_the_module_gives_a_browser_the_answers_of_python(
    watched: Watched, exported: tuple[Path, Path], served: str
) -> None:
    _, files = exported
    watched.page.goto(f"{served}/README.md")  # a page without a policy of its own
    functions = [text for text in texts() if text.strip()][:300]
    pairs = list(itertools.pairwise(functions))
    answers = watched.page.evaluate(
        "async ([url, pairs]) => (await import(url)).predict(pairs)", [f"{served}/student.js", pairs]
    )
    expected = [answer.probabilities for answer in load_student(files).predict(pairs)]
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert (watched.outside, watched.errors) == ([], [])


def test_a_page_for_single_functions(watched: Watched, tmp_path: Path) -> None:
    made = random_student(tmp_path, arity=1, hyperparameters=hashed_student())
    (tmp_path / "out").mkdir()
    FORMAT.write(made, tmp_path / "out")
    watched.page.goto((tmp_path / "out/index.html").as_uri())
    assert watched.page.locator("textarea").count() == 1
    watched.page.locator("textarea").fill("int f(int a) { return a + 1; }")
    assert watched.page.locator("#answer").inner_text() in ("no", "yes")
    assert (watched.outside, watched.errors) == ([], [])


@pytest.mark.parametrize(
    ("about", "arity", "beginnings", "sentence"),
    [
        ({"language": "java"}, 1, ["static int sum(int[] values)"], "functions in Java."),
        ({"language": "c++"}, 2, ["int sum(const std::vector", "int add_all(const std::vector"], "functions in C++."),
        ({"language": "python", "task": "python-bytecode"}, 2, ["def mean(values)", "LOAD_CONST"], "in Python."),
        ({"language": "python", "task": "not-installed"}, 1, ["def mean(values)"], "functions in Python."),
        ({"language": "any"}, 2, ["", ""], "goes nowhere."),
        ({}, 1, [""], "goes nowhere."),
    ],
)
def test_the_example_is_of_the_students_language_and_form(
    about: dict[str, str], arity: int, beginnings: list[str], sentence: str, watched: Watched, tmp_path: Path
) -> None:
    made = random_student(tmp_path, arity=arity, hyperparameters=hashed_student(), **about)
    (tmp_path / "out").mkdir()
    FORMAT.write(made, tmp_path / "out")
    watched.page.goto((tmp_path / "out/index.html").as_uri())
    fields = watched.page.locator("textarea")
    texts = [fields.nth(place).input_value() for place in range(fields.count())]
    assert len(texts) == arity
    assert all(
        text.startswith(begin) and bool(text) == bool(begin) for text, begin in zip(texts, beginnings, strict=True)
    )
    assert bool(watched.page.locator("#answer").inner_text()) == all(beginnings)
    assert watched.page.locator("#about").inner_text().strip().endswith(sentence)
    assert (watched.outside, watched.errors) == ([], [])
