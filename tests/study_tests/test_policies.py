"""What policies ask for: by hand on few students, and that what is stored decides alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.indicator import LearningCurves
from avatar_optuna.pareto import CostGrid, hypervolume
from avatar_optuna.space import SearchSpace
from avatar_optuna.students import Configuration
from avatar_optuna.study import (
    AsynchronousHalving,
    FinalModel,
    Policy,
    RandomPolicy,
    RoundsPolicy,
    Step,
    SuccessiveHalving,
    Trainings,
)

SPACE = SearchSpace.paper()
RUNGS = (1, 4, 20)


@pytest.fixture(scope="module")
def students() -> list[Configuration]:
    feasibility = Feasibility(space=SPACE, constraints=["size_mb <= 3"], task_shape=TaskShape(arity=2))
    return draw(feasibility, 24, seed=0, pool=2_000)


def _curve(student: Configuration) -> np.ndarray:
    """Students with a learning rate of 1e-3 are the better ones, from their first epoch on."""
    final = 0.9 if student.values["learning_rate"] == 1e-3 else 0.7
    return np.asarray(0.5 + (final - 0.5) * (1 - np.exp(-np.arange(1, 21) / 4)))


def _trainings(
    students: list[Configuration],
    epochs: list[int],
    *,
    left: int,
    lost: tuple[int, ...] = (),
    running: dict[int, int] | None = None,
) -> Trainings:
    figures = np.stack([_curve(student) for student in students])
    known = np.arange(20) < np.asarray(epochs)[:, None]
    figures = np.where(known, figures, np.nan)
    return Trainings(
        students=students,
        curves=LearningCurves(figures=figures, losses=1 - figures),
        is_lost=np.isin(np.arange(len(students)), lost),
        costs=np.asarray([[float(s.values["hidden_size"]), float(s.values["num_hidden_layers"])] for s in students]),
        rungs=RUNGS,
        left=left,
        running=running or {},
    )


def _asynchronous(
    students: list[Configuration], policy_of: Callable[[Trainings], Policy], *, left: int, workers: int
) -> list[list[Step]]:
    """Follow a policy with workers that end in a random order; returns what ran at once, decision by decision."""
    rng = np.random.default_rng(0)
    epochs, running, history = [0] * len(students), dict[int, int](), []
    while True:
        trainings = _trainings(students, epochs, left=left, running=running)
        steps = policy_of(trainings).next(trainings)[:1] if len(running) < workers else []
        for step in steps:
            assert step.student not in running
            left -= step.epochs - epochs[step.student]
            assert left >= 0
            running[step.student] = step.epochs
        if not steps:
            if not running:
                return history
            history.append([Step(student=student, epochs=rung) for student, rung in running.items()])
            ended = int(rng.choice(list(running)))
            epochs[ended] = running.pop(ended)


def test_random_trains_candidates_to_the_end_while_the_budget_lasts(students: list[Configuration]) -> None:
    epochs = [20, 0, 0, 0]
    steps = RandomPolicy().next(_trainings(students[:4], epochs, left=45, lost=(1,)))
    assert steps == [Step(student=2, epochs=20), Step(student=3, epochs=20)]
    assert RandomPolicy().next(_trainings(students[:4], epochs, left=19)) == []


def test_successive_halving_promotes_the_better_third_of_each_rung(students: list[Configuration]) -> None:
    """Followed to its end: 3.8 epochs a student that is begun, so 40 epochs begin ten."""
    epochs, left, asked = [0] * 24, 40, []
    while steps := SuccessiveHalving().next(_trainings(students, epochs, left=left)):
        asked.append(sorted(step.epochs for step in steps))
        for step in steps:
            left -= step.epochs - epochs[step.student]
            epochs[step.student] = step.epochs
    assert asked[0] == [1] * 10
    assert asked[1] == [4] * 4
    assert left >= 0
    assert 20 in epochs
    promoted = {index for index, done in enumerate(epochs) if done >= 4}
    better = {index for index in range(10) if students[index].values["learning_rate"] == 1e-3}
    assert promoted & better or not better


def test_halving_without_a_wait_keeps_workers_busy_and_promotes_the_better_ones(students: list[Configuration]) -> None:
    history = _asynchronous(students, lambda _: AsynchronousHalving(), left=90, workers=4)
    assert [len(running) for running in history[:12]] == [4] * 12
    asked = {(step.student, step.epochs) for running in history for step in running}
    begun = {student for student, rung in asked if rung == 1}
    promoted = {student for student, rung in asked if rung == 4}
    ended = {student for student, rung in asked if rung == 20}
    assert begun >= promoted >= ended
    assert len(begun) > 2 * len(promoted) > 2 * len(ended) > 0
    assert any({step.epochs for step in running} >= {1, 4} for running in history)  # nobody waits for a rung to be full


def test_rounds_without_a_wait_take_what_runs_for_what_is_expected_of_it(students: list[Configuration]) -> None:
    epochs = [20] * 6 + [1] * 8 + [0] * 10
    alone = _trainings(students, epochs, left=300)
    model = FinalModel.fit(alone, space=SPACE)
    first, second, third = RoundsPolicy(model, at_once=3).next(alone)
    running = {step.student: step.epochs for step in (first, second)}
    beside = _trainings(students, epochs, left=300, running=running)
    assert RoundsPolicy(model, at_once=1).next(beside) == [third]


def test_rounds_without_a_wait_train_two_to_the_end_for_the_indicator(students: list[Configuration]) -> None:
    nobody, one, two = ({}, {0: 20}, {0: 20, 1: 20})
    for running, asked in ((nobody, 1), (one, 1), (two, 0)):
        steps = _trainings(students[:8], [1] * 8, left=200, running=running).to_finish_of_each_family()
        assert len(steps) == asked
        assert not {step.student for step in steps} & set(running)


def test_a_lost_student_is_never_asked_for_again(students: list[Configuration]) -> None:
    for policy in (RandomPolicy(), SuccessiveHalving(), RoundsPolicy(None, at_once=4)):
        epochs = [1] * 6 if not isinstance(policy, RandomPolicy) else [0] * 6
        steps = policy.next(_trainings(students[:6], epochs, left=200, lost=(0, 1, 2)))
        assert {step.student for step in steps} <= {3, 4, 5}
        assert steps


def test_rounds_finish_what_a_model_needs_before_there_is_one(students: list[Configuration]) -> None:
    trainings = _trainings(students[:8], [1] * 8, left=200)
    assert FinalModel.fit(trainings, space=SPACE) is None
    (step,) = RoundsPolicy(None, at_once=4).next(trainings)
    assert step.epochs == 20
    gains = trainings.grid.gains(np.arange(8), trainings.best, trainings.grid.attained([], []))
    assert step.student == int(np.argmax(gains))
    (first,) = trainings.to_finish_of_each_family()
    assert first == step


def test_rounds_go_on_with_what_promises_most(students: list[Configuration]) -> None:
    """Of candidates that nobody has trained, those that the curves of others speak for."""
    begun = 14
    epochs = [20] * 6 + [1] * (begun - 6) + [0] * (24 - begun)
    trainings = _trainings(students, epochs, left=300)
    model = FinalModel.fit(trainings, space=SPACE)
    assert model is not None
    means, quantiles = model.predict(trainings)
    assert means[:6] == pytest.approx(trainings.best[:6])
    assert (np.diff(quantiles, axis=0) >= 0).all()
    steps = RoundsPolicy(model, at_once=3).next(trainings)
    assert len({step.student for step in steps}) == len(steps) == 3
    for step in steps:
        assert step.epochs == (1 if epochs[step.student] == 0 else 4)
    assert steps == RoundsPolicy(FinalModel.fit(trainings, space=SPACE), at_once=3).next(trainings)


def test_rounds_spend_no_more_than_the_budget(students: list[Configuration]) -> None:
    epochs, left = [1] * 12 + [0] * 12, 128
    for _ in range(200):
        trainings = _trainings(students, epochs, left=left)
        steps = RoundsPolicy(FinalModel.fit(trainings, space=SPACE), at_once=4).next(trainings)
        if not steps:
            break
        for step in steps:
            left -= step.epochs - epochs[step.student]
            epochs[step.student] = step.epochs
        assert left >= 0
    assert not steps
    assert sum(done == 20 for done in epochs) >= 4


@pytest.mark.parametrize("num_costs", [1, 2, 3])
def test_gains_are_those_of_the_hypervolume_but_for_the_cells(num_costs: int) -> None:
    rng = np.random.default_rng(0)
    costs, figures = rng.uniform(0.05, 1, size=(40, num_costs)), rng.uniform(0.5, 1, size=40)
    grid, reference = CostGrid(costs), np.asarray([-0.5, *[1.0001] * num_costs])
    shares = costs / costs.max(axis=0)
    values = np.column_stack([-figures, shares])
    attained = grid.attained(range(10), figures[:10])
    gains = grid.gains(np.arange(10, 40), figures[10:], attained)
    whole = hypervolume(values[:10], reference)
    exact = [hypervolume(values[[*range(10), one]], reference) - whole for one in range(10, 40)]
    assert np.abs(gains - exact).max() < 0.15 * max(exact)
    assert np.corrcoef(gains, exact)[0, 1] > 0.9
