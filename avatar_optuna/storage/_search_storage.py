"""The storage of a running search: Optuna reads and writes trials in memory, and many are stored at a time."""

from __future__ import annotations

import copy
import itertools
import json
import threading
from collections.abc import Container, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any

from optuna.distributions import BaseDistribution, check_distribution_compatibility
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.storage._database import Storage, reading
from avatar_optuna.storage._trial_writer import insert_trials, lock_study
from avatar_optuna.storage._trials import read_trials

_MAX_DELAY_S = 2.0


class _StudyTrials:
    """The trials of one study: those in the database, then those that only this process has."""

    def __init__(self) -> None:
        self.stored: list[FrozenTrial] = []
        self.buffered: list[FrozenTrial] = []
        self.unfinished: dict[int, int] = {}  # ids and numbers of stored ones that change, and are read again
        self.last_id = -1
        self.distributions: dict[str, BaseDistribution] = {}

    def take(self, read: Sequence[FrozenTrial]) -> None:
        """Take over trials read from the database, new ones and those that were unfinished."""
        for trial in read:
            if self.unfinished.pop(trial._trial_id, None) is None:
                self.stored.append(trial)
            else:
                self.stored[trial.number] = trial
            if not trial.state.is_finished():
                self.unfinished[trial._trial_id] = trial.number
            for name, distribution in trial.distributions.items():
                self.distributions.setdefault(name, distribution)
        self.last_id = max([self.last_id, *(trial._trial_id for trial in read)])
        self.renumber()

    def land(self, landed: Sequence[FrozenTrial], ids: Sequence[int]) -> None:
        """Note that buffered trials are stored now; failed ones are dropped."""
        for trial, trial_id in zip(landed, ids, strict=True):
            trial._trial_id = self.last_id = trial_id
            trial.number = len(self.stored)
            self.stored.append(trial)
        self.buffered = [trial for trial in self.buffered if not trial.state.is_finished()]
        self.renumber()

    def renumber(self) -> None:
        """Number the buffered trials on from the stored ones."""
        for number, trial in enumerate(self.buffered, start=len(self.stored)):
            trial.number = number


def _of_database(method: str) -> Any:
    """A method that does in the database what Optuna documents."""
    return lambda storage, *arguments, **named: getattr(storage._database, method)(*arguments, **named)


