"""Everything `avatar-optuna run` does, phase by phase: teacher, samples, indicator, search, distillation, comparison.

Every phase looks at what is stored and does only what is missing, so a run that was stopped anywhere goes on there, and
a run of a finished study says that all is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial

from optuna.trial import TrialState

from avatar_optuna.cost_model import CostModel
from avatar_optuna.costs import TaskShape
from avatar_optuna.dashboard_notes import save_figures, write_notes
from avatar_optuna.exceptions import InputError, StudyError
from avatar_optuna.feasibility import StudyFeasibility, draw, feasibility_of, tighten
from avatar_optuna.indicator import MIN_SAMPLES, StudyIndicator, fit_indicator
from avatar_optuna.objective import Objective
from avatar_optuna.objectives import measured, signs
from avatar_optuna.pipeline._comparison import ComparisonPhase
from avatar_optuna.pipeline._cost import Meter, add, counted
from avatar_optuna.pipeline._device import audited, calibrated, calibrated_elsewhere
from avatar_optuna.pipeline._policy import PolicyPhases
from avatar_optuna.pipeline._prediction import front_job
from avatar_optuna.pipeline._recorder import recorded
from avatar_optuna.pipeline._teacher_phase import TeacherPhase
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.schema import ATTAINED, AUDIT, FEASIBLE, INDICATOR, Job, SearchResult, num_rounds
from avatar_optuna.settings import StudySettings
from avatar_optuna.students import Configuration
from avatar_optuna.study import (
    choose_students,
    hypervolume_share,
    measured_students,
    pareto_indices,
    search,
    searched,
    starting_students,
    store_cost_model,
    stored_cost_models,
    stored_indicator,
)
from avatar_optuna.tasks import Task, task_shape_of
from avatar_optuna.verdict import proposal


@dataclass(kw_only=True)
class Run(Workforce):
    """One run of a study: a workforce, and what it is to do."""

    did_something: bool = field(default=False, init=False)

    def everything(self) -> bool:
        """Run all phases, and store meanwhile what is done; returns whether there was anything left to do."""
        with recorded(self.study) as recorder:
            self.progress = self.progress.observed_by(recorder)
            return self._all_phases()

    def _all_phases(self) -> bool:
        settings = self.study.settings
        first = TeacherPhase(workforce=self)
        task, teacher = first.run()
        feasibility = self.tightened(task)
        if settings.search.policy == "paper":
            with self.kept_workers():
                for round_ in range(settings.search.rounds):
                    indicator = self.indicator(feasibility, round_)
                    self.distil_front(self.search(feasibility, indicator, round_), round_)
        else:
            phases = PolicyPhases(workforce=self, feasibility=feasibility, search=partial(self.search, feasibility))
            self.did_something |= phases.run()
        compared = ComparisonPhase(workforce=self, task=task, teacher=teacher, baseline=first.baseline_answers).run()
        self.did_something |= first.did_something or compared
        self.audit(task.shape)
        write_notes(self.study)
        save_figures(self.study)
        return self.did_something

    @property
    def failed_jobs(self) -> list[int]:
        """Numbers of the jobs that failed for good."""
        states = (TrialState.FAIL,)
        return [trial.number for trial in self.study.distilled.get_trials(deepcopy=False, states=states)]

    # Space ------------------------------------------------------------------------------------------------------------

    def tightened(self, task: Task) -> StudyFeasibility:
        """What is feasible, its ranges stored once."""
        feasibility = self.feasibility(task.shape)
        if FEASIBLE not in self.study.read_attributes():
            with self.progress.busy("tightening the space"):
                tightened = tighten(feasibility)
            self.study.set_attribute(FEASIBLE, tightened.to_dict())
            self.did_something = True
            binding = tightened.binding or "nothing"
            self.progress.say(f"space      {tightened.share:.2%} of uniform draws are feasible; what binds: {binding}")
        return feasibility

    def feasibility(self, task_shape: TaskShape) -> StudyFeasibility:
        """The judge of the study, with the cost models that its constraints and objectives name."""
        settings = self.study.settings
        return feasibility_of(
            settings.space,
            constraints=settings.constraints,
            task_shape=task_shape,
            predicted=self.cost_models(task_shape),
        )

    def cost_models(self, task_shape: TaskShape) -> Mapping[str, CostModel]:
        """The study's calibrated cost models, by figure; calibrated on this device where none are stored.

        Raises:
            InputError: A stored one was calibrated on another device, and configurations are still to be scored.
        """
        settings, known = self.study.settings, stored_cost_models(self.study)
        self._refuse_other_device([known[name] for name in sorted(settings.predicted_names & set(known))])
        is_missing = bool(settings.predicted_names - set(known))
        with counted(self.study, "calibration", settings.measurement.device) if is_missing else nullcontext():
            cost_models = calibrated(settings, task_shape, self.progress, known=known)
        for name in cost_models.keys() - known.keys():
            store_cost_model(self.study, cost_models[name])
            self.did_something = True
        return cost_models

    def _refuse_other_device(self, cost_models: Sequence[CostModel]) -> None:
        """All configurations of a study are scored for one device; a searched study only says for which."""
        elsewhere = calibrated_elsewhere(cost_models, self.study.settings) if cost_models else {}
        search_ = self.study.settings.search
        if elsewhere and any(
            len(searched(self.study, round_=round_)) < search_.n_trials for round_ in range(search_.rounds)
        ):
            raise InputError(
                f"the device must be the one that the study {self.study.name} was calibrated on: "
                f"{'; '.join(elsewhere.values())}. Run it there; or give it another name, and it is calibrated here"
            )
        for sentence in elsewhere.values():
            self.progress.say(f"cost model {sentence}")

    # Indicator --------------------------------------------------------------------------------------------------------

    def indicator(self, feasibility: StudyFeasibility, round_: int) -> StudyIndicator:
        """The indicator of a round: of the first from brief samples, of the next from all that was measured."""
        if (stored := stored_indicator(self.study, round_)) is not None:
            return stored
        settings = self.study.settings
        samples = drawn_samples(feasibility, settings)
        epochs = settings.indicator.epochs
        jobs = [
            Job(key=f"indicator/0/{index}", purpose="indicator", hyperparameters=student, epochs=epochs)
            for index, student in enumerate(samples)
        ]
        self.did_something |= self.work(jobs, "samples", phase="samples")
        students, reached, errors = measured_students(self.study, round_)
        indicator = fit_indicator(students, reached, space=settings.space, errors=errors)
        self.study.set_attribute(f"{INDICATOR}:{round_}", indicator.to_dict())
        self.did_something = True
        self.progress.say(
            f"indicator  {indicator.num_samples} students; left out one by one: error "
            f"{100 * indicator.leave_one_out_error:.1f} %, rank correlation {indicator.rank_correlation:.2f}"
        )
        if not indicator.ranks:
            low, high = indicator.rank_correlation_interval
            self.progress.say(
                f"indicator  cannot rank students here, as far as {indicator.num_samples} samples tell (95 % interval "
                f"of the rank correlation {low:.2f} to {high:.2f}): more samples or more of their epochs may"
            )
        return indicator

    # Search -----------------------------------------------------------------------------------------------------------

    def search(self, feasibility: StudyFeasibility, indicator: StudyIndicator, round_: int) -> SearchResult:
        """Search a round to its end."""
        settings = self.study.settings
        before = searched(self.study, round_=round_)
        if len(before) >= settings.search.n_trials:
            return before
        if left_out := measured(settings.search.objectives if round_ == 0 and not len(before) else ()):
            self.progress.say(
                f"search     leaves out {', '.join(left_out)}: measured on distilled students, not predicted"
            )
        objective = Objective(
            space=settings.space,
            task_shape=feasibility.task_shape,
            objectives=settings.search.searched_objectives,
            feasibility=feasibility,
            indicator=indicator,
            cost_models=stored_cost_models(self.study),
        )
        meter = Meter.start([settings.measurement.device])
        with self.progress.bar("search: trials", settings.search.n_trials) as update:
            scored = search(
                self.study,
                objective,
                feasibility,
                round_=round_,
                initial=starting_students(self.study, round_),
                on_generation=update,
            )
        if len(scored) > len(before):
            self.did_something = True
            front = len(pareto_indices(scored, settings.search.searched_objectives))
            self.progress.say(
                f"search     {len(scored)} feasible trials in {scored.seconds:.1f} s; {front} are on the front"
            )
            self._store_share(scored, feasibility, indicator, objective, round_)
            add(self.study, "search", meter.spent())
        return scored

    def _store_share(
        self,
        scored: SearchResult,
        feasibility: StudyFeasibility,
        indicator: StudyIndicator,
        objective: Objective,
        round_: int,
    ) -> None:
        try:
            reached = hypervolume_share(
                scored,
                feasibility,
                indicator,
                objective.costs,
                cost_names=objective.cost_names,
                signs=signs(self.study.settings.search.searched_objectives),
            )
        except StudyError as error:
            self.progress.say(f"search     how far from the best is not known: {error}")
            return
        self.study.set_attribute(f"{ATTAINED}:{round_}", reached.to_dict())
        self.progress.say(
            f"search     {reached.share:.1%} of the attainable hypervolume, by the exact front of "
            f"{reached.lattice_points:,} feasible lattice points ({reached.seconds:.1f} s)"
        )

    def search_alone(self) -> None:
        """The search of the last round whose indicator is fitted; a `StudyError` where none is."""
        settings, stored = self.study.settings, self.study.read_attributes()
        fitted = [r for r in range(num_rounds(stored, settings.search.rounds)) if f"{INDICATOR}:{r}" in stored]
        if not fitted:
            raise StudyError("the search needs the indicator: `avatar-optuna run` distils its samples and fits it")
        feasibility = self.feasibility(task_shape_of(settings.task))
        self.search(feasibility, self.indicator(feasibility, fitted[-1]), fitted[-1])

    # Distillation -----------------------------------------------------------------------------------------------------

    def distil_front(self, scored: SearchResult, round_: int) -> None:
        """Distil the chosen students of a round's front."""
        settings = self.study.settings
        jobs = [
            front_job(self.study, scored, index, round_)
            for index in choose_students(scored, settings.search.searched_objectives, settings.distillation.students)
        ]
        self.did_something |= self.work(jobs, "students", phase="distillation")

    # Audit ------------------------------------------------------------------------------------------------------------

    def audit(self, task_shape: TaskShape, *, is_asked: bool = False) -> None:
        """Hold FLOPs against time on this device, once, where the study file wants it or somebody asks."""
        settings = self.study.settings
        if AUDIT in self.study.read_attributes() or not (settings.measurement.audit or is_asked):
            return
        with counted(self.study, "audit", settings.measurement.device):
            audit = audited(settings, task_shape, self.progress)
        self.study.set_attribute(AUDIT, audit.to_dict())
        self.did_something = True
        self.progress.say(f"audit      {audit.verdict}")
        if (proposed := proposal(settings, audit)) is not None:
            self.progress.say(f"audit      {proposed}")


def drawn_samples(feasibility: StudyFeasibility, settings: StudySettings) -> list[Configuration]:
    """The students that the indicator is fitted on.

    Raises:
        InputError: The space holds fewer.
    """
    least = MIN_SAMPLES * len(feasibility.members)
    if len(feasibility.members) > 1 and settings.indicator.samples < least:
        raise InputError(
            f"indicator.samples must be at least {MIN_SAMPLES} for each of {len(feasibility.members)} families, "
            f"got {settings.indicator.samples}"
        )
    samples = draw(feasibility, settings.indicator.samples, seed=settings.search.seed)
    if len(samples) < settings.indicator.samples:
        raise InputError(
            f"indicator.samples must be at most the feasible configurations of the space, of which {len(samples)} were "
            f"found, got {settings.indicator.samples}"
        )
    return samples
