"""Trials inserted in one transaction; the oracle is `study.add_trial` read by plain Optuna."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, create_trial

from avatar_optuna.exceptions import InputError
from avatar_optuna.storage import add_missing, open_storage
from tests.storage_tests.studies import complete, new_study, pruned, waiting, write


def _comparable(trial: FrozenTrial) -> dict[str, Any]:
    return {key: value for key, value in vars(trial).items() if key != "_trial_id"}


def test_what_is_stored_equals_what_add_trial_stores(storage_url: str) -> None:
    storage = open_storage(storage_url)
    trials = [
        complete(24),
        pruned(),
        complete(40, values=[float("inf"), float("-inf"), 1e-300]),
        complete(48, user_attrs={"a": None, "b": [1, 2.5, "\t\\N\n"], "c": {"d": True}}, system_attrs={"e": "ü"}),
        create_trial(state=optuna.trial.TrialState.FAIL, intermediate_values={0: 0.5, 3: float("nan")}),
        create_trial(state=optuna.trial.TrialState.RUNNING),
        waiting("front/0/1"),
    ]
    ours, theirs = new_study(storage, "ours"), new_study(storage, "theirs")
    assert write(storage, "ours", trials) == list(range(7))
    theirs.add_trials(trials)
    read = {
        name: optuna.load_study(study_name=name, storage=optuna.storages.RDBStorage(storage_url)).trials
        for name in (ours.study_name, theirs.study_name)
    }
    for ours_, theirs_ in zip(read["ours"], read["theirs"], strict=True):
        if 3 in ours_.intermediate_values:  # not a number equals nothing
            assert repr(ours_.intermediate_values) == repr(theirs_.intermediate_values)
            ours_.intermediate_values = theirs_.intermediate_values = {}
        assert _comparable(ours_) == _comparable(theirs_)
        assert ours_.constraints == theirs_.constraints
    assert [list(t.params) for t in read["ours"]] == [list(t.params) for t in read["theirs"]]


def test_numbers_are_contiguous_beside_plain_optuna(storage_url: str) -> None:
    storage = open_storage(storage_url)
    study = new_study(storage)
    code = (
        "import optuna, sys; optuna.logging.disable_default_handler();"
        "study = optuna.load_study(study_name='s', storage=sys.argv[1]);"
        "[study.tell(study.ask({'x': optuna.distributions.FloatDistribution(0, 1)}), [0, 0, 0]) for _ in range(40)]"
    )
    plain = subprocess.Popen([sys.executable, "-c", code, storage_url], stderr=subprocess.PIPE, text=True)
    numbers: list[int] = []
    while plain.poll() is None or len(numbers) < 50:
        numbers += write(storage, "s", [complete(16 + 8 * index) for index in range(10)])
        time.sleep(0.02)  # a searcher thinks between generations; SQLite's queue is not fair
    assert plain.returncode == 0, plain.communicate()[1]
    assert [t.number for t in study.trials] == list(range(len(numbers) + 40))
    assert [t.number for t in study.trials if "width" in t.params] == numbers


def test_two_writers_share_a_study(storage_url: str) -> None:
    study = new_study(open_storage(storage_url))

    def write_many() -> None:
        storage = open_storage(storage_url)
        for _ in range(10):
            write(storage, "s", [complete()] * 5)

    threads = [threading.Thread(target=write_many) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [t.number for t in study.trials] == list(range(100))


def test_refused_trials_leave_nothing(storage_url: str) -> None:
    storage = open_storage(storage_url)
    study = new_study(storage)
    write(storage, "s", [complete()])
    with pytest.raises(InputError, match="one value for each of 3 directions"):
        write(storage, "s", [complete(), complete(values=[1.0])])
    other = {"tokenizer": CategoricalDistribution(("BPE",))}
    with pytest.raises(InputError, match="tokenizer must keep"):
        write(storage, "s", [create_trial(params={"tokenizer": "BPE"}, distributions=other, values=[0, 0, 0])])
    mixed = [create_trial(params={"a": 1}, distributions={"a": d}, values=[0, 0, 0]) for d in _mixed()]
    with pytest.raises(InputError, match="a must keep"):
        write(storage, "s", mixed)
    with pytest.raises(TypeError):  # not JSON: fails in the middle
        write(storage, "s", [complete(), complete(user_attrs={"a": object()})])
    assert len(study.trials) == 1
    assert write(storage, "s", []) == []


def _mixed() -> list[Any]:
    return [FloatDistribution(0, 1), CategoricalDistribution((1, 2))]


def test_an_unknown_study_is_refused(storage_url: str) -> None:
    with pytest.raises(InputError, match="'none' is not in"):
        add_missing(open_storage(storage_url), "none", [waiting("a")], key="key")


def test_jobs_are_added_once(storage_url: str) -> None:
    study = new_study(open_storage(storage_url))
    jobs = [waiting(f"front/0/{index}") for index in range(50)]
    added = []

    def add() -> None:
        added.append(add_missing(open_storage(storage_url), "s", [*jobs, jobs[0]], key="key"))

    threads = [threading.Thread(target=add) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(added) == [0, 50]
    assert [t.user_attrs["key"] for t in study.trials] == [t.user_attrs["key"] for t in jobs]


def test_optunas_own_queue_takes_our_jobs(storage_url: str) -> None:
    study = new_study(open_storage(storage_url))
    add_missing(open_storage(storage_url), "s", [waiting("a", width=40)], key="key")
    plain = optuna.load_study(study_name="s", storage=storage_url)
    trial = plain.ask()
    assert (trial.number, trial.suggest_int("width", 16, 768, step=8)) == (0, 40)
    plain.tell(trial, [0.5, 1, 1])
    assert study.trials[0].params["width"] == 40
