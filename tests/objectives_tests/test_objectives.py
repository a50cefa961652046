"""Every objective keeps its contract, a stranger's too; a broken one is told so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError
from avatar_optuna.objectives import BUILT_IN, OBJECTIVES, MeasuredStudent, directions, searched, signs, written
from avatar_optuna.students import Configuration, StudentFamily
from avatar_optuna.testing.objectives import check_objective
from tests.stranger.activation_bytes import OBJECTIVE as ACTIVATION_BYTES
from tests.stranger.calibration_error import OBJECTIVE as CALIBRATION_ERROR


@pytest.fixture
def registered() -> Iterator[None]:
    for kind in (ACTIVATION_BYTES, CALIBRATION_ERROR):
        OBJECTIVES.register(kind.name, kind)
    yield
    for kind in (ACTIVATION_BYTES, CALIBRATION_ERROR):
        OBJECTIVES.unregister(kind.name)


@pytest.fixture
def distilled(student: Configuration, tmp_path: Path) -> MeasuredStudent:
    """Right on three of four inputs, and nearly sure of each."""
    return MeasuredStudent(
        directory=tmp_path,
        hyperparameters=student,
        task_shape=TaskShape(arity=1),
        device="cpu",
        labels=np.asarray([0, 1, 1, 0]),
        logits=np.asarray([[20, 0], [0, 20], [0, 20], [0, 20]], dtype=np.float32),
        run=lambda: None,
        functions=("int f(int a) { return a; }", "int g(int b) { int c = 2; return b; }"),
        inputs=np.asarray([[0], [1], [1], [0]]),
        language="java",
        predict=_counts_letters,
        labels_of=lambda logits: logits.argmax(axis=1),
    )


def _counts_letters(functions: Sequence[str], inputs: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
    """Answers 1 where a function has a variable named `b`."""
    has_b = np.asarray([" b)" in function for function in functions])[inputs[:, 0]]
    return np.stack([~has_b, has_b], axis=1).astype(np.float32)


def test_robustness_counts_answers_that_an_edit_changes(distilled: MeasuredStudent) -> None:
    robustness = OBJECTIVES.get("robustness")
    check_objective(robustness, student=distilled)
    sure = replace(distilled, logits=_counts_letters(distilled.functions, distilled.inputs))
    # The function with a `b` loses it; the other one may be given it by letters, by chance.
    assert robustness.measure(sure) in (0.0, 0.5)  # type: ignore[attr-defined]
    constant = replace(distilled, predict=lambda functions, inputs: distilled.logits)
    assert robustness.measure(constant) == 1.0  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="robustness needs functions of c, cpp, java, python, got 'go'"):
        robustness.check("go")  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_built_in_objective_keeps_the_contract(name: str, distilled: MeasuredStudent) -> None:
    kind = OBJECTIVES.get(name)
    check_objective(kind, student=distilled if kind.source == "measured" else None)


def test_a_strangers_objectives_keep_it(registered: None, distilled: MeasuredStudent) -> None:
    check_objective(ACTIVATION_BYTES)
    check_objective(CALIBRATION_ERROR, student=distilled)
    assert CALIBRATION_ERROR.measure(distilled) == pytest.approx(0.25, abs=1e-6)


class _ReadsMore(type(ACTIVATION_BYTES)):  # type: ignore[misc]
    def reads(self, family: StudentFamily) -> frozenset[str]:
        return frozenset({"max_sequence_length"})


class _Divides(type(ACTIVATION_BYTES)):  # type: ignore[misc]
    def formula(self, shape: Any, task_shape: TaskShape) -> Any:
        return round(float(np.max(shape.intermediate_size)))


class _IsInfinite(type(CALIBRATION_ERROR)):  # type: ignore[misc]
    def measure(self, student: MeasuredStudent) -> float:
        return float("inf")


class _NeedsNothing(type(ACTIVATION_BYTES)):  # type: ignore[misc]
    name = "hidden_size"


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (_ReadsMore(), "must depend on max_sequence_length alone"),
        (_Divides(), "same of a table of configurations"),
        (_IsInfinite(), "must be finite"),
        (_NeedsNothing(), "name of a hyperparameter"),
    ],
)
def test_a_broken_one_is_told_so(broken: Any, message: str, distilled: MeasuredStudent) -> None:
    with pytest.raises(AssertionError, match=message):
        check_objective(broken, student=distilled)


def test_signs_turn_what_is_to_go_up() -> None:
    names = ("effectiveness", "size_bytes", "latency_ms")
    assert directions(names) == ["maximize", "minimize", "minimize"]
    assert signs(names).tolist() == [-1, 1, 1]


def test_the_search_leaves_out_what_needs_a_distilled_student(registered: None) -> None:
    names = ("effectiveness", "activation_bytes", "calibration_error", "energy_j")
    assert searched(names) == ("effectiveness", "activation_bytes", "energy_j")


def test_values_are_written_in_their_units() -> None:
    assert written("size_bytes", 13_448) == "0.013"
    assert written("size_bytes", 0) == "0.00"
    assert written("flops", 2_418_000_000) == "2,418.0"
    assert written("effectiveness", 0.9355) == "93.5"
