"""Briefly distil feasible students of a study file and write what each reached: a sample of its landscape.

    python -m benchmarks.indicator_samples studies/python_clones.toml --count 80 --out benchmarks/data/NAME.csv

The students are drawn by Z3 as a study draws its indicator's samples, for as many epochs as its `[indicator]` says. A
row is appended as soon as its student is distilled; one that stands is not distilled again, so more come with the same
command and a larger `--count`. `benchmarks/indicator.py` reads the file, and the study's `[space]` as NAME.toml.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
from pathlib import Path

from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.settings import StudySettings, load_study_file
from avatar_optuna.students.transformer import TRANSFORMER
from avatar_optuna.tasks import task_shape_of
from benchmarks.trials import Bench, Outcome, Trial, run_trials

METRICS = ("accuracy", "balanced_accuracy")
COLUMNS = (
    *("name", "seed", "epochs", "best_epoch", *TRANSFORMER.names),
    *(f"valid_{metric}" for metric in METRICS),
    *("size_bytes", "seconds", "device"),
)


def main() -> None:
    """Read the command line, distil what is missing, append to the CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--count", type=int, default=80)
    parser.add_argument("--epochs", type=int, help="in place of the study's")
    parser.add_argument("--seed", type=int, default=0, help="draws the students and their weights")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the device")
    parser.add_argument("--budget-s", type=float, default=1e9, help="begin no epoch after this many seconds")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "avatar_indicator_samples")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    settings = load_study_file(options.study)
    bench = Bench(
        task=settings.task.to_dict(),
        teacher=settings.teacher.to_dict(),
        device=options.device,
        work=options.work / options.out.stem,
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )
    bench.load()
    done = _names_done(options.out)
    wanted = trials(settings, options.count, options.epochs or settings.indicator.epochs, options.seed)
    left = [trial for trial in wanted if trial.name not in done]
    print(f"{len(done)} rows stand, {len(left)} to distil", flush=True)
    for outcome in run_trials(bench, left, options.workers):
        figures = {name: round(outcome.valid[name], 4) for name in METRICS} if outcome.valid else {}
        print(f"{outcome.trial.name}: {outcome.state} {outcome.reason} {figures}", flush=True)
        if outcome.state == "done":
            _append(options.out, outcome, options.device)


def trials(settings: StudySettings, count: int, epochs: int, seed: int) -> list[Trial]:
    """The first `count` students that a study would draw; a larger count only adds to them."""
    task_shape = task_shape_of(settings.task)
    feasibility = Feasibility(space=settings.space, constraints=settings.constraints, task_shape=task_shape)
    return [
        Trial(
            name=f"{settings.name}-{seed}-{index}",
            hyperparameters=student.to_dict(),
            epochs=epochs,
            seed=seed,
            settings=settings.distillation.to_dict(),
        )
        for index, student in enumerate(draw(feasibility, count, seed=seed))
    ]


def _names_done(path: Path) -> set[str]:
    if not path.is_file():
        return set()
    with path.open(newline="") as stream:
        return {record["name"] for record in csv.DictReader(stream)}


def _append(path: Path, outcome: Outcome, device: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.is_file()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow(
            {
                "name": outcome.trial.name,
                "seed": outcome.trial.seed,
                "epochs": outcome.trial.epochs,
                "best_epoch": outcome.best_epoch,
                **outcome.trial.hyperparameters,
                **{f"valid_{metric}": round(outcome.valid[metric], 6) for metric in METRICS},
                "size_bytes": outcome.size_bytes,
                "seconds": round(outcome.seconds, 1),
                "device": device,
            }
        )


if __name__ == "__main__":
    main()
