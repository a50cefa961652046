"""The built-in tasks: rewrites keep the meaning (checked by running both), splits share nothing, seeds decide."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avatar_optuna.exceptions import InputError
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Task, baseline, load_task
from avatar_optuna.tasks._python_defects import with_fault
from avatar_optuna.tasks._rewrites import STRUCTURAL, rewritten

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
}


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


@pytest.mark.parametrize("index", range(len(STRUCTURAL)))
def test_every_rewrite_changes_something_and_keeps_the_meaning(index: int) -> None:
    changed = False
    for source, cases in FUNCTIONS.items():
        before = ast.unparse(ast.parse(source))
        for prepare in (None, *STRUCTURAL):  # some rewrites undo what another has made
            tree = ast.parse(source).body[0]
            assert isinstance(tree, ast.FunctionDef)
            tree = prepare(tree) if prepare is not None else tree
            before = ast.unparse(ast.fix_missing_locations(tree))
            after = ast.unparse(ast.fix_missing_locations(STRUCTURAL[index](tree)))
            changed |= after != before
            assert all(_call(after, case) == _call(source, case) for case in cases)
    assert changed


@given(seed=st.integers(0, 1_000))
@pytest.mark.parametrize("source", FUNCTIONS)
def test_a_fault_is_one_change_that_still_parses(source: str, seed: int) -> None:
    plain = ast.unparse(ast.parse(source))
    faulty = with_fault(plain, np.random.default_rng(seed))
    assert faulty is None or (faulty != plain and ast.parse(faulty))


@pytest.fixture(scope="module", params=["python-clones", "python-defects"])
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
    assert all(ast.parse(text) for text in task.valid.functions)


def test_the_plain_competitor_does_not_solve_it(task: Task) -> None:
    figures = baseline(task)
    assert set(figures) == {"valid", "test"}
    assert 0.3 <= figures["valid"]["balanced_accuracy"] <= 0.95


def test_more_than_the_library_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"task\.max_valid must be at most \d+"):
        load_task(TaskSettings(kind="python-defects", max_train=10, max_valid=100_000))
