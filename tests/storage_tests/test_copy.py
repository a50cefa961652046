"""A study moved between databases; the oracle is equality of everything but ids."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage
from optuna_dashboard import get_note, save_note

from avatar_optuna.exceptions import InputError, StudyBusyError
from avatar_optuna.storage import (
    JobQueue,
    RunRegistry,
    WorkerRegistry,
    add_missing,
    copy_study,
    open_storage,
    search_lock,
)
from tests.storage_tests.studies import complete, new_study, pruned, waiting


@pytest.fixture(params=["to postgres", "to sqlite"])
def storages(request: pytest.FixtureRequest, sqlite_url: str, postgres_url: str) -> tuple[BaseStorage, BaseStorage]:
    urls = (sqlite_url, postgres_url) if request.param == "to postgres" else (postgres_url, sqlite_url)
    source, target = open_storage(urls[0]), open_storage(urls[1])
    search = new_study(source)
    search.set_user_attr("avatar:settings", {"seed": 0, "x": [1.5, None]})
    search.set_metric_names(["a", "b", "c"])
    search.add_trials([complete(), pruned(), complete(32, values=[float("inf"), 1e-300, 0.1])])
    source.set_study_system_attr(search._study_id, "NSGAIISampler:parent:3", [1, 2])
    new_study(target, "occupies ids").add_trials([complete()] * 3)
    new_study(source, "s/distilled")
    add_missing(source, "s/distilled", [waiting("a"), waiting("b"), waiting("c")], key="key")
    return source, target


def _contents(storage: BaseStorage, name: str) -> tuple[Any, ...]:
    study = optuna.load_study(study_name=name, storage=storage)
    trials = [{k: v for k, v in vars(trial).items() if k != "_trial_id"} for trial in study.trials]
    return study.directions, study.metric_names, study.user_attrs, trials


def test_a_copy_equals_its_source(storages: tuple[BaseStorage, BaseStorage]) -> None:
    source, target = storages
    noted = optuna.load_study(study_name="s", storage=source).trials[1]
    save_note(optuna.Trial(optuna.load_study(study_name="s", storage=source), noted._trial_id), "a note")
    assert copy_study(source=source, target=target, study_name="s") == {"s": 3, "s/distilled": 3}
    assert _contents(target, "s") == _contents(source, "s")
    assert _contents(target, "s/distilled") == _contents(source, "s/distilled")
    system = target.get_study_system_attrs(target.get_study_id_from_name("s"))
    assert "NSGAIISampler:parent:3" not in system
    copied = optuna.load_study(study_name="s", storage=target)
    assert get_note(optuna.Trial(copied, copied.trials[1]._trial_id)) == "a note"


def test_jobs_at_work_are_queued_in_the_copy(storages: tuple[BaseStorage, BaseStorage]) -> None:
    source, target = storages
    queue = JobQueue(source, "s/distilled")
    WorkerRegistry(source, "s/distilled").beat("w", {"host": "h"})
    RunRegistry(source, "s/distilled").say({"process": {"host": "h"}, "what": "search: trials"})
    done, running = queue.claim(), queue.claim({"worker": "w"})
    assert done is not None
    assert running is not None
    queue.finish(done, [0.5, 1, 2], user_attributes={"valid": {}}, system_attributes={"artifacts:x": "{}"})
    queue.set_attributes(running, {"checkpoint": {"files": {"a": 1}}})
    copy_study(source=source, target=target, study_name="s")
    assert WorkerRegistry(target, "s/distilled").workers() == []
    assert RunRegistry(target, "s/distilled").record() is None
    finished, again, _ = optuna.load_study(study_name="s/distilled", storage=target).trials
    assert finished.state.name == "COMPLETE"
    assert finished.system_attrs["artifacts:x"] == "{}"
    assert again.state.name == "WAITING"
    assert "progress" not in again.user_attrs
    claim = JobQueue(target, "s/distilled").claim()
    assert claim is not None
    assert (claim.trial.number, claim.attempt) == (1, 2)
    assert claim.trial.user_attrs["checkpoint"] == {"files": {"a": 1}}
    queue.beat(running)  # the source goes on undisturbed


def test_a_refused_copy_leaves_nothing(storages: tuple[BaseStorage, BaseStorage]) -> None:
    source, target = storages
    with pytest.raises(InputError, match="'none' is not in"):
        copy_study(source=source, target=target, study_name="none")
    new_study(target, "s/distilled")
    with pytest.raises(InputError, match="'s/distilled' is in the target"):
        copy_study(source=source, target=target, study_name="s")
    assert "s" not in optuna.get_all_study_names(target)
    with search_lock(source, "s"), pytest.raises(StudyBusyError):
        copy_study(source=source, target=target, study_name="s")
