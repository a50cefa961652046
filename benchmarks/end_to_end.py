"""What policies find from a broad space, with the same time each: whole studies, beside each other.

    python -m benchmarks.end_to_end STUDY.toml --policies rounds paper random --seeds 0 1 2 --minutes 5 \\
        --devices 'cuda:0*16' --work WORK --out OUT

Each study is the study file under another policy and seed, run by `avatar-optuna run` and stopped once its students
are distilled: nothing is timed. `paper` has no budget of time, but numbers: 20 students for a quarter of the epochs,
and as many of the front as `--paper-students` says; how long it took is in the table. Of each study, the student of at
most so many bytes with the best figure on validation is chosen, and its figure on test is read. `OUT/studies.jsonl`
gets a line a study, `OUT/table.md` the means of the seeds, with differences of `rounds` to each other policy, paired by
seed, and 95 % intervals by Student's t. Give the same command again to go on; without `--minutes`, the table alone is
made.

With `--landscape NAME`, the students that `random` trained in full are written as lines of
`benchmarks/data/landscape.jsonl` to `OUT/landscape.jsonl`, as students of the space NAME.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from avatar_optuna.schema import Job, JobResult, distilled_name
from avatar_optuna.storage import open_storage
from benchmarks.students_at_once import row, url

OURS = "rounds"
"""The policy that the others are compared with."""


def main() -> None:
    """Run the studies that are missing, print the table."""
    options = arguments()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "studies.jsonl"
    done = read_lines(results)
    if options.minutes is not None:
        for seed in options.seeds:
            for policy in options.policies:
                if not any((one["policy"], one["seed"]) == (policy, seed) for one in done):
                    result = run(policy, seed, options)
                    append(results, [result])
                    done.append(result)
    text = table(done)
    (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a study file without [search] and [indicator]")
    parser.add_argument("--policies", nargs="*", default=[OURS, "paper", "random"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--minutes", type=float, help="of each study; without it nothing is run")
    parser.add_argument("--paper-students", type=int, default=36, help="of the front, that `paper` distils")
    parser.add_argument("--budgets", type=int, nargs="*", default=[400_000, 3_000_000], help="bytes")
    parser.add_argument("--devices", default="cuda:0*16")
    parser.add_argument("--work", type=Path, required=True, help="folder for databases, artifacts and the cache")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--landscape", default="", metavar="NAME", help="of the space, to collect students of `random`")
    parser.add_argument("--task", default="clone-detection/bigclonebench", help="of task and data, for --landscape")
    return parser.parse_args()


def run(policy: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One study, to its last distilled student; what it found."""
    name = f"{options.study.stem}-{policy}-{seed}"
    folder = options.work / name
    folder.mkdir(parents=True, exist_ok=True)
    study = options.study.with_name(f"{name}.toml")
    study.write_text(study_text(options.study.read_text(), name, policy, seed, options))
    words = ["--storage", url(folder), "--artifacts", str(folder / "artifacts"), "--devices", options.devices]
    command = [sys.executable, "-m", "avatar_optuna", "run", str(study), "--cache", str(options.work / "cache"), *words]
    try:
        distilled(name, command, ("students", "distilled") if policy == "paper" else ("budget", "trained to the end"))
    finally:
        study.unlink()
    jobs = jobs_of(name, folder)
    if options.landscape and policy == "random":
        trained = [trial for trial in jobs if Job.from_trial(trial).purpose == "front"]
        lines = (row(trial, options.task, options.landscape, options.devices) for trial in trained)
        append(options.out / "landscape.jsonl", ({**line, "name": f"random/{seed}/{line['name']}"} for line in lines))
    return {"policy": policy, "seed": seed, "minutes": options.minutes, **found(jobs, options.budgets)}


def distilled(name: str, command: Sequence[str], last: tuple[str, str]) -> None:
    """Run a study until it says its last word about students: how a line begins, and what it holds."""
    began, line = time.monotonic(), ""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(f"{name}  {time.monotonic() - began:4.0f} s  {line.rstrip()}", flush=True)
            if line.startswith(last[0]) and last[1] in line:
                process.terminate()
                return
    if process.returncode:
        raise SystemExit(f"{name}: ended with {process.returncode}: {line.rstrip()}")


