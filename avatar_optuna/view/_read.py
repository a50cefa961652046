"""Read a study once, and make everything of it that is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Engine

from avatar_optuna.codec import StoredT, read_stored
from avatar_optuna.cost_model import CostModel
from avatar_optuna.costs import TaskShape
from avatar_optuna.data_audit import DataAudit
from avatar_optuna.indicator import StudyIndicator, indicator_kind
from avatar_optuna.objectives import EFFECTIVENESS, formulas, signs
from avatar_optuna.pareto import front_order, non_dominated
from avatar_optuna.schema import (
    ARTIFACTS,
    ATTAINED,
    AUDIT,
    BASELINE,
    COMPARISON,
    COST,
    COST_MODELS,
    DATA,
    DATA_AUDIT,
    EDITS,
    FAILED,
    FEASIBLE,
    INDICATOR,
    POWER,
    PROVENANCE,
    SETTINGS,
    TEACHER,
    Audit,
    Comparison,
    EstimatedPower,
    Job,
    JobResult,
    Latency,
    SearchResult,
    StudyCost,
    TeacherRecord,
    num_rounds,
    refuse_foreign,
)
from avatar_optuna.settings import StudySettings
from avatar_optuna.storage import ProgressSnapshot, mask_url, read_snapshot
from avatar_optuna.tasks import task_shape_of
from avatar_optuna.view._students import DistilledStudent, PredictedStudent, Prediction
from avatar_optuna.view._view import SearchRound, StudyView

_SHOWN = ("size_bytes", "flops")
"""Figures of every configuration, whether or not they are objectives of the study."""
_NOT_COMPARED = "energy_j"
"""A figure in which distilled students do not dominate each other: not every student has it."""


def read_view(storage: BaseStorage | Engine, study_name: str) -> StudyView:
    """Read a study, finished or not, in one transaction.

    Args:
        storage: Opened by `open_storage` or `open_for_reading`.
        study_name: The study, without "/distilled".

    Raises:
        InputError: The database holds no such study, or one that avatar_optuna did not create.
    """
    snapshot = read_snapshot(storage, study_name)
    refuse_foreign(study_name, snapshot.names, snapshot.attributes)
    assert snapshot.jobs is not None, "a study that avatar_optuna made has jobs"
    return _Reader(study_name, snapshot.attributes).view(snapshot.scored, snapshot.jobs)


def view_of_progress(progress: ProgressSnapshot, study_name: str) -> StudyView:
    """A study without the rounds of its search, which are only counted there.

    Args:
        progress: Of the study.
        study_name: The study, without "/distilled".

    Raises:
        InputError: The database holds no such study, or one that avatar_optuna did not create.
    """
    refuse_foreign(study_name, progress.names, progress.attributes)
    assert progress.jobs is not None, "a study that avatar_optuna made has jobs"
    return _Reader(study_name, progress.attributes).view((), progress.jobs)


class _Reader:
    """Makes a view of what was read.

    Args:
        name: Of the study.
        attributes: User attributes of its search study.
    """

    def __init__(self, name: str, attributes: Mapping[str, Any]) -> None:
        self.name = name
        self.attributes = attributes
        self.settings = StudySettings.from_dict(attributes[SETTINGS])
        self.task_shape: TaskShape = task_shape_of(self.settings.task)
        self.objectives = self.settings.search.searched_objectives
        self.formulas = formulas(dict.fromkeys((*_SHOWN, *self.objectives)), self.task_shape)
        cost_models = ((name, self._stored(CostModel, key)) for name, key in COST_MODELS.items())
        self.cost_models = {name: cost_model for name, cost_model in cost_models if cost_model is not None}
        self.compared = self._stored(Comparison, COMPARISON)

    def _stored(self, kind: type[StoredT], key: str) -> StoredT | None:
        """An attribute as an object, or None where it is not stored yet."""
        return read_stored(kind, self.attributes, key, study_name=self.name)

    def view(self, scored: Sequence[FrozenTrial], jobs: Sequence[FrozenTrial]) -> StudyView:
        attributes = self.attributes
        numbers = range(num_rounds(attributes, self.settings.search.rounds))
        kind = indicator_kind(self.settings.space)
        fitted = ((number, self._stored(kind, f"{INDICATOR}:{number}")) for number in numbers)
        indicators = {number: indicator for number, indicator in fitted if indicator is not None}
        rounds = (self._round(number, scored, indicators) for number in numbers)
        students = self._students([trial for trial in jobs if trial.state is TrialState.COMPLETE])
        artifacts = str(attributes[ARTIFACTS])
        return StudyView(
            name=self.name,
            settings=self.settings,
            task_shape=self.task_shape,
            teacher=self._stored(TeacherRecord, TEACHER),
            baseline=attributes.get(BASELINE),
            data=attributes.get(DATA),
            data_audit=self._stored(DataAudit, DATA_AUDIT),
            edits=attributes.get(EDITS),
            feasible=attributes.get(FEASIBLE),
            cost_models=self.cost_models,
            indicator=indicators[max(indicators)] if indicators else None,
            rounds=tuple(round_ for round_ in rounds if round_ is not None),
            students=_marked([student for student in students if student.purpose == "front"]),
            indicator_samples=tuple(student for student in students if student.purpose == "indicator"),
            jobs={state.name: sum(trial.state is state for trial in jobs) for state in TrialState},
            failures=tuple(
                (trial.number, str(trial.user_attrs.get(FAILED, "for no stated reason")))
                for trial in jobs
                if trial.state is TrialState.FAIL
            ),
            compared=self.compared,
            audit=self._stored(Audit, AUDIT),
            cost=self._stored(StudyCost, COST),
            estimated_power=self._stored(EstimatedPower, POWER),
            provenance=attributes.get(PROVENANCE, {}),
            artifacts=mask_url(artifacts) if "://" in artifacts else artifacts,
        )

    def _round(
        self, number: int, trials: Sequence[FrozenTrial], indicators: Mapping[int, StudyIndicator]
    ) -> SearchRound | None:
        scored = SearchResult.from_trials(
            trials, round_=number, space=self.settings.space, num_objectives=len(self.objectives)
        )
        if not len(scored):
            return None
        return SearchRound(
            number=number,
            scored=scored,
            front=tuple(
                self._predicted(scored, index) for index in front_order(scored.values * signs(self.objectives))
            ),
            indicator=indicators.get(number),
            hypervolume_share=self.attributes.get(f"{ATTAINED}:{number}"),
        )

    def _predicted(self, scored: SearchResult, index: int) -> PredictedStudent:
        student = scored.students[index]
        return PredictedStudent(
            trial=int(scored.numbers[index]),
            hyperparameters=student,
            prediction=Prediction(effectiveness=float(scored.values[index, 0]), std=float(scored.predicted_std[index])),
            figures=self._figures(student),
            predicted_costs=self._predicted_costs(student),
        )

    def _students(self, trials: Sequence[FrozenTrial]) -> list[DistilledStudent]:
        """The most effective first, and of equally effective ones the smallest."""
        students = [self._distilled(trial) for trial in trials]
        return sorted(students, key=lambda student: (-student.effectiveness, student.size_bytes))

    def _distilled(self, trial: FrozenTrial) -> DistilledStudent:
        job, result = Job.from_trial(trial, study_name=self.name), JobResult.from_trial(trial, study_name=self.name)
        comparison = self.compared.of(str(trial.number)) if self.compared is not None else None
        models = comparison.models if comparison is not None else {}
        own = models.get(str(trial.number))
        if own is not None:
            own = replace(own, size_bytes=result.size_bytes)  # earlier versions took four bytes a parameter
        timed = _of_one_input(own.latency if own is not None else result.latency)
        energy = own.energy if own is not None else None
        return DistilledStudent(
            job=trial.number,
            trial=job.origin,
            purpose=job.purpose,
            hyperparameters=job.hyperparameters,
            epochs=job.epochs,
            prediction=Prediction(**job.predicted) if job.predicted is not None else None,
            result=result,
            figures={
                EFFECTIVENESS: result.effectiveness,
                **self._figures(job.hyperparameters),
                "size_bytes": result.size_bytes,
                "flops": result.flops,
                "latency_ms": own.latency_ms if own is not None else result.latency_ms,
                **({"energy_j": energy.joules} if energy is not None else {}),
                **result.measured,
            },
            predicted_costs=self._predicted_costs(job.hyperparameters),
            latency_interval_ms=timed.interval_ms if timed is not None else None,
            timed=timed,
            is_compared=own is not None,
            energy=energy,
            flips=own.flips if own is not None else None,
            fidelity=own.fidelity if own is not None else None,
            differences=own.differences if own is not None else {},
            disagreements=own.disagreements if own is not None else (),
            resampled=own.resampled if own is not None else (),
            times_less_than={name: own.times_less_than(models[name]) for name in _REFERENCES if own and name in models},
        )

    def _figures(self, student: Any) -> dict[str, float]:
        return {name: formula(student) for name, formula in self.formulas.items()}

    def _predicted_costs(self, student: Any) -> dict[str, float]:
        return {name: float(cost_model(student)) for name, cost_model in self.cost_models.items()}


_REFERENCES = ("teacher", "codebert")


def _of_one_input(latencies: Sequence[Latency]) -> Latency | None:
    return next((latency for latency in latencies if latency.batch_size == 1), None)


def _marked(students: Sequence[DistilledStudent]) -> tuple[DistilledStudent, ...]:
    """Students with `on_front` set."""
    if not students:
        return ()
    names = [name for name in students[0].figures if name != _NOT_COMPARED]
    values = np.asarray([[student.figures[name] for name in names] for student in students], dtype=np.float64)
    kept = non_dominated(values * signs(names))
    return tuple(replace(student, on_front=bool(is_kept)) for student, is_kept in zip(students, kept, strict=True))
