"""The search engine against what else there is: speed, share of the exact front, growth, the time of a verdict.

    OMP_NUM_THREADS=1 python -m benchmarks.search [--parts speed versions screening volume growth checks] [--quick]

Prints markdown, medians over seeds. Each measurement is appended to `--ledger` as it comes; the same command goes on
where one was stopped, and a new ledger begins anew. `--quick` is a smoke run of a few minutes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import optuna
from scipy import stats

from avatar_optuna.costs import TaskShape
from avatar_optuna.feasibility import Feasibility, candidates, tighten
from avatar_optuna.objective import Objective
from avatar_optuna.pareto import Values, hypervolume
from avatar_optuna.pareto.exact import exact_front
from avatar_optuna.settings import StudySettings, load_study_file
from avatar_optuna.storage import open_storage
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.study import create_study, search, searched
from benchmarks.searchers import LIMIT_MB, POPULATION, SEARCHERS, Problem, bred, constrained, fitted, ours, stand_in
from tests.postgres import PostgresServer

BUDGETS = (200, 1000, 5000)
MILESTONES = (1_000, 10_000, 50_000)
STUDY = f"""
name = "benchmark"
[task]
kind = "clone-detection"
data = "nowhere"
[teacher]
soft_labels = "nowhere"
[constraints]
size_mb = "<= {LIMIT_MB:g}"
[search]
n_trials = N_TRIALS
population_size = {POPULATION}
seed = SEED
"""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """Measurements that stand, one JSON object a line.

    Args:
        path: The file.
    """

    path: Path

    def measured(self, key: str, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What stands under a key, else what is measured now, which is written down and printed."""
        for line in self.path.read_text().splitlines() if self.path.is_file() else []:
            entry = json.loads(line)
            if entry["key"] == key:
                return dict(entry["figures"])
        figures = dict(measure())
        with self.path.open("a") as stream:
            stream.write(json.dumps({"key": key, "figures": figures}) + "\n")
        print(f"<!-- {key}: {json.dumps(figures)} -->", flush=True)
        return figures


# Speed ----------------------------------------------------------------------------------------------------------------