def study_text(text: str, name: str, policy: str, seed: int, options: argparse.Namespace) -> str:
    """The study file under another name and policy."""
    lines = [f'name = "{name}"' if line.startswith("name =") else line for line in text.splitlines()]
    epochs = next(int(line.split("=")[1]) for line in lines if line.startswith("epochs ="))
    if policy == "paper":
        lines.insert(lines.index("[distillation]") + 1, f"students = {options.paper_students}")
        lines += ["[indicator]", f"epochs = {max(1, epochs // 4)}"]
        lines += ["[search]", f'policy = "{policy}"', f"seed = {seed}"]
    else:
        lines += ["[search]", f'policy = "{policy}"', f"seed = {seed}", f"budget_minutes = {options.minutes}"]
        lines += ["asynchronous = true"] if policy != "random" else []
    return "\n".join(lines) + "\n"


def jobs_of(name: str, folder: Path) -> list[FrozenTrial]:
    """The jobs of a study that are done."""
    study = optuna.load_study(study_name=distilled_name(name), storage=open_storage(url(folder)))
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]


def found(jobs: Sequence[FrozenTrial], budgets: Sequence[int]) -> dict[str, Any]:
    """What the jobs took, and the best student of each size by validation."""
    results = [(Job.from_trial(trial), JobResult.from_trial(trial)) for trial in jobs]
    full = [result for job, result in results if job.purpose == "front"]
    begun = min(trial.datetime_start.timestamp() for trial in jobs if trial.datetime_start)
    ended = max(trial.datetime_complete.timestamp() for trial in jobs if trial.datetime_complete)
    best = {}
    for budget in budgets:
        within = [result for result in full if result.size_bytes <= budget]
        if within:
            one = max(within, key=lambda result: result.valid["balanced_accuracy"])
            figures = {split: 100 * of["balanced_accuracy"] for split, of in (("valid", one.valid), ("test", one.test))}
            best[str(budget)] = {"size_bytes": one.size_bytes, **figures}
    return {"seconds": ended - begun, "jobs": len(jobs), "trained": len(full), "best": best}


def table(done: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown row a policy and size."""
    policies = sorted({one["policy"] for one in done}, key=lambda name: (name != OURS, name))
    budgets = sorted({int(budget) for one in done for budget in one["best"]})
    lines = [
        f"| at most | policy | studies | seconds | trained in full | validation, % | test, % | {OURS} less it, test |"
    ]
    lines.append("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for budget in budgets:
        tests = {}
        for policy in policies:
            own = [one for one in done if one["policy"] == policy and str(budget) in one["best"]]
            if not own:
                continue
            best = {one["seed"]: one["best"][str(budget)] for one in own}
            tests[policy] = {seed: one["test"] for seed, one in best.items()}
            both = sorted(set(tests.get(OURS, {})) & set(tests[policy])) if policy != OURS else []
            cells = [
                f"{budget:,}",
                policy,
                str(len(own)),
                f"{np.mean([one['seconds'] for one in own]):.0f}",
                f"{np.mean([one['trained'] for one in own]):.0f}",
                interval([one["valid"] for one in best.values()]),
                interval(list(tests[policy].values())),
                interval([tests[OURS][seed] - tests[policy][seed] for seed in both], sign="+") if both else "",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def interval(values: Sequence[float], sign: str = "") -> str:
    """The mean and its 95 % interval by Student's t; of one value, the value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:{sign}.2f}"
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return f"{mean:{sign}.2f} [{mean - half:{sign}.1f}, {mean + half:{sign}.1f}]"


def read_lines(path: Path) -> list[dict[str, Any]]:
    """JSON lines of a file, none where there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []


def append(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add JSON lines to a file."""
    with path.open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(one) + "\n" for one in rows)


if __name__ == "__main__":
    main()
