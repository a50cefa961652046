"""The built-in tasks: rewrites keep the meaning (checked by running both), splits share nothing, seeds decide."""

from __future__ import annotations

import ast
import copy
import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_optuna.exceptions import InputError, StudyFileError
from avatar_optuna.metrics import baseline
from avatar_optuna.settings import TaskSettings, load_study_file
from avatar_optuna.tasks import Task, load_task
from avatar_optuna_python_tasks._python_source import library_functions
from avatar_optuna_python_tasks._rewrites import REWRITES, rewritten
from avatar_optuna_python_tasks.python_bytecode import instructions

FUNCTIONS = {
    """def scan(values, limit):
    total = 0
    count = 0
    for value in values:
        if value is None:
            continue
        if value < 3 and value > limit:
            total += 1
        else:
            count = count + value if value != limit else count
    kept = [value * 2 for value in values if value is not None if value > 1]
    while total > 2:
        total -= 2
    if not (total or count):
        return kept
    if limit > 4:
        return f'{total}-{count!r}-{{}}'
    return (total, count, kept, [], {})""": [
        ([1, 2, None, 5], 1),
        ([], 0),
        ([7, 2, 2, 2], 5),
        ([None], 9),
        ([0, 0], 0),
    ],
    """def safe(items, key):
    try:
        found = items[key]
    except KeyError as error:
        return 'no ' + str(error)
    finally:
        done = True
    return found if found else safe({key: done}, key)""": [({"a": 1}, "a"), ({}, "b"), ({"a": 0}, "a")],
    """def walk(values, low, high):
    first = low
    other = high
    left, right = (0, 1)
    found = []
    for index in range(len(values)):
        if low < index < high and values[index] is not None:
            if index % 3:
                continue
            found.append((index, values[index]))
    squares = []
    for factor in values:
        squares.append(factor * factor)
    pairs = []
    for place, entry in enumerate(values):
        if place == high:
            break
        pairs.append(sum((index for index, value in found)) + place)
    while True:
        if first >= other:
            break
        first = first + 1
    if left:
        level = 'left'
    else:
        level = 'right'
    if first:
        if other:
            squares.append(right)
    if not low:
        return sorted(values[low:high], reverse=True, key=None)
    return len(found + squares) + max(pairs[low:high], default=left), level""": [
        ([3, 1, 2, 5, 8, 9], 1, 5),
        ([], 2, 2),
        ([4, 4], 0, 9),
        ([1, 2, 3, 4, 5], 2, 3),
    ],
}

# Functions of the library itself, called as its users call them: name -> lists of arguments.
LIBRARY_CALLS: dict[str, list[tuple[Any, ...]]] = {
    "bisect.bisect_right": [([1, 2, 2, 3], 2), ([], 1), ([5], -1), ([1, 2], 1, -1)],
    "colorsys.rgb_to_hls": [(0.1, 0.5, 0.9), (0.3, 0.3, 0.3), (1.0, 0.2, 0.0)],
    "colorsys.hsv_to_rgb": [(0.0, 0.0, 0.4), (0.7, 0.5, 0.2), (0.99, 1.0, 1.0)],
    "fnmatch.filter": [(["a.py", "b.txt", "ab.py"], "a*"), ([], "*")],
    "genericpath._splitext": [("a/b.tar.gz", "/", None, "."), (".profile", "/", None, "."), ("a.b/c", "/", None, ".")],
    "glob._ishidden": [(".a",), ("a",), ("",)],
    "heapq.merge": [([1, 4], [2, 3]), ([],), ()],
    "heapq.nsmallest": [(2, [3, 1, 2]), (0, [1]), (5, [2, 1]), (1, [4, 3], abs)],
    "ntpath.splitdrive": [("c:/dir",), ("//host/share/x",), ("plain",)],
    "posixpath.join": [("a", "b", "/c", "d"), ("a/", ""), ("",)],
    "posixpath.normpath": [("a/../b//./c",), ("../../x",), ("//a/",), ("",)],
    "posixpath.commonpath": [(["/a/b", "/a/c"],), (["a", "a/b"],), ([],), (["/a", "b"],)],
    "posixpath.relpath": [("/a/b/c", "/a/d"), ("",), ("x", "x")],
    "quopri.decodestring": [(b"a=3Db",), (b"",)],
    "shlex.join": [(["a b", "c"],), ([],)],
    "statistics._sum": [([1, 2.5, 3],), ([],)],
    "statistics.median_grouped": [([1, 2, 2, 3, 4],), ([5],), ([],)],
    "statistics.quantiles": [([1, 2, 3, 4, 5],), ([1],)],
    "string.capwords": [("ab cd  e",), ("x-y", "-")],
    "textwrap.dedent": [("  a\n    b\n\n  c",), ("a\n b",), ("\ta\n\t b",)],
    "textwrap.indent": [("a\n\nb", "> "), ("a", "+", bool)],
    "tokenize._get_normal_name": [("UTF_8-sig",), ("latin-1-x",), ("ascii",)],
    "urllib.parse.urlsplit": [("http://a/b?c#d",), ("x:y",), ("//[::1]/",), ("http://[",)],
    "urllib.parse.parse_qsl": [("a=1&b=2&c",), ("", True), ("a=1;b", False, True)],
    "urllib.parse._splitport": [("host:80",), ("host:",), ("host",), ("h:x",)],
    "wave._byteswap": [(b"abcd", 2)],
}


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> str:
    """What a call gives or raises, as text; a generator is drawn to its end."""
    try:
        result = function(*copy.deepcopy(arguments))
        return repr(list(result) if isinstance(result, Iterator) else result)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


LIBRARY = {f"{f.module.removesuffix('.py').replace('/', '.')}.{f.name}": f for f in library_functions()}


