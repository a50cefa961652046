"""Minutes that a study may take: their arithmetic against brute force, and that nobody spends more than there is."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import create_trial

from avatar_optuna.costs import TaskShape, flops
from avatar_optuna.exceptions import InputError
from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.indicator import LearningCurves
from avatar_optuna.schema import Job
from avatar_optuna.settings import SearchSettings, load_study_file
from avatar_optuna.space import SearchSpace
from avatar_optuna.storage import add_missing, open_storage
from avatar_optuna.students import Configuration
from avatar_optuna.study import (
    AsynchronousHalving,
    Pace,
    Policy,
    Prices,
    RandomPolicy,
    RoundsPolicy,
    Step,
    SuccessiveHalving,
    TimeBudget,
    Trainings,
    TrainingTime,
    create_study,
    seconds_at_work,
    training_times,
)
from tests.finished_study import write_study
from tests.pool_tests.executors import result

RUNGS = (1, 4, 20)
TASK = TaskShape(arity=2)
NOON = datetime(2026, 11, 29, 12)
PIECES = st.lists(st.tuples(st.integers(0, 120), st.integers(0, 30)), max_size=8)


@pytest.fixture(scope="module")
def students() -> list[Configuration]:
    feasibility = Feasibility(space=SearchSpace.paper(), constraints=["size_mb <= 3"], task_shape=TASK)
    return draw(feasibility, 12, seed=0, pool=500)


def _times(pieces: Sequence[tuple[int, int]]) -> list[tuple[datetime, datetime]]:
    """Of pieces of (begin, length) in seconds."""
    return [(NOON + timedelta(seconds=b), NOON + timedelta(seconds=b + length)) for b, length in pieces]


@given(pieces=PIECES, pause=st.integers(0, 15))
def test_seconds_at_work_are_those_that_somebody_works_and_short_pauses(
    pieces: list[tuple[int, int]], pause: int
) -> None:
    """Oracle: each second of the clock on its own."""
    busy = np.zeros(200, dtype=bool)
    for begin, length in pieces:
        busy[begin : begin + length] = True
    moments = sorted({moment for begin, length in pieces for moment in range(begin, begin + length + 1)})
    for before, after in itertools.pairwise(moments):
        if after - before <= pause:
            busy[before:after] = True
    assert seconds_at_work(_times(pieces), pause_s=pause) == busy.sum()


@given(pieces=PIECES, more=st.tuples(st.integers(0, 120), st.integers(0, 30)))
def test_what_is_used_never_becomes_less(pieces: list[tuple[int, int]], more: tuple[int, int]) -> None:
    before, after = seconds_at_work(_times(pieces)), seconds_at_work(_times([*pieces, more]))
    assert before <= after


def test_a_pace_is_exact_where_all_students_take_the_same_and_keeps_what_was_measured(
    students: list[Configuration],
) -> None:
    assert Pace.fit([], TASK) is None
    even = [TrainingTime(student=one, epochs=2, training_s=3.0, seconds=5.0) for one in students[:5]]
    pace = Pace.fit(even, TASK)
    assert pace is not None
    assert pace.epoch_s(students) == pytest.approx(1.5)
    assert pace.step_s == 2.0
    slow = TrainingTime(student=students[5], epochs=1, training_s=40.0, seconds=41.0)
    with_slow = Pace.fit([*even, slow], TASK)
    assert with_slow is not None
    assert with_slow.epoch_s(students)[:6].tolist() == pytest.approx([1.5] * 5 + [40.0])


def test_a_pace_goes_with_the_flops_where_the_times_do(students: list[Configuration]) -> None:
    """Oracle: times that are proportional to FLOPs; of a student that nobody timed, within a third of its own."""
    sizes = [float(flops(one, TASK)) for one in students]
    times = [
        TrainingTime(student=one, epochs=1, training_s=size / 1e7, seconds=size / 1e7)
        for one, size in zip(students, sizes, strict=True)
    ]
    pace = Pace.fit(times[:-1], TASK)
    assert pace is not None
    assert 0.5 < pace.power <= 1.0
    assert pace.epoch_s(students)[-1] == pytest.approx(sizes[-1] / 1e7, rel=0.33)


class _Clock:
    """Trainings that take exactly what their prices say, of a budget in seconds of one worker."""

    def __init__(self, students: list[Configuration], epoch_s: Sequence[float], *, step_s: float, left_s: float):
        self.students, self.epoch_s = students, np.asarray(epoch_s)
        self.step_s, self.left_s = step_s, left_s
        self.epochs = np.zeros(len(students), dtype=int)

    def trainings(self, workers: int = 1) -> Trainings:
        rng = np.random.default_rng(0)
        curves = np.sort(rng.uniform(0.5, 0.95, (len(self.students), 20)), axis=1)
        figures = np.where(np.arange(20) < self.epochs[:, None], curves, np.nan)
        is_measured = bool(self.epochs.any())
        prices = Prices(
            epoch=self.epoch_s if is_measured else np.ones(len(self.students)),
            step=self.step_s if is_measured else 0.0,
            left_s=self.left_s,
            workers=workers,
            is_measured=is_measured,
        )
        return Trainings(
            students=self.students,
            curves=LearningCurves(figures=figures, losses=1 - figures),
            is_lost=np.zeros(len(self.students), dtype=bool),
            costs=rng.uniform(1, 2, (len(self.students), 2)),
            rungs=RUNGS,
            left=self.left_s * workers,
            prices=prices,
        )

    def do(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.left_s -= self.step_s + (step.epochs - self.epochs[step.student]) * self.epoch_s[step.student]
            self.epochs[step.student] = step.epochs


@pytest.mark.parametrize("policy", [RandomPolicy(), SuccessiveHalving(), RoundsPolicy(None, at_once=2)])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_policy_spends_more_time_than_there_is(
    students: list[Configuration], policy: Policy, data: st.DataObject
) -> None:
    """Times are drawn, those between trainings too; only the first training, whose time nobody knows yet, may take more
    than is left."""
    idle_s = data.draw(st.sampled_from([0.0, 3.0]))
    epoch_s = data.draw(st.lists(st.floats(0.1, 10), min_size=12, max_size=12))
    clock = _Clock(students, epoch_s, step_s=data.draw(st.floats(0, 5)), left_s=data.draw(st.floats(20, 2000)))
    if isinstance(policy, RoundsPolicy):
        clock.do(clock.trainings().openings(least=4))
        can_end = clock.trainings().prices_to_end[0] <= clock.left_s
        while steps := clock.trainings().openings(least=4):
            clock.do(steps)
    while steps := policy.next(clock.trainings()):
        clock.do(steps)
        assert clock.left_s >= -1e-6
        clock.left_s = max(0.0, clock.left_s - idle_s)
    assert clock.trainings().to_finish() == []  # nothing that was begun and could be ended was left
    if isinstance(policy, RoundsPolicy) and can_end:
        assert (clock.epochs == 20).any()


@pytest.mark.parametrize(
    "policy", [RandomPolicy(), SuccessiveHalving(), AsynchronousHalving(), RoundsPolicy(None, at_once=2)]
)
def test_nothing_begins_once_the_time_is_used(students: list[Configuration], policy: Policy) -> None:
    """Also where the first training took a hundred times what the others would, and all that was left went by idle."""
    clock = _Clock(students, [100.0] + [1.0] * 11, step_s=0.0, left_s=100.0)
    clock.do([Step(student=0, epochs=RUNGS[0])])
    clock.left_s = 0.0
    assert policy.next(clock.trainings()) == []


def test_first_rungs_take_a_quarter_of_the_time_once_one_is_measured(students: list[Configuration]) -> None:
    """By hand: 3 s each of 96 s, so eight; where ten are needed at least, ten. Of 48 s, 39 s are kept to end one."""
    for left_s, least, begun in ((96, 0, 8), (96, 10, 10), (48, 6, 3)):
        clock, sizes = _Clock(students, [2.0] * 12, step_s=1.0, left_s=left_s), []
        while steps := clock.trainings().openings(least=least):
            sizes.append(len(steps))
            clock.do(steps)
        assert sizes[0] == 1
        assert (clock.epochs == 1).sum() == begun
        clock.epochs[0] = 4
        assert clock.trainings().openings(least=12) == []


@pytest.mark.parametrize(("step_s", "rungs"), [(1.5, [1, 4]), (1.7, [20, 4]), (1.8, [20, 20])])
def test_nobody_stops_where_to_begin_anew_takes_more_than_a_tenth_of_what_follows(
    students: list[Configuration], step_s: float, rungs: list[int]
) -> None:
    """By hand: of epochs of a second, 19 follow the first rung and 16 the second; of those of 1.1 s, 17.6 s."""
    clock = _Clock(students, [0.8, 1.1] + [1.0] * 10, step_s=step_s, left_s=1000.0)
    assert clock.trainings().next_rung(0) == 1  # nothing is measured
    clock.epochs[1] = 1
    trainings = clock.trainings()
    assert [trainings.next_rung(student) for student in (0, 1)] == rungs
    assert {step.epochs for step in trainings.openings(least=2)} <= {1, 20}


def test_as_many_are_queued_as_begin_at_once_or_take_a_quarter_of_what_is_left(students: list[Configuration]) -> None:
    clock = _Clock(students, [1.0] * 12, step_s=0.0, left_s=40.0)
    steps = [Step(student=one, epochs=4) for one in range(12)]
    assert len(clock.trainings(workers=3).ahead(steps)) == 3  # nothing is measured
    clock.epochs[11] = 1
    assert len(clock.trainings().ahead(steps)) == 2  # 8 s of 40 s
    assert len(clock.trainings(workers=8).ahead(steps)) == 12  # 45 s of 320 s of eight workers


def test_one_training_takes_no_longer_than_is_left_on_the_clock(students: list[Configuration]) -> None:
    """Eight workers have 80 seconds in the next ten, and no training has more than ten of them."""
    clock = _Clock(students, [1.0] * 12, step_s=0.0, left_s=10.0)
    clock.epochs[:2] = 1
    trainings = clock.trainings(workers=8)
    assert trainings.affordable([Step(student=0, epochs=20), Step(student=1, epochs=4)]) == [Step(student=1, epochs=4)]
    assert trainings.to_finish() == []


def test_a_budget_makes_rounds_the_policy_and_refuses_the_paper_s() -> None:
    assert SearchSettings().policy == "paper"
    assert SearchSettings(budget_minutes=5).policy == "rounds"
    assert SearchSettings(budget_minutes=5, policy="random").policy == "random"
    with pytest.raises(InputError, match="policy must be one of random, successive_halving, rounds where"):
        SearchSettings(budget_minutes=5, policy="paper")
    for minutes in (0, -1, float("inf"), True, "5"):
        with pytest.raises(InputError, match=r"budget_minutes must be a number from 0\.01"):
            SearchSettings(budget_minutes=minutes)  # type: ignore[arg-type]


def test_what_a_stored_study_has_used(tmp_path: Path) -> None:
    """A job of 40 s, one of 30 s that overlaps it by 10 s, and a pause of a day."""
    write_study(tmp_path)
    file = tmp_path / "study.toml"
    file.write_text(file.read_text().replace("[search]\n", "[search]\nbudget_minutes = 2\n"))
    study = create_study(load_study_file(file), open_storage(f"sqlite:///{tmp_path}/s.db"))
    space, used = study.settings.space, []
    assert isinstance(space, SearchSpace)
    feasibility = Feasibility(space=space, constraints=[], task_shape=TASK)
    for index, (begin, length) in enumerate(((0, 40), (30, 30), (86_400, 5))):
        student = draw(feasibility, 3, seed=0, pool=50)[index]
        job = Job(key=f"rung/1/{index}", purpose="indicator", hyperparameters=student, epochs=1)
        (begun, ended), values = _times([(begin, length)])[0], space.params(student)
        history = [{"epoch": 1, "seconds": length - 20}] if length > 20 else []
        finished = dataclasses.replace(result(history, seconds=length - 2), loading_seconds=15.0 if history else 0.0)
        trial = create_trial(
            values=finished.values(),
            params=values,
            distributions={name: space.distributions[name] for name in values},
            user_attrs=job.attributes() | finished.attributes(),
        )
        trial.datetime_start, trial.datetime_complete = begun, ended
        add_missing(study.storage, study.distilled.study_name, [trial], key="key")
        budget = TimeBudget.of(study.storage, study.settings)
        assert budget is not None
        used.append(budget.used_s)
    assert used == [40, 60, 65]
    times = [(one.epochs, one.training_s, one.seconds) for one in training_times(study.distilled.get_trials())]
    assert times == [(1, 20, 23), (1, 10, 13), (0, 0, 3)]
    assert budget is not None
    assert budget.left_s == 55
    assert budget.left_of_share_s(0.5) == 0
    assert str(budget) == "1.1 of 2 minutes used, 0.9 left"
