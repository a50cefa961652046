"""The search on real databases: stored whole, resumed exactly, one searcher at a time, open to plain Optuna."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.configurations import ConfigurationTable
from avatar_optuna.costs import TaskShape
from avatar_optuna.exceptions import InputError, StudyBusyError, StudyError
from avatar_optuna.feasibility import Feasibility, Verdict, draw
from avatar_optuna.indicator import Indicator
from avatar_optuna.objective import Objective
from avatar_optuna.sampler import FeasibleNSGAIISampler
from avatar_optuna.schema import GENERATION, INFEASIBLE, ROUND, distilled_name
from avatar_optuna.settings import StudySettings, load_study_file
from avatar_optuna.storage import SearchStorage, open_storage, search_lock
from avatar_optuna.study import (
    AvatarStudy,
    choose_students,
    create_study,
    pareto_indices,
    search,
    searched,
    starting_students,
)

pytestmark = pytest.mark.long

STUDY = """
name = "clones"
[task]
kind = "python-clones"
[teacher]
soft_labels = "labels"
[constraints]
size_mb = "<= 3"
[search]
n_trials = 60
population_size = 20
"""


def make_settings(folder: Path, *changes: tuple[str, str]) -> StudySettings:
    """The study above, as a file gives it."""
    text = STUDY
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path = folder / "study.toml"
    path.write_text(text)
    return load_study_file(path)


def make_objective(settings: StudySettings) -> tuple[Objective, Feasibility]:
    """An objective whose indicator was fitted on a known response."""
    feasibility = Feasibility(space=settings.space, constraints=settings.constraints, task_shape=TaskShape(arity=2))
    students = draw(feasibility, 12, seed=0, pool=500)
    columns = ConfigurationTable.from_students(students)
    effectiveness = 0.5 + 0.4 * (1 - np.exp(-columns.hidden_size / 40)) * (columns.learning_rate > 5e-5)
    indicator = Indicator.fit(students, effectiveness.tolist(), space=settings.space)
    objective = Objective(
        space=settings.space,
        task_shape=TaskShape(arity=2),
        objectives=settings.search.objectives,
        feasibility=feasibility,
        indicator=indicator,
    )
    return objective, feasibility


def run_search(url: str, settings: StudySettings) -> AvatarStudy:
    """Open or make the study and search it."""
    study = create_study(settings, open_storage(url), artifacts="nowhere")
    search(study, *make_objective(settings))
    return study


def stored(study: AvatarStudy) -> list[Any]:
    """What must be equal bit for bit, however often the search was stopped."""
    return [(t.number, t.state, t.params, t.values, t.user_attrs) for t in study.search.get_trials(deepcopy=False)]


def test_a_search_is_read_by_plain_optuna_and_finds_a_front(storage_url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    study = run_search(storage_url, settings)
    plain = optuna.load_study(study_name="clones", storage=open_storage(storage_url))
    assert plain.metric_names == ["predicted_effectiveness", "size_bytes", "flops"]
    assert [t.state for t in plain.trials] == [TrialState.COMPLETE] * 60
    assert {t.user_attrs[GENERATION] for t in plain.trials} == {0, 1, 2}
    assert {t.user_attrs[ROUND] for t in plain.trials} == {0}
    found = searched(study, round_=0)
    front = {int(found.numbers[index]) for index in pareto_indices(found, settings.search.objectives)}
    assert front == {trial.number for trial in plain.best_trials}
    assert found.seconds > 0


def test_more_trials_go_on_where_fewer_ended(storage_url: str, tmp_path: Path) -> None:
    short = make_settings(tmp_path, ("n_trials = 60", "n_trials = 40"))
    before = stored(run_search(storage_url, short))
    after = stored(run_search(storage_url, make_settings(tmp_path)))
    assert len(before) == 40
    assert after[:40] == before
    assert len(after) == 60


SEARCHER = """
import os, signal, sys, time
from pathlib import Path
from tests.study_tests.test_search import make_settings, run_search
settings = make_settings(Path(sys.argv[2]), ("n_trials = 60", "n_trials = 1000"))
for line in sys.stdin:  # a line is an order: search in a process of your own, and kill it after so many seconds
    process = os.fork()
    if not process:
        run_search(sys.argv[1], settings)
        os._exit(0)
    time.sleep(float(line))
    os.kill(process, signal.SIGKILL)  # not waited for yet, so there is a process even if it has ended
    _, status = os.waitpid(process, 0)
    print("killed" if os.WIFSIGNALED(status) else "ended", flush=True)
