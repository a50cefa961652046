"""What waiting costs: policies that decide together or whenever a worker is free, replayed with several workers.

    OMP_NUM_THREADS=1 python -m benchmarks.landscape_workers [--workers 2 16] [--epochs 400] [--seeds 20]

Each way spends the same student-epochs on the students of `benchmarks/data/landscape.jsonl`; a training takes the
seconds of its epochs, as they were measured, and is done by the worker that is free first. Prints markdown: seconds
until the last training ends beside those of `rounds` with four at once (the default), and the share of the hypervolume
that is found, means over seeds with 95 % intervals; differences are paired by seed.
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from avatar_optuna.study import (
    AsynchronousHalving,
    FinalModel,
    Policy,
    RoundsPolicy,
    Step,
    SuccessiveHalving,
    Trainings,
)
from benchmarks.landscape_table import FOLDER, Landscape, read_landscapes

RUNGS = (1, 4, 20)
FIRST = 12
"""Students that rounds begin with."""


@dataclass(kw_only=True, eq=False)
class Simulation:
    """A study on a table, with a clock.

    Args:
        table: The students.
        epoch_s: Seconds of an epoch of each.
        order: In which candidates stand.
        workers: How many there are.
        left: Student-epochs.
    """

    table: Landscape
    epoch_s: np.ndarray
    order: np.ndarray
    workers: int
    left: int
    now_s: float = 0.0
    epochs: np.ndarray = field(init=False)
    running: dict[int, int] = field(default_factory=dict, init=False)
    _ends: list[tuple[float, int]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.epochs = np.zeros(len(self.table), dtype=np.int64)

    def trainings(self) -> Trainings:
        """What a policy sees; candidates stand in their order."""
        columns = self.table.part(self.order)
        return Trainings(
            students=columns.students(),
            curves=self.table.curves(self.order, self.epochs[self.order]),
            is_lost=np.zeros(len(self.order), dtype=np.bool_),
            costs=self.table.costs[self.order],
            rungs=RUNGS,
            left=self.left,
            running={place: self.running[int(one)] for place, one in enumerate(self.order) if int(one) in self.running},
        )

    def begin(self, step: Step) -> None:
        """By the worker that is free first: the clock goes on to the end of a training where none is free."""
        if len(self.running) == self.workers:
            self.wait_for_any()
        student = int(self.order[step.student])
        missing = step.epochs - int(self.epochs[student])
        self.left -= missing
        self.running[student] = step.epochs
        heapq.heappush(self._ends, (self.now_s + missing * float(self.epoch_s[student]), student))

    def wait_for_any(self) -> None:
        """The clock goes on to the end of the training that ends first."""
        self.now_s, student = heapq.heappop(self._ends)
        self.epochs[student] = self.running.pop(student)

    def wait_for_all(self) -> None:
        """The clock goes on to the end of the last training."""
        while self.running:
            self.wait_for_any()


def follow(simulation: Simulation, policy_of: Callable[[Trainings], Policy], *, is_asynchronous: bool) -> None:
    """As a study does it."""
    while True:
        if len(simulation.running) == simulation.workers:
            simulation.wait_for_any()
        trainings = simulation.trainings()
        steps = policy_of(trainings).next(trainings)
        if not steps and not simulation.running:
            return
        for step in steps:
            simulation.begin(step)
        if not is_asynchronous:
            simulation.wait_for_all()
        elif not steps:
            simulation.wait_for_any()


def rounds(simulation: Simulation, *, at_once: int, is_asynchronous: bool) -> None:
    """First rungs of some, two to the end, then whoever promises most."""
    for place in range(FIRST):
        simulation.begin(Step(student=place, epochs=RUNGS[0]))
    simulation.wait_for_all()
    space = simulation.table.space
    follow(
        simulation,
        lambda trainings: RoundsPolicy(FinalModel.fit(trainings, space=space), at_once=at_once),
        is_asynchronous=is_asynchronous,
    )


WAYS: dict[str, Callable[[Simulation], None]] = {
    "rounds, four at once": lambda simulation: rounds(simulation, at_once=4, is_asynchronous=False),
    "rounds, as many at once as workers": lambda simulation: rounds(
        simulation, at_once=simulation.workers, is_asynchronous=False
    ),
    "rounds, asynchronous": lambda simulation: rounds(simulation, at_once=1, is_asynchronous=True),
    "successive halving": lambda simulation: follow(simulation, lambda _: SuccessiveHalving(), is_asynchronous=False),
    "successive halving, asynchronous": lambda simulation: follow(
        simulation, lambda _: AsynchronousHalving(), is_asynchronous=True
    ),
}


def main() -> None:
    """Replay, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, nargs="*", default=[2, 16])
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=20)
    options = parser.parse_args()
    print("| students | workers | way | seconds | beside four at once | hypervolume, % | difference |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: |")
    for table in read_landscapes():
        epoch_s = _epoch_seconds(table)
        for workers in options.workers:
            outcomes: dict[str, np.ndarray] = {}
            for name, way in WAYS.items():
                seeds = range(options.seeds)
                outcomes[name] = np.asarray([_outcome(table, epoch_s, workers, options, way, seed) for seed in seeds])
                first = outcomes["rounds, four at once"]
                seconds, share = outcomes[name].T
                print(
                    f"| {table.name} | {workers} | {name} | {seconds.mean():.0f} | "
                    f"{_interval(seconds / first[:, 0])} | {_interval(100 * share)} | "
                    f"{_interval(100 * (share - first[:, 1]))} |",
                    flush=True,
                )


def _outcome(
    table: Landscape,
    epoch_s: np.ndarray,
    workers: int,
    options: argparse.Namespace,
    way: Callable[[Simulation], None],
    seed: int,
) -> tuple[float, float]:
    """Seconds, and the share of the hypervolume."""
    order = np.random.default_rng(seed).permutation(len(table))
    simulation = Simulation(table=table, epoch_s=epoch_s, order=order, workers=workers, left=options.epochs)
    way(simulation)
    return simulation.now_s, table.share(np.flatnonzero(simulation.epochs == table.full).tolist())


def _epoch_seconds(table: Landscape) -> np.ndarray:
    """The median of each student's epochs, in the order of the table."""
    rows = [json.loads(line) for line in (FOLDER / "landscape.jsonl").read_text().splitlines()]
    own = [row for row in rows if table.name.startswith(f"{row['space']} (")]
    return np.asarray([np.median(row["epoch_seconds"]) for row in own])


def _interval(values: np.ndarray) -> str:
    """Mean and 95 % interval over seeds."""
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.2f} ± {half:.2f}"


if __name__ == "__main__":
    main()
