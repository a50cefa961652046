"""Students trained rung by rung, as the policy of a study says.

All that a decision reads is stored, and a batch of jobs is queued in one transaction and finished before the next
decision: a run that was stopped anywhere finishes what was queued, and goes on as it would have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from optuna.trial import TrialState

from avatar_optuna.distillation import CHECKPOINT_FILE
from avatar_optuna.exceptions import StudyError
from avatar_optuna.feasibility import StudyFeasibility, draw
from avatar_optuna.indicator import MIN_SAMPLES, StudyIndicator
from avatar_optuna.pipeline._stored_trainings import Begun, StoredTrainings
from avatar_optuna.pipeline._workforce import Workforce
from avatar_optuna.pool import Pool
from avatar_optuna.schema import INDICATOR, Job, Purpose, SearchResult
from avatar_optuna.study import (
    AsynchronousHalving,
    FinalModel,
    Policy,
    RandomPolicy,
    RoundsPolicy,
    Step,
    SuccessiveHalving,
    TimeBudget,
    Trainings,
    choose_students,
    stored_indicator,
)
from avatar_optuna.words import count

_CANDIDATES = 64
_CANDIDATES_OF_TIME, _CANDIDATES_LEFT = 256, 64
"""Students that are drawn for a policy without a search where time decides how many of them are trained; twice as many
where fewer than these are left and time is not over."""
_PURPOSES: tuple[tuple[Purpose, str, str], ...] = (
    ("indicator", "rungs", "samples"),
    ("front", "students", "distillation"),
)
"""Of jobs; what they are called; the phase that their cost is kept under."""
_SAID_EVERY = 0.1
"""Of a budget of time: how much of it is used between two sentences about it."""


@dataclass(kw_only=True)
class PolicyPhases:
    """What a study of another policy than the paper's does between its feasible space and its comparison.

    Args:
        workforce: Of the study.
        feasibility: Draws the first students.
        search: Searches a round with an indicator.
    """

    workforce: Workforce
    feasibility: StudyFeasibility
    search: Callable[[StudyIndicator, int], SearchResult]
    did_something: bool = field(default=False, init=False)
    _said_s: float = field(default=0.0, init=False)

    @cached_property
    def _stored(self) -> StoredTrainings:
        return StoredTrainings(workforce=self.workforce, task_shape=self.feasibility.task_shape)

    def run(self) -> bool:
        """Spend the budget; returns whether there was anything left to do.

        Raises:
            StudyError: No student could be trained to the end.
        """
        study, settings = self.workforce.study, self.workforce.study.settings
        with self.workforce.kept_workers():
            if not settings.search.asynchronous:
                self._finish_queued()
            samples = self._samples(self._num_first())
            if settings.search.policy == "rounds":
                round_ = 0
                while round_ < settings.search.rounds or self._goes_on_after(round_ - 1):
                    self._round(round_, samples)
                    round_ += 1
                self._finish_queued()
            else:
                policy = self._policy_without_indicator()
                self._follow(lambda _: policy, samples, round_=settings.search.rounds - 1, may_draw=True)
        students = self._stored.students_in_full()
        if (budget := self._stored.budget()) is not None and self.did_something:
            self.workforce.progress.say(f"budget     {budget}; {count(students, 'student')} trained to the end")
        if not students:
            raise StudyError(f"no student of {study.name} was trained to the end: {self._remedy(budget)}")
        return self.did_something

    def _policy_without_indicator(self) -> Policy:
        search = self.workforce.study.settings.search
        if search.policy == "random":
            return RandomPolicy()
        return AsynchronousHalving() if search.asynchronous else SuccessiveHalving()

    def _remedy(self, budget: TimeBudget | None) -> str:
        if budget is None or any(trial.state is TrialState.FAIL for trial in self._stored.trials()):
            return "`avatar-optuna status` tells why"
        trainings, _ = self._stored.read((), self.workforce.study.settings.search.rounds - 1)
        need_s = f", and one takes about {trainings.full_price:.0f} s" if len(trainings.students) else ""
        return f"search.budget_minutes did not suffice ({budget}){need_s}; run it again with more"

    def _num_first(self) -> int:
        settings = self.workforce.study.settings
        if settings.search.policy == "rounds":
            return settings.indicator.samples
        if settings.search.budget_minutes is not None:
            return _CANDIDATES_OF_TIME
        of_each = settings.rungs[-1] if settings.search.policy == "random" else settings.rungs[0]
        return max(1, settings.budget(settings.search.rounds) // of_each)

    def _samples(self, count: int) -> list[Begun]:
        """Students that nothing proposes; the first of more are those of fewer."""
        drawn = draw(self.feasibility, count, seed=self.workforce.study.settings.search.seed)
        return [Begun(name=f"sample-{index}", student=student) for index, student in enumerate(drawn)]

    def _more_samples(self, trainings: Trainings, samples: Sequence[Begun]) -> Sequence[Begun]:
        """Twice as many where a budget of time is about to outlast them, if the space has them."""
        waiting = int((trainings.is_open & (trainings.epochs == 0)).sum())
        if trainings.prices is None or waiting >= _CANDIDATES_LEFT or trainings.room < trainings.full_price:
            return samples
        return self._samples(2 * len(samples))

    def _round(self, round_: int, samples: Sequence[Begun]) -> None:
        """Search with what the curves say, then train what promises most."""
        study = self.workforce.study
        if any(job.round > round_ for job in self._stored.jobs()):
            return  # a later round has begun: this one is done
        rungs = study.settings.rungs
        if round_ == 0:
            self._begin(samples)
            self._follow(lambda trainings: _Opening(self._fit(trainings)), samples, round_=round_)
        trainings, _ = self._stored.read(samples, round_)
        model, indicator = self._fit(trainings), stored_indicator(study, round_)
        if indicator is None:
            if model is None and trainings.prices is not None:
                self._end_without_indicator(samples, round_)
                return
            if model is None:
                raise StudyError(
                    f"the policy rounds needs two students of each family that are trained for {rungs[-1]} epochs: "
                    "give it more indicator.samples or more distillation.students"
                )
            indicator = model.indicator
            study.set_attribute(f"{INDICATOR}:{round_}", indicator.to_dict())
            self.did_something = True
            low, high = indicator.rank_correlation_interval
            self.workforce.progress.say(
                f"indicator  {indicator.num_samples} curves; rank correlation {indicator.rank_correlation:.2f} "
                f"(95 % interval {low:.2f} to {high:.2f})"
            )
        if trainings.room <= 0:
            return  # the time is used
        scored = self.search(indicator, round_)
        before = {job.hyperparameters for job in self._stored.jobs() if job.round < round_}
        chosen = choose_students(scored, study.settings.search.searched_objectives, _CANDIDATES, without=before)
        proposed = [Begun(name=str(scored.numbers[index]), student=scored.students[index]) for index in chosen]
        search = study.settings.search
        at_once = 1 if search.asynchronous else search.at_once
        self._follow(
            lambda trainings: RoundsPolicy(self._fit(trainings), at_once=at_once), [*samples, *proposed], round_=round_
        )

    def _goes_on_after(self, round_: int) -> bool:
        """Whether time is left for a student of one more round, and the last round was of any use."""
        has_begun = any(job.round == round_ for job in self._stored.jobs())
        if self._stored.budget() is None or not has_begun or stored_indicator(self.workforce.study, round_) is None:
            return False
        trainings, _ = self._stored.read((), round_ + 1)
        return trainings.room >= trainings.full_price

    def _begin(self, samples: Sequence[Begun]) -> None:
        """The first rung of the samples, as far as the budget goes."""
        least = MIN_SAMPLES * len(self.feasibility.members)
        while True:
            trainings, students = self._stored.read(samples, 0)
            steps = trainings.openings(least=least)
            if not steps:
                return
            self._do(steps, students, None, 0)

    def _end_without_indicator(self, samples: Sequence[Begun], round_: int) -> None:
        """What the time suffices for, where it does not for the students that the indicator needs."""
        self._follow(lambda _: RoundsPolicy(None, at_once=1), samples, round_=round_)
        if self.did_something:
            self.workforce.progress.say(
                "indicator  none: the budget has no time for the students that it is fitted on, so nothing is searched"
            )

    def _fit(self, trainings: Trainings) -> FinalModel | None:
        return FinalModel.fit(trainings, space=self.workforce.study.settings.space)

    def _follow(
        self,
        policy_of: Callable[[Trainings], Policy],
        candidates: Sequence[Begun],
        *,
        round_: int,
        may_draw: bool = False,
    ) -> None:
        """Do what a policy says until it says nothing more.

        Steps are done together before it is asked again; asynchronously it is asked whenever a worker is free, and
        where time is left for another round, that one begins beside what still runs.

        Args:
            may_draw: Whether the candidates are samples, of which more are drawn where time outlasts them.
        """
        is_asynchronous = self.workforce.study.settings.search.asynchronous
        while True:
            trainings, students = self._stored.read(candidates, round_)
            if len(trainings.running) >= self.workforce.num_workers:
                self._wait_for_any()
                continue
            if may_draw and len(more := self._more_samples(trainings, candidates)) > len(candidates):
                candidates = more
                continue
            policy = policy_of(trainings)
            steps = policy.next(trainings)
            if not steps:
                if not trainings.running or (is_asynchronous and self._goes_on_after(round_)):
                    return
                self._wait_for_any()
                continue
            means = policy.model.predict(trainings) if isinstance(policy, RoundsPolicy) and policy.model else None
            if is_asynchronous:
                self._enqueue(steps, students, means, round_)
            else:
                self._do(steps, students, means, round_)

    def _say_time(self) -> None:
        budget = self._stored.budget()
        if budget is not None and budget.used_s - self._said_s >= _SAID_EVERY * 60 * budget.minutes:
            self._said_s = budget.used_s
            self.workforce.progress.say(f"budget     {budget}")

    def _do(self, steps: Sequence[Step], students: Sequence[Begun], predicted: Any, round_: int) -> None:
        """Queue the steps together, and wait until they are done."""
        self._wait_for(self._enqueue(steps, students, predicted, round_))
        self._say_time()

    def _enqueue(self, steps: Sequence[Step], students: Sequence[Begun], predicted: Any, round_: int) -> list[Job]:
        """Queue the steps together."""
        full = self.workforce.study.settings.rungs[-1]
        jobs = []
        for step in steps:
            one = students[step.student]
            files = one.result.files if one.result is not None else {}
            is_last = step.epochs == full
            is_proposal = one.name.isdigit()
            jobs.append(
                Job(
                    key=f"front/{round_}/{one.name}" if is_last else f"rung/{step.epochs}/{one.name}",
                    purpose="front" if is_last else "indicator",
                    hyperparameters=one.student,
                    epochs=step.epochs,
                    round=round_,
                    origin=int(one.name) if is_last and is_proposal else None,
                    predicted=_prediction(predicted, step.student) if is_last else None,
                    schedule_epochs=None if is_last else full,
                    continues={name: files[name] for name in (CHECKPOINT_FILE,) if name in files},
                )
            )
        Pool(self.workforce.study.storage, self.workforce.study.name).enqueue(jobs)
        return jobs

    def _finish_queued(self) -> None:
        """What a run before this one asked for and did not see done."""
        self._wait_for(self._stored.queued())

    def _wait_for_any(self) -> None:
        self.did_something = True
        self.workforce.wait_for_any(self._stored.queued(), {purpose: phase for purpose, _, phase in _PURPOSES})
        self._say_time()

    def _wait_for(self, jobs: Sequence[Job]) -> None:
        for purpose, what, phase in _PURPOSES:
            own = [job for job in jobs if job.purpose == purpose]
            if own:
                self.did_something |= self.workforce.work(own, what, phase=phase, is_batch=True)


class _Opening:
    """Trains students to the end until a model can be fitted."""

    def __init__(self, model: FinalModel | None) -> None:
        self._is_ready = model is not None

    def next(self, trainings: Trainings) -> list[Step]:
        return [] if self._is_ready else trainings.to_finish_of_each_family()


def _prediction(predicted: Any, student: int) -> Mapping[str, float] | None:
    """As a job keeps it: the mean, and the standard deviation of a normal distribution with the same middle 96 %."""
    if predicted is None:
        return None
    means, levels = predicted
    return {
        "effectiveness": float(means[student]),
        "std": float(levels[-1, student] - levels[0, student]) / (2 * _TO_98),
    }


_TO_98 = 2.0537
"""The 98 % quantile of a standard normal distribution."""