@pytest.mark.parametrize("name", [name for name in LIBRARY_CALLS if name in LIBRARY])
def test_a_rewritten_library_function_does_the_same(name: str) -> None:
    """The oracle is the library: the function runs in its own module's names, as it stands and rewritten."""
    function = LIBRARY[name]
    scope = vars(importlib.import_module(name.rpartition(".")[0]))
    for seed in range(15):
        source = rewritten(function.text, np.random.default_rng(seed))
        made: dict[str, Any] = {}
        exec(source, scope | {"__name__": "rewritten"}, made)
        (other,) = made.values()
        for arguments in LIBRARY_CALLS[name]:
            assert _outcome(other, arguments) == _outcome(scope[function.name], arguments), source


def test_most_of_the_library_calls_are_there() -> None:
    assert sum(name in LIBRARY for name in LIBRARY_CALLS) >= 12


def test_names_of_a_recursive_call_stay() -> None:
    source = "def f(a, b=1):\n    if b:\n        return f(a, b=b - 1)\n    c = [x for x in a]\n    return c + [x]"
    other = rewritten(source, np.random.default_rng(0))
    assert "b=" in other.partition("\n")[0]
    assert other.endswith("[x]")  # a comprehension's own name is another than the global beside it


def _call(source: str, arguments: tuple[Any, ...]) -> Any:
    scope: dict[str, Any] = {}
    exec(source, scope)  # our own functions, above
    function: Callable[..., Any] = scope[ast.parse(source).body[0].name]  # type: ignore[attr-defined]
    return function(*arguments)


@given(seed=st.integers(0, 10_000))
@pytest.mark.parametrize("source", FUNCTIONS)
def test_a_rewritten_function_does_the_same(source: str, seed: int) -> None:
    other = rewritten(source, np.random.default_rng(seed))
    for arguments in FUNCTIONS[source]:
        assert _call(other, arguments) == _call(source, arguments)


@pytest.mark.parametrize("index", range(len(REWRITES)))
def test_every_rewrite_changes_something_and_keeps_the_meaning(index: int) -> None:
    changed = False
    for source, cases in FUNCTIONS.items():
        before = ast.unparse(ast.parse(source))
        for prepare in (None, *REWRITES):  # some rewrites undo what another has made
            tree = ast.parse(source).body[0]
            assert isinstance(tree, ast.FunctionDef)
            tree = prepare(tree) if prepare is not None else tree
            before = ast.unparse(ast.fix_missing_locations(tree))
            after = ast.unparse(ast.fix_missing_locations(REWRITES[index](tree)))
            changed |= after != before
            assert all(_call(after, case) == _call(source, case) for case in cases)
    assert changed


@pytest.fixture(scope="module", params=["python-clones", "python-bytecode"])
def task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Task:
    settings = TaskSettings(kind=request.param, max_train=200, max_valid=60, max_test=60)
    folder = tmp_path_factory.mktemp("cache")
    made, read = load_task(settings, cache_dir=folder), load_task(settings, cache_dir=folder)
    assert made.fingerprint == read.fingerprint
    return read


def test_splits_are_balanced_and_share_no_function(task: Task) -> None:
    assert [len(split) for split in task.splits.values()] == [200, 60, 60]
    assert all(split.labels.mean() == 0.5 for split in task.splits.values())
    texts = [set(split.functions) for split in task.splits.values()]
    assert len(texts[0] | texts[1] | texts[2]) == sum(map(len, texts))
    assert all(ast.parse(task.valid.functions[index]) for index in task.valid.inputs[:, 0])


def test_the_plain_competitor_does_not_solve_it(task: Task) -> None:
    figures = baseline(task)
    assert set(figures) == {"valid", "test"}
    assert 0.3 <= figures["valid"]["balanced_accuracy"] <= 0.95


@pytest.mark.parametrize("kind", ["python-clones", "python-bytecode"])
def test_more_than_the_library_holds_is_refused(kind: str) -> None:
    with pytest.raises(InputError, match=r"task\.max_valid must be at most \d+"):
        load_task(TaskSettings(kind=kind, max_train=10, max_valid=100_000))


def test_bytecode_is_that_of_its_source_and_says_nothing_alone() -> None:
    """Every label follows from compiling the source; each text stands in as many pairs of either label."""
    split = load_task(TaskSettings(kind="python-bytecode", max_train=200, max_valid=400, max_test=40)).valid
    shares = np.zeros((len(split.functions), 2), dtype=np.int64)
    for (source, listing), label in zip(split.inputs, split.labels, strict=True):
        assert (instructions(split.functions[source]) == split.functions[listing]) == bool(label)
        shares[[source, listing], label] += 1
    assert (shares[:, 0] == shares[:, 1]).all()
    names = {name for text in split.functions[: len(split)] for name in text.split() if name.isupper()}
    assert {"LOAD_FAST", "RETURN_VALUE"} <= names


def test_instructions_have_no_names_of_the_function() -> None:
    listing = instructions("def area(width, height=2):\n    return [width * height for each in width]")
    assert "FUNCTION" in listing.split() or sys.version_info >= (3, 12)  # from 3.12 on, comprehensions are inlined
    assert "BINARY_OP" in listing.split()
    assert not {"area", "width", "height", "each"} & set(listing.split())


def test_a_removed_kind_is_refused_with_its_reason(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('name = "a"\n[task]\nkind = "python-defects"\n[teacher]\npretrained = "x"\n')
    with pytest.raises(StudyFileError, match=r"task\.kind must not be python-defects .* better than chance$") as caught:
        load_study_file(tmp_path / "study.toml")
    assert len(caught.value.faults) == 1
    with pytest.raises(InputError, match="must not be python-defects"):
        load_task(TaskSettings(kind="python-defects"))
