"""What the phases of a study take: seconds, and joules where a counter can be read, added up over all its runs.

What a killed process spent on the phase it was in is lost; jobs keep their own time.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from optuna.trial import TrialState

from avatar_optuna.measurement import EnergyCounter, open_counter
from avatar_optuna.schema import COST, Job, JobResult, PhaseCost, Purpose, StudyCost
from avatar_optuna.study import AvatarStudy


@dataclass(frozen=True, kw_only=True)
class Meter:
    """Seconds and joules since it was started.

    Args:
        begun_s: Of the monotonic clock.
        counters: One for each device; empty where one of them has none that can be read.
        begun_j: What they read at the start.
    """

    begun_s: float
    counters: tuple[EnergyCounter, ...]
    begun_j: float

    @classmethod
    def start(cls, devices: Collection[str]) -> Meter:
        """Begin to count the energy of some devices; of none, time alone."""
        opened = [open_counter(device) for device in sorted(set(devices))]
        counters = tuple(counter for counter in opened if counter is not None)
        if len(counters) < len(opened):
            counters = ()
        begun_j = _read(counters)
        return cls(begun_s=time.monotonic(), counters=counters if begun_j is not None else (), begun_j=begun_j or 0.0)

    def spent(self, jobs: int = 0) -> PhaseCost:
        """What was spent since."""
        seconds, ended_j = time.monotonic() - self.begun_s, _read(self.counters)
        if ended_j is None:
            return PhaseCost(seconds=seconds, jobs=jobs)
        return PhaseCost(
            seconds=seconds, energy_j=ended_j - self.begun_j, energy_source=self.counters[0].source, jobs=jobs
        )


def _read(counters: Collection[EnergyCounter]) -> float | None:
    """The sum of the counters; None without any, or where one of them fails."""
    try:
        return sum(counter.read_j() for counter in counters) if counters else None
    except OSError:
        return None


def add(study: AvatarStudy, phase: str, spent: PhaseCost) -> None:
    """Add to a phase; its energy is known only where that of every part is."""
    phases = dict(_stored(study).phases)
    before = phases.get(phase)
    if before is not None:
        energies = (before.energy_j, spent.energy_j)
        energy_j = None if None in energies else sum(joules for joules in energies if joules is not None)
        spent = replace(
            spent,
            seconds=before.seconds + spent.seconds,
            energy_j=energy_j,
            energy_source=spent.energy_source if energy_j is not None else None,
            jobs=before.jobs + spent.jobs,
        )
    study.set_attribute(COST, StudyCost(phases={**phases, phase: spent}).to_dict())


@contextmanager
def counted(study: AvatarStudy, phase: str, device: str) -> Iterator[None]:
    """Add what the block takes to a phase, once it has ended well."""
    meter = Meter.start([device])
    yield
    add(study, phase, meter.spent())


def add_jobs(study: AvatarStudy, phase: str, purpose: Purpose, meter: Meter, *, share: float = 1.0) -> None:
    """Add the jobs of a purpose that were done: the time of them all by their own records, joules by the counters.

    Args:
        meter: Runs since the jobs of this run began, on the devices of its own workers.
        share: Of the joules that it counted.
    """
    trials = study.distilled.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    seconds = [JobResult.from_trial(t).seconds for t in trials if Job.from_trial(t).purpose == purpose]
    before = _stored(study).phases.get(phase, PhaseCost(seconds=0.0))
    spent = meter.spent(jobs=len(seconds) - before.jobs)
    energy_j = spent.energy_j if spent.energy_j is None else share * spent.energy_j
    add(study, phase, replace(spent, seconds=sum(seconds) - before.seconds, energy_j=energy_j))


def _stored(study: AvatarStudy) -> StudyCost:
    return study.stored(StudyCost, COST) or StudyCost(phases={})