def speed(ledger: Ledger, options: argparse.Namespace) -> None:
    """Feasible trials stored a second, by database."""
    trials = 300 if options.quick else 2_000
    box_s = 5.0 if options.quick else options.stock_s
    rates: dict[tuple[str, str], float] = {}
    counts: dict[str, str] = {}
    with databases() as urls:
        for kind, new_url in urls.items():
            own_runs, stock = [], []
            for seed in range(options.seeds):
                key = f"speed/{kind}/ours/{trials}/{seed}"
                own_runs.append(ledger.measured(key, lambda url=new_url, seed=seed: our_speed(url(), trials, seed)))
                key = f"speed/{kind}/stock/{box_s:g}/{seed}"
                stock.append(ledger.measured(key, lambda url=new_url, seed=seed: stock_speed(url(), box_s, seed)))
            rates[kind, "ours"] = float(np.median([entry["feasible"] / entry["seconds"] for entry in own_runs]))
            feasible, drawn, seconds = (sum(entry[k] for entry in stock) for k in ("feasible", "trials", "seconds"))
            rates[kind, "stock"] = max(feasible, 1) / seconds
            counts[kind] = f"{feasible} feasible of {drawn:,} trials in {seconds:.0f} s" + (
                "; the rate is that of one" if not feasible else ""
            )
    memory = [
        ledger.measured(f"speed/memory/{trials}/{seed}", lambda seed=seed: memory_speed(trials, seed))
        for seed in range(options.seeds)
    ]
    in_memory = float(np.median([entry["trials"] / entry["seconds"] for entry in memory]))
    print("\n### Feasible trials stored a second\n")
    print("| database | ours | Optuna's NSGA-II, Z3 rejects | ratio | ours / Optuna in memory |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in counts:
        own, other = rates[kind, "ours"], rates[kind, "stock"]
        loop = f"{other:.3f} ({counts[kind]})"
        print(f"| {kind} | {own:,.0f} | {loop} | {own / other:,.0f} | {own / in_memory:.2f} |")
    print(f"\nOptuna's NSGA-II in memory, all trials counted, nothing checked or stored: {in_memory:,.0f} a second.\n")


@contextmanager
def databases() -> Iterator[dict[str, Callable[[], str]]]:
    """A function that makes a fresh database, for each kind; commits wait for the disk."""
    with tempfile.TemporaryDirectory() as folder:
        server = PostgresServer(durable=True)
        try:
            yield {
                "SQLite": lambda: f"sqlite:///{tempfile.mkdtemp(dir=folder)}/studies.db",
                "PostgreSQL": server.new_database,
            }
        finally:
            server.delete()


def settings_of(n_trials: int, seed: int) -> StudySettings:
    """The paper's space under 3 MB, as a study file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "study.toml"
        path.write_text(STUDY.replace("N_TRIALS", str(n_trials)).replace("SEED", str(seed)))
        return load_study_file(path)


def objective_of(settings: StudySettings) -> tuple[Objective, Feasibility]:
    """What a study's search is given."""
    feasibility = Feasibility(space=settings.space, constraints=settings.constraints, task_shape=TaskShape(arity=2))
    objective = Objective(
        space=settings.space,
        task_shape=TaskShape(arity=2),
        objectives=settings.search.objectives,
        feasibility=feasibility,
        indicator=fitted(),
    )
    return objective, feasibility


def our_speed(url: str, trials: int, seed: int) -> dict[str, float]:
    """The search of a study, from the opened study to the last generation landed."""
    settings = settings_of(trials, seed)
    study = create_study(settings, open_storage(url), artifacts="nowhere")
    objective, feasibility = objective_of(settings)
    begun = time.perf_counter()
    found = search(study, objective, feasibility)
    return {"feasible": len(found), "seconds": time.perf_counter() - begun}


def stock_speed(url: str, box_s: float, seed: int) -> dict[str, float]:
    """Optuna's own loop and storage: NSGA-II draws, Z3 prunes what is infeasible."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    objective, _ = objective_of(settings_of(1, seed))
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(storage=url, sampler=sampler, directions=["maximize", "minimize", "minimize"])
    begun = time.perf_counter()
    study.optimize(objective, timeout=box_s)
    seconds = time.perf_counter() - begun
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    return {"feasible": states.count(optuna.trial.TrialState.COMPLETE), "trials": len(states), "seconds": seconds}


def memory_speed(trials: int, seed: int) -> dict[str, float]:
    """Optuna's NSGA-II in memory: trials of any kind."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = Problem.paper(fitted().rank_columns)
    sampler = optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
    study = optuna.create_study(sampler=sampler, directions=["maximize", "minimize", "minimize"])
    begun = time.perf_counter()
    study.optimize(lambda trial: (constrained(problem, trial)[0] * [-1, 1, 1])[0].tolist(), n_trials=trials)
    return {"trials": trials, "seconds": time.perf_counter() - begun}


# Beside an earlier version --------------------------------------------------------------------------------------------

SEARCH_ONCE = """
import json, sys, time
from avatar_optuna.storage import open_storage
from avatar_optuna.study import create_study, search
from benchmarks.search import objective_of, settings_of

url, trials, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
settings = settings_of(trials, seed)
study = create_study(settings, open_storage(url), artifacts="nowhere")
objective, feasibility = objective_of(settings)
begun, begun_cpu = time.perf_counter(), time.process_time()
found = search(study, objective, feasibility)
seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu_seconds, "values": found.values.tolist()}))
"""
"""Runs in the tree of this version and of earlier ones alike."""


def versions(ledger: Ledger, options: argparse.Namespace) -> None:
    """Feasible trials stored a second, and hypervolume, of this version beside an earlier one, by turns."""
    counts = (200,) if options.quick else options.version_trials
    problem = Problem.paper(fitted().rank_columns)
    share = share_of(exact_front(problem.feasibility, problem.effectiveness, problem.costs).values)
    with databases() as urls, tempfile.TemporaryDirectory() as folder:
        archive = subprocess.run(["git", "archive", options.before], check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", folder], check=True, input=archive)
        trees = {options.before: Path(folder), "this version": Path.cwd()}
        print("\n### Feasible trials stored a second, and share of the exact front's hypervolume\n")
        print(
            "| database | trials | version | trials a second (lowest to highest) | of processor time | hypervolume, % |"
        )
        print("| --- | ---: | --- | ---: | ---: | ---: |")
        for kind, trials in itertools.product(urls, counts):
            runs: dict[str, list[dict[str, Any]]] = {version: [] for version in trees}
            for seed, version in itertools.product(range(options.version_seeds), trees):
                key = f"versions/{kind}/{trials}/{version}/{seed}"
                once = partial(searched_once, trees[version], urls[kind], trials, seed, share)
                runs[version].append(ledger.measured(key, once))
            for version, measured in runs.items():
                rates = [run["trials"] / run["seconds"] for run in measured]
                of_processor = [run["trials"] / run["cpu_seconds"] for run in measured]
                volumes = [100 * run["share"] for run in measured]
                cells = [spread(rates, ",.0f"), spread(of_processor, ",.0f"), spread(volumes, ".2f")]
                print(f"| {kind} | {trials:,} | {version} | {' | '.join(cells)} |", flush=True)


def spread(values: list[float], digits: str) -> str:
    """Median (lowest to highest)."""
    return f"{np.median(values):{digits}} ({min(values):{digits}} to {max(values):{digits}})"


def searched_once(
    tree: Path, new_url: Callable[[], str], trials: int, seed: int, share: Callable[[Values], float]
) -> dict[str, Any]:
    """One search in a process of its own, of the version that lies in a folder; with the load of the machine before."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-c", SEARCH_ONCE, new_url(), str(trials), str(seed)]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    ended = subprocess.run(command, check=True, capture_output=True, text=True, cwd=tree, env=environment)
    found = json.loads(ended.stdout.splitlines()[-1])
    values = np.asarray(found["values"]) * [-1, 1, 1]
    times = {key: found[key] for key in ("seconds", "cpu_seconds")}
    return {"trials": len(values), **times, "share": share(values), "load": load}


# Screening ------------------------------------------------------------------------------------------------------------


def screening(ledger: Ledger, options: argparse.Namespace) -> None:
    """What screening adds to the share of the exact front's hypervolume: differences paired by seed."""
    budgets = (100,) if options.quick else (100, 300, 1_000)
    print("\n### Screening on and off, share of the exact front's hypervolume\n")
    print("| problem | trials | on | off | difference in points, 95 % interval |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for title, effectiveness in {"the stand-in": stand_in, "the fitted indicator": fitted().rank_columns}.items():
        problem = Problem.paper(effectiveness)
        share = share_of(exact_front(problem.feasibility, problem.effectiveness, problem.costs).values)
        reached: dict[str, list[list[float]]] = {"on": [], "off": []}
        for seed, (name, searcher) in itertools.product(range(options.pairs), (("on", ours), ("off", bred))):
            key = f"screening/{title}/{name}/{budgets[-1]}/{seed}"
            once = partial(shares, searcher(problem, seed), share, budgets, float("inf"))
            reached[name].append(ledger.measured(key, once)["shares"])
        on, off = np.asarray(reached["on"]), np.asarray(reached["off"])
        for index, budget in enumerate(budgets):
            low, middle, high = interval(100 * (on - off)[:, index])
            print(
                f"| {title} | {budget:,} | {np.median(on[:, index]):.1%} | {np.median(off[:, index]):.1%} | "
                f"{middle:.1f} [{low:.1f}, {high:.1f}] |"
            )


def interval(differences: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of paired differences and its 95 % interval by Student's t: low, mean, high."""
    mean, error = float(differences.mean()), float(stats.sem(differences))
    low, high = stats.t.interval(0.95, len(differences) - 1, loc=mean, scale=error)
    return float(low), mean, float(high)


# Volume ---------------------------------------------------------------------------------------------------------------


def volume(ledger: Ledger, options: argparse.Namespace) -> None:
    """Share of the exact front's hypervolume, by searcher and feasible evaluations."""
    for title, effectiveness in {"the stand-in": stand_in, "the fitted indicator": fitted().rank_columns}.items():
        compared(title, Problem.paper(effectiveness), ledger, options)


def compared(title: str, problem: Problem, ledger: Ledger, options: argparse.Namespace) -> None:
    """One table of shares."""
    budgets = BUDGETS[:1] if options.quick else BUDGETS
    exact = exact_front(problem.feasibility, problem.effectiveness, problem.costs)
    share = share_of(exact.values)
    lines = [f"| searcher | {' | '.join(f'{budget:,}' for budget in budgets)} |", f"| --- |{' ---: |' * len(budgets)}"]
    for name, searcher in SEARCHERS.items():
        runs = [
            ledger.measured(
                f"volume/{title}/{name}/{budgets[-1]}/{options.box_s:g}/{seed}",
                lambda searcher=searcher, seed=seed: shares(searcher(problem, seed), share, budgets, options.box_s),
            )
            for seed in range(options.seeds)
        ]
        lines.append(f"| {name} | " + " | ".join(_cell(runs, budgets, index) for index in range(len(budgets))) + " |")
    print(f"\n### Share of the exact front's hypervolume, {title}\n")
    print(f"{len(exact.values):,} points on the exact front of {exact.looked_at:,} feasible lattice points.\n")
    print("\n".join(lines), flush=True)


def share_of(exact: Values) -> Callable[[Values], float]:
    """Hypervolume over the exact front's, objectives scaled to [0, 1] over that front, below (1.1, 1.1, 1.1)."""
    low, span = exact.min(axis=0), np.ptp(exact, axis=0)
    corner = np.full(len(low), 1.1)
    whole = hypervolume((exact - low) / span, corner)
    return lambda values: hypervolume((values - low) / span, corner) / whole


def shares(
    found: Iterator[Values], share: Callable[[Values], float], budgets: tuple[int, ...], box_s: float
) -> dict[str, Any]:
    """Shares at each budget; where the time box ends a run, at what it had evaluated by then."""
    values, reached = np.zeros((0, 3)), []
    begun = time.process_time()  # of the processor: shares do not depend on what else the machine does
    for batch in found:
        values = np.concatenate([values, batch])
        while len(reached) < len(budgets) and len(values) >= budgets[len(reached)]:
            reached.append(share(values[: budgets[len(reached)]]))
        if len(reached) == len(budgets) or time.process_time() - begun > box_s:
            break
    evaluated = min(len(values), budgets[-1])
    if len(reached) < len(budgets):
        reached.append(share(values))
    return {"shares": reached, "evaluated": evaluated, "seconds": time.process_time() - begun}


def _cell(runs: list[dict[str, Any]], budgets: tuple[int, ...], index: int) -> str:
    """Median over seeds and its spread; where the box ended runs, how many evaluations they had."""
    at = [run["shares"][index] for run in runs if len(run["shares"]) > index]
    if not at:
        return "not reached"
    text = f"{np.median(at):.1%} ({min(at):.1%} to {max(at):.1%})"
    short = [run["evaluated"] for run in runs if run["evaluated"] < budgets[index] and len(run["shares"]) > index]
    return f"{text}, at {min(short):,}" if short else text


# Growth ---------------------------------------------------------------------------------------------------------------


def growth(ledger: Ledger, options: argparse.Namespace) -> None:
    """Time per trial as a study grows, and time to reopen it."""
    milestones = MILESTONES[:1] if options.quick else MILESTONES
    with databases() as urls:
        for kind, new_url in urls.items():
            runs = [
                ledger.measured(
                    f"growth/{kind}/{milestones[-1]}/{seed}",
                    lambda url=new_url, seed=seed: grown(url(), milestones, seed),
                )
                for seed in range(min(options.seeds, options.growth_seeds))
            ]
            print(f"\n### Growth, {kind}\n")
            print("| trials | ms a trial, over the last 1,000 |")
            print("| ---: | ---: |")
            for index, count in enumerate(milestones):
                print(f"| {count:,} | {np.median([run['ms'][index] for run in runs]):.2f} |")
            read_s, resume_s = (np.median([run[k] for run in runs]) for k in ("read_s", "resume_s"))
            print(
                f"\nReopening a study of {milestones[-1]:,}: {read_s:.1f} s to read all trials, {resume_s:.1f} s from "
                "the opened study to the next generation landed.\n",
                flush=True,
            )


def grown(url: str, milestones: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Milliseconds a trial over the last 1,000 before each milestone; seconds to read and to resume."""
    settings = settings_of(milestones[-1], seed)
    study = create_study(settings, open_storage(url), artifacts="nowhere")
    objective, feasibility = objective_of(settings)
    times: dict[int, float] = {}
    search(study, objective, feasibility, on_generation=lambda count: times.setdefault(count, time.perf_counter()))
    at = np.asarray(sorted(times))
    when = np.asarray([times[count] for count in at])
    ms = []
    for milestone in milestones:
        last, first = np.searchsorted(at, milestone), np.searchsorted(at, milestone - 1_000)
        ms.append(1000 * float(when[last] - when[first]) / float(at[last] - at[first]))
    begun = time.perf_counter()
    reopened = create_study(settings_of(milestones[-1] + POPULATION, seed), open_storage(url), artifacts="nowhere")
    searched(reopened, round_=0)
    read_s = time.perf_counter() - begun
    begun = time.perf_counter()
    search(reopened, objective, feasibility)
    return {"ms": ms, "read_s": read_s, "resume_s": time.perf_counter() - begun}


# Checks ---------------------------------------------------------------------------------------------------------------


def checks(ledger: Ledger, options: argparse.Namespace) -> None:
    """The time of a verdict and of the bounds."""
    count = 100 if options.quick else 1_000
    runs = [
        ledger.measured(f"checks/{count}/{seed}", lambda seed=seed: check_times(count, seed))
        for seed in range(options.seeds)
    ]
    print("\n### Z3\n")
    print("| what | median |")
    print("| --- | ---: |")
    for key, label in (
        ("feasible_ms", "verdict on a feasible configuration"),
        ("infeasible_ms", "verdict on an infeasible one, with its reasons"),
        ("bounds_s", "exact bounds of all thirteen"),
    ):
        unit = key.split("_")[1]
        print(f"| {label} | {np.median([run[key] for run in runs]):.2f} {unit} |", flush=True)


def check_times(count: int, seed: int) -> dict[str, float]:
    """Milliseconds a verdict, seconds of the bounds."""
    rng = np.random.default_rng(seed)
    feasibility = Problem.paper(stand_in).feasibility
    feasible = feasibility.lattice.decode(candidates(feasibility, count, rng)).students()
    drawn = feasibility.lattice.decode(
        rng.integers(0, feasibility.lattice.sizes, size=(2 * count, len(TRANSFORMER.names)))
    )
    broken = np.flatnonzero(~feasibility.holds(drawn))[:count]
    rows = [{name: drawn.values[name][index].item() for name in TRANSFORMER.names} for index in broken]
    return {
        "feasible_ms": _verdict_ms(feasibility, [student.to_dict() for student in feasible], holds=True),
        "infeasible_ms": _verdict_ms(feasibility, rows, holds=False),
        "bounds_s": tighten(feasibility, seed=seed).seconds,
    }


def _verdict_ms(feasibility: Feasibility, rows: list[dict[str, Any]], *, holds: bool) -> float:
    begun = time.perf_counter()
    verdicts = [feasibility.check(row).feasible for row in rows]
    taken = time.perf_counter() - begun
    assert verdicts == [holds] * len(rows)
    return 1000 * taken / len(rows)


PARTS: Mapping[str, Callable[[Ledger, argparse.Namespace], None]] = {
    "speed": speed,
    "versions": versions,
    "screening": screening,
    "volume": volume,
    "growth": growth,
    "checks": checks,
}


def main() -> None:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=tuple(PARTS), default=list(PARTS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--before", default="bfd45f1", help="commit that `versions` runs beside this version")
    parser.add_argument("--version-seeds", type=int, default=3, help="of the versions part")
    parser.add_argument("--version-trials", nargs="+", type=int, default=(1_000, 10_000), help="of the versions part")
    parser.add_argument("--pairs", type=int, default=10, help="seeds of the screening part")
    parser.add_argument("--growth-seeds", type=int, default=1, help="of the growth part")
    parser.add_argument("--stock-s", type=float, default=60.0, help="seconds that the stock loop gets, a seed")
    parser.add_argument(
        "--box-s", type=float, default=300.0, help="seconds of the processor that a searcher gets, a seed"
    )
    parser.add_argument("--quick", action="store_true", help="a smoke run: one seed, small budgets")
    parser.add_argument("--ledger", type=Path, default=Path("benchmark_search.jsonl"))
    options = parser.parse_args()
    if options.quick:
        options.seeds, options.version_seeds, options.pairs = 1, 1, 2
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, {date.today()}, "
        f"load {os.getloadavg()[0]:.1f}"
    )
    for part in options.parts:
        PARTS[part](Ledger(path=options.ledger), options)


if __name__ == "__main__":
    main()
