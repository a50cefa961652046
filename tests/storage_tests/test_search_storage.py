"""The storage of a running search: Optuna's own contract, landings, the timer, trials of other processes."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna.testing.pytest_storages import StorageTestCase
from optuna.trial import TrialState
from sqlalchemy import Connection, event

from avatar_optuna.storage import SearchStorage, Storage, open_storage
from tests.storage_tests.studies import DISTRIBUTIONS, complete, new_study, waiting, write


class TestOptunaContract(StorageTestCase):
    @pytest.fixture
    def storage(self, sqlite_url: str) -> Iterator[BaseStorage]:
        with SearchStorage(open_storage(sqlite_url)) as storage:
            yield storage

    def test_pickle_storage(self, storage: BaseStorage) -> None:
        """It belongs to one process: pickling it is refused, so that no copy can store trials a second time."""
        with pytest.raises(TypeError, match="cannot pickle"):
            pickle.dumps(storage)


def _stored(storage: Storage) -> list[tuple[int, TrialState, list[float] | None]]:
    study_id = storage.get_study_id_from_name("s")
    return [(t.number, t.state, t.values) for t in storage.get_all_trials(study_id)]


def _tell(study: optuna.Study, value: float) -> None:
    trial = study.ask(DISTRIBUTIONS)
    trial.set_user_attr("value", value)
    study.tell(trial, [value, 1, 2])


def test_trials_land_together_in_one_transaction(storage_url: str) -> None:
    database = open_storage(storage_url)
    new_study(database)
    commits: list[Connection] = []
    with SearchStorage(database, max_delay_s=600) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        study.get_trials()
        event.listen(database.engine, "commit", commits.append)
        for value in range(5):
            _tell(study, value)
        assert commits == []
        storage.land()
        assert len(commits) == 1
        _tell(study, 5)
        in_memory = study.trials
        assert len(_stored(database)) == 5
    read = optuna.load_study(study_name="s", storage=open_storage(storage_url)).trials
    assert [(t.number, t.params, t.values, t.user_attrs) for t in read] == [
        (t.number, t.params, t.values, t.user_attrs) for t in in_memory
    ]
    for trial, before in zip(read, in_memory, strict=True):
        assert (trial.datetime_start, trial.datetime_complete) == (before.datetime_start, before.datetime_complete)


def test_a_finished_trial_lands_by_itself_while_the_next_one_runs(storage_url: str) -> None:
    database = open_storage(storage_url)
    new_study(database)
    with SearchStorage(database, max_delay_s=0.05) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        _tell(study, 1)
        running = study.ask(DISTRIBUTIONS)
        deadline = time.monotonic() + 30
        while not _stored(database) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _stored(database) == [(0, TrialState.COMPLETE, [1.0, 1.0, 2.0])]
        study.tell(running, [2, 1, 2])
    assert [number for number, _, _ in _stored(database)] == [0, 1]


def test_after_an_error_nothing_more_is_stored(storage_url: str) -> None:
    database = open_storage(storage_url)
    new_study(database)

    def broken_search() -> None:
        with SearchStorage(database, max_delay_s=0.2) as storage:
            _tell(optuna.load_study(study_name="s", storage=storage), 1)
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        broken_search()
    time.sleep(0.5)
    assert _stored(database) == []


def test_an_error_of_the_timer_is_raised_by_the_next_landing(storage_url: str) -> None:
    database = open_storage(storage_url)
    study_id = new_study(database)._study_id

    def search_what_is_deleted() -> None:
        with SearchStorage(database, max_delay_s=0.05) as storage:
            _tell(optuna.load_study(study_name="s", storage=storage), 1)
            database.delete_study(study_id)
            time.sleep(0.5)
            storage.land()

    with pytest.raises(Exception, match="the study has been deleted"):
        search_what_is_deleted()


def test_failed_trials_are_not_stored(storage_url: str) -> None:
    database = open_storage(storage_url)
    new_study(database)
    with SearchStorage(database) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        for value in range(4):
            trial = study.ask(DISTRIBUTIONS)
            if value % 2:
                study.tell(trial, state=TrialState.FAIL)
            else:
                study.tell(trial, [value, 1, 2])
        storage.land()
        assert [trial.number for trial in study.trials] == [0, 1]
    assert _stored(database) == [(0, TrialState.COMPLETE, [0, 1, 2]), (1, TrialState.COMPLETE, [2, 1, 2])]


def test_trials_of_another_process_come_first_and_numbers_have_no_gap(storage_url: str) -> None:
    database, other = open_storage(storage_url), open_storage(storage_url)
    new_study(database)
    with SearchStorage(database) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        _tell(study, 1)
        write(other, "s", [complete(40), complete(48)])
        running = study.ask(DISTRIBUTIONS)
        storage.land()
        assert [t.number for t in study.trials] == [0, 1, 2, 3]
        assert [t.params["width"] for t in study.trials[:2]] == [40, 48]
        study.tell(running, [2, 1, 2])
        write(other, "s", [complete(56)])
    values = [trial[2] for trial in _stored(other)]
    assert [number for number, _, _ in _stored(other)] == [0, 1, 2, 3, 4]
    assert [v[0] for v in values if v] == [0.5, 0.5, 1, 0.5, 2]


def test_a_queued_trial_is_taken_from_the_database(storage_url: str) -> None:
    database = open_storage(storage_url)
    new_study(database)
    write(database, "s", [complete(40), waiting("a", width=48)])
    with SearchStorage(database) as storage:
        study = optuna.load_study(study_name="s", storage=storage)
        trial = study.ask(DISTRIBUTIONS)
        assert (trial.number, trial.params["width"]) == (1, 48)
        assert _stored(database)[1][1] is TrialState.RUNNING
        study.tell(trial, [3, 1, 2])
        _tell(study, 4)
        assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 3
    assert [v for _, _, v in _stored(database)] == [[0.5, 40, 1e9], [3, 1, 2], [4, 1, 2]]