class SearchStorage(BaseStorage):
    """Optuna's storage interface for the process that searches, over a database.

    A trial that Optuna creates here stands in memory until it has finished; `land` stores all finished ones in one
    transaction, and a timer calls `land` some time after the first one finished. A process that is killed loses the
    trials it had not landed, and nothing else. Until a trial has landed its id is negative and its number provisional:
    a trial that another process stored in the meantime comes before it. A failed trial is never stored.

    Studies, their attributes, and trials that stand in the database (queued ones, for example) are read and written in
    the database at once. Trials of other processes are seen after the next landing.

    As a context manager it lands what is left; after an error it stores nothing more.

    Args:
        database: Opened by `open_storage`.
        max_delay_s: Seconds after which a finished trial is stored.
    """

    def __init__(self, database: Storage, *, max_delay_s: float = _MAX_DELAY_S) -> None:
        self._database = database
        self._max_delay_s = max_delay_s
        self._lock = threading.RLock()
        self._studies: dict[int, _StudyTrials] = {}
        self._created: dict[int, tuple[int, FrozenTrial]] = {}  # by the id that Optuna was given: study, trial
        self._ids = itertools.count(-(2**31))
        self._timer: threading.Timer | None = None
        self._error: Exception | None = None
        self._closed = False

    def __enter__(self) -> SearchStorage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock:
            if kind is None:
                self.land()
            self._closed = True
            self._stop_timer()

    def land(self) -> None:
        """Store all finished trials in one transaction for each study, and read what other processes have stored.

        Raises:
            InputError: A trial does not go with its study.
            sqlalchemy.exc.DBAPIError: The database cannot be written, now or when the timer tried.
        """
        with self._lock:
            if self._error is not None:
                raise self._error
            self._stop_timer()
            for study_id, trials in self._studies.items():
                if any(trial.state.is_finished() for trial in trials.buffered):
                    self._land(study_id, trials)

    def _land(self, study_id: int, trials: _StudyTrials) -> None:
        landing = [t for t in trials.buffered if t.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        with self._database.engine.begin() as connection:
            lock_study(connection, study_id)
            others = read_trials(connection, study_id, including=trials.unfinished.keys(), after=trials.last_id)
            ids = insert_trials(connection, study_id, landing)
        trials.take(others)
        trials.land(landing, ids)

    def _land_in_time(self) -> None:
        with self._lock:
            self._timer = None
            if not self._closed and self._error is None:
                try:
                    self.land()
                except Exception as error:  # whether it was stored is not known: the search may not go on
                    self._error = error

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(self._max_delay_s, self._land_in_time)
            self._timer.daemon = True
            self._timer.start()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _trials_of(self, study_id: int) -> _StudyTrials:
        if study_id not in self._studies:
            trials = _StudyTrials()
            self._read(study_id, trials)
            self._studies[study_id] = trials
        return self._studies[study_id]

    def _read(self, study_id: int, trials: _StudyTrials) -> None:
        with reading(self._database.engine) as connection:
            trials.take(read_trials(connection, study_id, including=trials.unfinished.keys(), after=trials.last_id))

    def _write(self, method: str, *arguments: Any) -> Any:
        """Change a trial that stands in the database, and read it again."""
        result = getattr(self._database, method)(*arguments)
        for study_id, trials in self._studies.items():
            self._read(study_id, trials)
        return result

    # Trials: Optuna documents these methods ---------------------------------------------------------------------------

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """A running trial in memory; one made from a template is stored at once."""
        with self._lock:
            trials = self._trials_of(study_id)
            if template_trial is not None:
                return int(self._write("create_new_trial", study_id, template_trial))
            trial = FrozenTrial(
                number=len(trials.stored) + len(trials.buffered),
                trial_id=next(self._ids),
                state=TrialState.RUNNING,
                value=None,
                datetime_start=datetime.now(),
                datetime_complete=None,
                params={},
                distributions={},
                user_attrs={},
                system_attrs={},
                intermediate_values={},
            )
            trials.buffered.append(trial)
            self._created[trial._trial_id] = (study_id, trial)
            return trial._trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        with self._lock:
            if (trial := self._updatable(trial_id)) is None:
                self._write("set_trial_param", trial_id, param_name, param_value_internal, distribution)
                return
            known = self._studies[self._created[trial_id][0]].distributions.setdefault(param_name, distribution)
            if known is not distribution:
                check_distribution_compatibility(known, distribution)
            trial.params[param_name] = distribution.to_external_repr(param_value_internal)
            trial.distributions[param_name] = distribution

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set the state and the values; a finished trial is landed within `max_delay_s`."""
        with self._lock:
            if (trial := self._updatable(trial_id)) is None:
                return bool(self._write("set_trial_state_values", trial_id, state, values))
            if state == TrialState.RUNNING:
                return False  # only a queued trial can begin to run, and those stand in the database
            if values is not None:
                trial.values = list(values)
            trial.state = state
            if state.is_finished():
                trial.datetime_complete = datetime.now()
                self._start_timer()
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        with self._lock:
            if (trial := self._updatable(trial_id)) is None:
                self._write("set_trial_intermediate_value", trial_id, step, intermediate_value)
            else:
                trial.intermediate_values[step] = intermediate_value

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._lock:
            if (trial := self._updatable(trial_id)) is None:
                self._write("set_trial_user_attr", trial_id, key, value)
            else:
                trial.user_attrs[key] = _as_json(value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        with self._lock:
            if (trial := self._updatable(trial_id)) is None:
                self._write("set_trial_system_attr", trial_id, key, value)
            else:
                trial.system_attrs[key] = _as_json(value)

    def _updatable(self, trial_id: int) -> FrozenTrial | None:
        """The trial in memory, which must not have finished; None where it was not created here."""
        if trial_id not in self._created:
            return None
        trial = self._created[trial_id][1]
        self.check_trial_is_updatable(trial_id, trial.state)
        return trial

    def get_trial(self, trial_id: int) -> FrozenTrial:
        with self._lock:
            if trial_id in self._created:
                return _snapshot(self._created[trial_id][1])
            return self._database.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The trials of a study by number: of other processes, those that were stored at the last landing."""
        with self._lock:
            trials = self._trials_of(study_id)
            if states is None:
                running = [_snapshot(trial) if trial.datetime_complete is None else trial for trial in trials.buffered]
                chosen = trials.stored + running
            else:
                stored = trials.stored
                if not any(state in states for state in TrialState if state.is_finished()):
                    stored = [stored[number] for number in sorted(trials.unfinished.values())]
                chosen = [_snapshot(trial) for trial in (*stored, *trials.buffered) if trial.state in states]
        return copy.deepcopy(chosen) if deepcopy else chosen

    # Studies ----------------------------------------------------------------------------------------------------------

    def delete_study(self, study_id: int) -> None:
        """Delete a study from the database, and its trials that have not landed."""
        with self._lock:
            self._database.delete_study(study_id)
            self._studies.pop(study_id, None)
            self._created = {key: entry for key, entry in self._created.items() if entry[0] != study_id}

    create_new_study = _of_database("create_new_study")
    set_study_user_attr = _of_database("set_study_user_attr")
    set_study_system_attr = _of_database("set_study_system_attr")
    get_study_id_from_name = _of_database("get_study_id_from_name")
    get_study_name_from_id = _of_database("get_study_name_from_id")
    get_study_directions = _of_database("get_study_directions")
    get_study_user_attrs = _of_database("get_study_user_attrs")
    get_study_system_attrs = _of_database("get_study_system_attrs")
    get_all_studies = _of_database("get_all_studies")


def _as_json(value: Any) -> Any:
    """What a database would give back."""
    return value if isinstance(value, int | float | str) else json.loads(json.dumps(value))


def _snapshot(trial: FrozenTrial) -> FrozenTrial:
    """A trial that does not change while its holder looks at it."""
    if trial.state.is_finished():
        return trial
    snapshot = copy.copy(trial)
    snapshot.params, snapshot.distributions = dict(trial.params), dict(trial.distributions)
    snapshot.intermediate_values = dict(trial.intermediate_values)
    snapshot.user_attrs, snapshot.system_attrs = dict(trial.user_attrs), dict(trial.system_attrs)
    return snapshot
