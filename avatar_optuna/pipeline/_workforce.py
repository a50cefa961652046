"""The jobs of one phase: queued, done by this machine's own workers where it has any, waited for."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.dashboard_notes import save_figures, write_notes
from avatar_optuna.exceptions import StudyError
from avatar_optuna.pipeline._cost import Meter, add_jobs
from avatar_optuna.pool import Patience, Pool, Slot, WorkerProcesses, pool_status
from avatar_optuna.progress import Progress
from avatar_optuna.schema import FAILED, Job, Purpose
from avatar_optuna.study import AvatarStudy

_POLL_S = 0.5
_NOTES_PAUSE = 20  # times as long as writing the last notes took
_patiently = Patience(lambda: False)  # jobs are waited for as long as their workers wait for the database


@dataclass(kw_only=True)
class Workforce:
    """Who does the jobs of a study.

    Args:
        slots: Where workers of this run work; empty leaves the jobs to others.
    """

    study: AvatarStudy
    storage_url: str
    slots: Sequence[Slot]
    cache_dir: Path
    progress: Progress
    _stack: ExitStack | None = field(default=None, init=False, repr=False)
    _kept: WorkerProcesses | None = field(default=None, init=False, repr=False)
    _next_notes_s: float = field(default=0.0, init=False, repr=False)

    @property
    def num_workers(self) -> int:
        """Workers of this run, or those of others where they are more; at least one."""
        alive = len(pool_status(self.study.storage, self.study.name).workers)
        return max(1, len(self.slots), alive)

    def work(self, jobs: Sequence[Job], what: str, *, phase: str, is_batch: bool = False) -> bool:
        """See that these jobs are done: queue those that are not known, and wait for the workers.

        Args:
            jobs: All of one purpose.
            what: What they make, for people.
            phase: What their cost is kept under.
            is_batch: Whether they are one batch of many: all of them may fail, and notes are not written after each.

        Returns:
            Whether any of them was left to do.

        Raises:
            StudyError: All of the jobs failed, and they are not one batch of many.
        """
        Pool(self.study.storage, self.study.name).enqueue(jobs)
        keys = {job.key for job in jobs}
        had_work = self._left(keys) > 0
        if had_work:
            begun = time.monotonic()
            meter = Meter.start([slot.name for slot in self.slots])
            with self.progress.bar(f"{what}: distilled", len(jobs)) as update:
                self._wait(keys, self._noting(update))
            add_jobs(self.study, phase, jobs[0].purpose, meter)
            if is_batch:
                self._note()
            else:
                write_notes(self.study)
                save_figures(self.study)
            self.progress.say(f"{what:<10} {len(jobs)} distilled in {time.monotonic() - begun:.0f} s")
        trials = self._trials(keys)
        failed = self._say_failed(trials, what)
        if trials and failed == len(trials) and not is_batch:
            raise StudyError(f"all {failed} {what} failed; `avatar-optuna status` tells why")
        return had_work

    def wait_for_any(self, jobs: Sequence[Job], phases: Mapping[Purpose, str]) -> None:
        """Wait until at least one of some queued jobs is done.

        Args:
            phases: What the cost of jobs of each purpose is kept under.
        """
        keys = {job.key for job in jobs}
        meter = Meter.start([slot.name for slot in self.slots])
        with self.progress.busy(f"{len(jobs)} trainings wait or run"):
            self._wait(keys, lambda _: None, rest=len(keys) - 1)
        ended = [trial for trial in self._trials(keys) if trial.state.is_finished()]
        self._say_failed(ended, "trainings")
        purposes = Counter(Job.from_trial(trial).purpose for trial in ended)
        for purpose, count in purposes.items():
            add_jobs(self.study, phases[purpose], purpose, meter, share=count / len(ended))
        self._note()

    def _note(self) -> None:
        """Write the dashboard's notes, for a twentieth of the time at most: those of some hundred jobs take seconds."""
        begun = time.monotonic()
        if begun >= self._next_notes_s:
            _patiently(lambda: write_notes(self.study))
            self._next_notes_s = begun + _NOTES_PAUSE * (time.monotonic() - begun)

    def _say_failed(self, trials: Sequence[FrozenTrial], what: str) -> int:
        """Say of each that failed why it did; returns how many."""
        failed = [trial for trial in trials if trial.state is TrialState.FAIL]
        for trial in failed:
            reason = trial.user_attrs.get(FAILED, "for no stated reason")
            self.progress.say(f"{what:<10} job {trial.number} failed: {reason}")
        return len(failed)

    def _noting(self, update: Callable[[int], None]) -> Callable[[int], None]:
        """Writes the dashboard's notes whenever a job was done."""
        noted = 0

        def told(done: int) -> None:
            nonlocal noted
            update(done)
            if done > noted:
                noted = done
                self._note()

        return told

    @contextmanager
    def kept_workers(self) -> Iterator[None]:
        """Workers that begin with the first job of the block and stay to its end: each loads the teacher anew."""
        with ExitStack() as stack:
            self._stack = stack
            try:
                yield
            finally:
                self._stack = self._kept = None

    def _wait(self, keys: set[str], update: Callable[[int], None], *, rest: int = 0) -> None:
        """Until at most `rest` of the jobs are left."""
        if not self.slots:
            while (left := self._left(keys)) > rest:
                update(len(keys) - left)
                time.sleep(_POLL_S)
        elif self._stack is not None:
            if self._kept is None:
                self._kept = self._stack.enter_context(self._workers(until_empty=False))
            self._wait_for(self._kept, keys, update, rest)
        else:
            with self._workers(until_empty=True) as workers:
                self._wait_for(workers, keys, update, rest)

    def _workers(self, *, until_empty: bool) -> WorkerProcesses:
        return WorkerProcesses(
            self.storage_url,
            self.study.name,
            slots=self.slots,
            cache_dir=self.cache_dir,
            until_empty=until_empty,
            artifacts=self.study.artifacts,
        )

    def _wait_for(self, workers: WorkerProcesses, keys: set[str], update: Callable[[int], None], rest: int) -> None:
        while (left := self._left(keys)) > rest:
            update(len(keys) - left)
            if not workers.keep_alive() and self._left(keys) > rest:
                workers.begin()  # the last one was told to end, or a job came back since
            time.sleep(_POLL_S)

    def _trials(self, keys: set[str]) -> list[FrozenTrial]:
        trials = _patiently(lambda: self.study.distilled.get_trials(deepcopy=False))
        return [trial for trial in trials if trial.user_attrs.get("key") in keys]

    def _left(self, keys: set[str]) -> int:
        return sum(not trial.state.is_finished() for trial in self._trials(keys))