"""


@pytest.mark.parametrize("num_kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_a_search_killed_at_random_moments_ends_with_the_same_trials(
    num_kills: int, storage_url: str, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    settings = make_settings(tmp_path, ("n_trials = 60", "n_trials = 1000"))
    begun = time.monotonic()
    whole = stored(run_search(f"sqlite:///{tmp_path_factory.mktemp('whole')}/studies.db", settings))
    seconds = time.monotonic() - begun
    storage = open_storage(storage_url)
    moments = np.random.default_rng(0).uniform(0, min(seconds, 2.0), size=num_kills)
    command = [sys.executable, "-c", SEARCHER, storage_url, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as searcher:
        assert searcher.stdin is not None
        assert searcher.stdout is not None
        for moment in moments:
            study = create_study(settings, storage, artifacts="nowhere")
            print(moment, file=searcher.stdin, flush=True)
            assert searcher.stdout.readline() in ("killed\n", "ended\n")
            now = stored(study)
            assert now == whole[: len(now)]
            if len(now) == len(whole):  # begin another, so that every kill meets a search that has trials to draw
                for name in (study.name, distilled_name(study.name)):
                    optuna.delete_study(study_name=name, storage=storage)
        searcher.stdin.close()
    assert stored(run_search(storage_url, settings)) == whole


def test_an_interrupt_while_a_trial_is_told_is_an_interrupt(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Optuna's own cleanup then fails with an UnboundLocalError."""
    settings, start_timer, told = make_settings(tmp_path), SearchStorage._start_timer, itertools.count()

    def interrupted(storage: SearchStorage) -> None:
        if next(told) == 25:
            signal.raise_signal(signal.SIGINT)
        start_timer(storage)

    monkeypatch.setattr(SearchStorage, "_start_timer", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background processes ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            run_search(storage_url, settings)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(run_search(storage_url, settings).search.trials) == 60


def test_a_second_searcher_is_told_and_leaves_nothing(storage_url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    study = create_study(settings, open_storage(storage_url), artifacts="nowhere")
    with search_lock(study.storage, study.name), pytest.raises(StudyBusyError):
        run_search(storage_url, settings)
    assert stored(study) == []


def test_a_disagreement_of_sampler_and_judge_stops_the_search(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path)
    study = create_study(settings, open_storage(storage_url), artifacts="nowhere")
    objective, feasibility = make_objective(settings)
    monkeypatch.setattr(feasibility, "check", lambda values: Verdict(feasible=False, violated={"x": 1.0}, reason="so"))
    with pytest.raises(StudyError, match="drawn as feasible is not, says Z3"):
        search(study, objective, feasibility)
    assert stored(study) == []


def test_a_plain_optuna_study_uses_the_objective_too(tmp_path: Path) -> None:
    objective, _ = make_objective(make_settings(tmp_path))
    study = optuna.create_study(
        directions=["maximize", "minimize", "minimize"], sampler=optuna.samplers.RandomSampler(seed=0)
    )
    study.optimize(objective, n_trials=5)
    pruned = [t for t in study.trials if t.state is TrialState.PRUNED]
    assert pruned
    for trial in pruned:
        broken = {name for name, excess in trial.constraints.items() if excess > 0}
        assert broken
        assert any(f"{name} is broken" in trial.user_attrs[INFEASIBLE] for name in broken)
        assert json.dumps(trial.system_attrs)


def test_queued_trials_are_scored_or_pruned_beside_the_search(storage_url: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    study = create_study(settings, open_storage(storage_url), artifacts="nowhere")
    objective, feasibility = make_objective(settings)
    (feasible,) = draw(feasibility, 1, seed=5)
    study.search.enqueue_trial(feasible.to_dict())
    study.search.enqueue_trial({**feasible.to_dict(), "hidden_size": 768, "num_attention_heads": 1})
    result = search(study, objective, feasibility)
    queued, rest = study.search.trials[:2], study.search.trials[2:]
    assert [t.state for t in queued] == [TrialState.COMPLETE, TrialState.PRUNED]
    assert queued[1].constraints["size_mb <= 3"] > 0
    assert "size_mb <= 3 is broken" in queued[1].user_attrs[INFEASIBLE]
    assert [t.number for t in rest] == result.numbers.tolist() == list(range(2, 62))
    alone = stored(run_search(f"sqlite:///{tmp_path}/alone.db", settings))
    assert [(t.params, t.values, t.user_attrs) for t in rest] == [entry[2:] for entry in alone]


class LyingSampler(FeasibleNSGAIISampler):
    """Proposes a width that its heads do not divide, once in a while."""

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        """The proposal, with another width in the 31st trial."""
        values = super().sample_relative(study, trial, search_space)
        return values | {"hidden_size": 761, "num_attention_heads": 7} if trial.number == 30 else values


def test_a_sampler_whose_proposal_is_infeasible_stops_the_search(
    storage_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = make_settings(tmp_path)
    study = create_study(settings, open_storage(storage_url), artifacts="nowhere")
    with monkeypatch.context() as patch:
        patch.setattr("avatar_optuna.study._search.FeasibleNSGAIISampler", LyingSampler)
        with pytest.raises(StudyError, match=r"drawn as feasible is not, says Z3: .*'hidden_size': 761"):
            search(study, *make_objective(settings))
    whole = stored(run_search(f"sqlite:///{tmp_path}/whole.db", settings))
    assert stored(study) == whole[:20]
    search(study, *make_objective(settings))
    assert stored(study) == whole


def test_trials_of_the_loop_before_optunas_are_continued(storage_url: str, tmp_path: Path) -> None:
    """Earlier versions stored whole generations, each trial spanning the time of its generation."""
    settings = make_settings(tmp_path)
    study = create_study(settings, open_storage(storage_url), artifacts="nowhere")
    whole = run_search(f"sqlite:///{tmp_path}/whole.db", settings)
    begun = datetime(2026, 11, 1, 12)
    for trial in whole.search.trials[:40]:
        generation = trial.user_attrs[GENERATION]
        trial.datetime_start = begun + timedelta(seconds=10 * generation)
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=2)
        study.search.add_trial(trial)
    assert searched(study, round_=0).seconds == 4
    search(study, *make_objective(settings))
    assert stored(study) == stored(whole)


def test_a_later_round_begins_with_a_part_of_the_front_of_the_one_before(storage_url: str, tmp_path: Path) -> None:
    """A front may be most of what a round scored: with all of it the next one would find little else."""
    settings = make_settings(tmp_path)
    study = run_search(storage_url, settings)
    assert starting_students(study, 0) == []
    first = searched(study, round_=0)
    front = {first.students[index] for index in pareto_indices(first, settings.search.objectives)}
    start = starting_students(study, 1)
    assert len(start) == min(10, len(front))
    assert set(start) <= front
    objective, feasibility = make_objective(settings)
    second = search(study, objective, feasibility, round_=1, initial=start)
    assert list(second.students[: len(start)]) == start
    assert second.numbers.tolist() == list(range(60, 120))
    assert len(set(second.students)) == 60
    assert len(set(second.students) & front) < len(front)


def test_students_that_are_named_are_not_chosen_again(tmp_path: Path) -> None:
    """The others of the front are, in the order that they had: what a search after them proposes."""
    settings = make_settings(tmp_path)
    objective, feasibility = make_objective(settings)
    study = create_study(settings, open_storage(f"sqlite:///{tmp_path}/studies.db"), artifacts=str(tmp_path))
    scored = search(study, objective, feasibility)
    objectives = settings.search.searched_objectives
    front = choose_students(scored, objectives, len(scored))
    assert len(front) >= 4
    begun = {scored.students[index] for index in front[:2]}
    assert choose_students(scored, objectives, len(scored), without=begun) == front[2:]
    assert len(choose_students(scored, objectives, 2, without=begun)) == 2
    assert choose_students(scored, objectives, 2, without={scored.students[index] for index in front}) == []


def test_a_space_of_few_configurations_is_searched_to_the_last(storage_url: str, tmp_path: Path) -> None:
    """Without a trial too many, also when the search is begun again."""
    values = {"tokenizer": "BPE", "hidden_act": "gelu", "position_embedding_type": "absolute", "learning_rate": 1e-3}
    space = "".join(f"{name} = [{value!r}]\n" for name, value in values.items())
    space += "".join(
        f"{name} = [{value}]\n"
        for name, value in {
            "vocab_size": 1000, "num_hidden_layers": 1, "hidden_size": "16, 32, 48", "intermediate_size": 32,
            "num_attention_heads": "1, 3", "max_sequence_length": 256, "batch_size": 16,
            "hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2,
        }.items()
    )  # fmt: skip
    settings = make_settings(tmp_path, ("[constraints]", f"[space]\n{space}[constraints]"))
    study = create_study(settings, open_storage(storage_url), artifacts="nowhere")
    objective, _ = make_objective(make_settings(tmp_path))
    small = Feasibility(space=settings.space, constraints=settings.constraints, task_shape=TaskShape(arity=2))
    judged = Objective(
        space=settings.space,
        task_shape=TaskShape(arity=2),
        objectives=settings.search.objectives,
        feasibility=small,
        indicator=objective.indicator,
    )
    for _ in range(2):
        assert len(search(study, judged, small)) == 4  # one head at three widths, three at 48
        assert len(stored(study)) == 4


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("<= 3", "<= 2", "constraints was"),
        ("n_trials = 60", "n_trials = 40", "may grow, not shrink"),
        ("population_size = 20", "population_size = 10", "search.population_size was 20 and is now 10"),
    ],
)
def test_other_settings_under_the_same_name_are_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/studies.db")
    create_study(make_settings(tmp_path), storage, artifacts="nowhere")
    with pytest.raises(InputError, match=message):
        create_study(make_settings(tmp_path, (before, after)), storage, artifacts="nowhere")


def test_a_study_of_another_program_is_refused(tmp_path: Path) -> None:
    storage = open_storage(f"sqlite:///{tmp_path}/studies.db")
    optuna.create_study(study_name="plain", storage=storage)
    with pytest.raises(InputError, match="made by another program"):
        AvatarStudy(storage, "plain")
    with pytest.raises(InputError, match="it holds: plain"):
        AvatarStudy(storage, "absent")


def test_a_search_stores_its_trials_and_no_more(tmp_path: Path, sqlite_url: str) -> None:
    changes = (("n_trials = 60", "n_trials = 45"), ("population_size = 20", "population_size = 40"))
    settings = make_settings(tmp_path, *changes)
    study = create_study(settings, open_storage(sqlite_url), artifacts="a")
    assert len(search(study, *make_objective(settings))) == 45
    assert len(study.search.get_trials(deepcopy=False)) == 45


def test_other_artifacts_than_those_of_the_study_are_refused(tmp_path: Path, sqlite_url: str) -> None:
    settings = make_settings(tmp_path)
    known = create_study(settings, open_storage(sqlite_url), artifacts=str(tmp_path / "a")).artifacts
    assert create_study(settings, open_storage(sqlite_url)).artifacts == known
    assert create_study(settings, open_storage(sqlite_url), artifacts=known).artifacts == known
    with pytest.raises(InputError, match=r"--artifacts must be those of the study 'clones', .*a, got elsewhere"):
        create_study(settings, open_storage(sqlite_url), artifacts="elsewhere")
