"""What every database dialect must do. Each function takes the URL of a fresh, empty database."""

from __future__ import annotations

import threading
from collections.abc import Callable

import optuna
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.exceptions import InputError, StudyBusyError
from avatar_optuna.storage import JobQueue, Storage, WorkerRegistry, add_missing, copy_study, has_study, open_storage
from avatar_optuna.storage import search_lock as hold_search_lock
from avatar_optuna.storage.dialects import dialect_of

_NAME = "contract"
_JOBS = 12


def url_is_refused_or_its_driver_is_named(url: str) -> None:
    """The dialect accepts the URL, and the engine it opens is its own."""
    engine = open_storage(url).engine
    assert dialect_of(engine).check(engine.url) == engine.url, "the URL of an open database must be accepted as it is"


def missing_database_is_not_made_by_a_reader(url: str) -> None:
    """`create=False` refuses a database that holds no studies, and writes nothing."""
    _refused(InputError, lambda: open_storage(url, create=False))
    assert not has_study(url, _NAME)


def schema_is_made_once_by_many(url: str) -> None:
    """Several threads may open a new database at once."""
    _at_once([lambda: open_storage(url)] * 4)
    open_storage(url, create=False)


def stored_trials_are_read_back_equal(url: str) -> None:
    """What is inserted in bulk is what Optuna reads, also after it is copied within ids of the database's own."""
    storage = open_storage(url)
    study = optuna.create_study(study_name=_NAME, storage=storage, directions=["maximize", "minimize"])
    study.add_trial(optuna.trial.create_trial(values=[0.5, 1.0]))
    trials = _trials()
    assert add_missing(storage, _NAME, trials, key="key") == len(trials)
    assert add_missing(storage, _NAME, trials, key="key") == 0
    study.add_trial(optuna.trial.create_trial(values=[0.25, 2.0]))  # by Optuna, whose ids must go on after ours
    stored = optuna.load_study(study_name=_NAME, storage=optuna.storages.RDBStorage(_url_of(storage))).trials
    assert [trial.number for trial in stored] == list(range(len(trials) + 2))
    for trial, wanted in zip(stored[1:-1], trials, strict=True):
        assert (trial.params, trial.values, trial.user_attrs) == (wanted.params, wanted.values, wanted.user_attrs)


def attributes_are_overwritten(url: str) -> None:
    """An attribute that is set again has its last value; a worker is told apart from others and forgotten."""
    storage = open_storage(url)
    optuna.create_study(study_name=_NAME, storage=storage)
    registry = WorkerRegistry(storage, _NAME)
    registry.beat("one", {"host": "before"})
    registry.beat("one", {"host": "now"})
    (record,) = registry.workers()
    assert record.about == {"host": "now"}
    assert -1.0 < record.heard_s < 60.0, "the database's clock must be in seconds"
    registry.leave("one")
    assert registry.workers() == []


def job_is_claimed_by_one_worker(url: str) -> None:
    """Of many who look for jobs at once each job is given to exactly one."""
    storage = open_storage(url)
    optuna.create_study(study_name=_NAME, storage=storage)
    waiting = [
        optuna.trial.create_trial(state=TrialState.WAITING, user_attrs={"key": index, "epochs": 1})
        for index in range(_JOBS)
    ]
    add_missing(storage, _NAME, waiting, key="key")
    claimed: list[int] = []

    def take() -> None:
        queue = JobQueue(open_storage(url), _NAME)
        while (claim := queue.claim()) is not None:
            queue.beat(claim)
            claimed.append(claim.trial.number)

    _at_once([take] * 4)
    assert sorted(claimed) == list(range(_JOBS))
    ages_s = [job.heartbeat_age_s for job in JobQueue(storage, _NAME).running()]
    assert len(ages_s) == _JOBS
    assert all(-1.0 < age_s < 60.0 for age_s in ages_s), "the age of a heartbeat must be in seconds"


def reader_blocks_no_writer(url: str) -> None:
    """Somebody who reads sees one moment, whatever is written meanwhile."""
    storage = open_storage(url)
    study = optuna.create_study(study_name=_NAME, storage=storage)
    dialect = dialect_of(storage.engine)
    counted = sqlalchemy.text("SELECT count(*) FROM trials")
    options = dict(dialect.reading_options())
    with storage.engine.connect().execution_options(**options) as connection, connection.begin():
        before = connection.execute(counted).scalar()
        study.add_trial(optuna.trial.create_trial(value=1.0))
        assert connection.execute(counted).scalar() == before == 0


def study_is_searched_by_one(url: str) -> None:
    """The search lock is held by one, and can be taken again."""
    for _ in range(2):
        with hold_search_lock(open_storage(url), _NAME):
            _refused(StudyBusyError, hold_search_lock(open_storage(url), _NAME).__enter__)
            with hold_search_lock(open_storage(url), "another"):
                pass


def study_is_copied(url: str, source_url: str) -> None:
    """A study of another database arrives whole."""
    source, target = open_storage(source_url), open_storage(url)
    optuna.create_study(study_name=_NAME, storage=source, directions=["maximize", "minimize"]).add_trials(_trials())
    copy_study(source=source, target=target, study_name=_NAME)
    copied = optuna.load_study(study_name=_NAME, storage=target).trials
    assert [(t.params, t.values) for t in copied] == [(t.params, t.values) for t in _trials()]


CONTRACT: tuple[Callable[[str], None], ...] = (
    url_is_refused_or_its_driver_is_named,
    missing_database_is_not_made_by_a_reader,
    schema_is_made_once_by_many,
    stored_trials_are_read_back_equal,
    attributes_are_overwritten,
    job_is_claimed_by_one_worker,
    reader_blocks_no_writer,
    study_is_searched_by_one,
)
"""All that take one URL, for a parametrised test; `study_is_copied` also takes the URL of a source."""


def _refused(kind: type[Exception], call: Callable[[], object]) -> None:
    try:
        call()
    except kind:
        return
    raise AssertionError(f"{kind.__name__} must be raised")


def _trials() -> list[FrozenTrial]:
    width = optuna.distributions.IntDistribution(8, 64)
    return [
        optuna.trial.create_trial(
            values=[index / 7, 1e-3 * index],
            params={"width": 8 + index},
            distributions={"width": width},
            user_attrs={"key": index},
        )
        for index in range(5)
    ]


def _url_of(storage: Storage) -> str:
    return storage.engine.url.render_as_string(hide_password=False)


def _at_once(calls: list[Callable[[], object]]) -> None:
    errors: list[BaseException] = []

    def run(call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
