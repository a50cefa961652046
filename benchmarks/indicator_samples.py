"""Briefly distil configurations and write what they reached: a sample of the effectiveness landscape.

    python -m benchmarks.indicator_samples --task clone-detection --data DIR --teacher DIR --samples FILE.jsonl \\
        --count 100 --epochs 3 --device cuda --workers 12 --out samples.csv

FILE.jsonl holds one object of the 13 hyperparameters a line (feasible ones: this script does not ask Z3). A row that
stands in the CSV is not distilled again.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path

from avatar_optuna.hyperparameters import NAMES
from benchmarks.trials import Bench, Outcome, Trial, run_trials

COLUMNS = (
    "row",
    *NAMES,
    "accuracy",
    "balanced_accuracy",
    "loss",
    "best_epoch",
    "size_bytes",
    "seconds",
    "state",
    "reason",
)


def main() -> None:
    """Read the command line, distil what is missing, append to the CSV."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default="clone-detection")
    parser.add_argument("--data", help="folder in CodeXGLUE's layout; built-in tasks need none")
    parser.add_argument("--teacher", required=True, help="checkpoint directory")
    parser.add_argument("--samples", type=Path, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--budget-s", type=float, default=1e9)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("indicator_samples_work"))
    options = parser.parse_args()

    bench = Bench(
        task={"kind": options.task, "data": options.data},
        teacher={"checkpoint": options.teacher},
        device=options.device,
        work=options.work / "students",
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )
    bench.load()
    lines = options.samples.read_text().splitlines()[: options.count]
    done = _rows_done(options.out)
    trials = [
        Trial(name=str(row), hyperparameters=json.loads(line), epochs=options.epochs, seed=options.seed)
        for row, line in enumerate(lines)
        if row not in done
    ]
    print(f"{len(done)} rows stand, {len(trials)} to distil", flush=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for outcome in run_trials(bench, trials, options.workers):
        print(f"row {outcome.trial.name}: {outcome.state} {outcome.reason} {dict(outcome.valid)}", flush=True)
        if outcome.state != "unfinished":
            _append(options.out, outcome)


def _rows_done(path: Path) -> set[int]:
    if not path.is_file():
        return set()
    with path.open(newline="") as stream:
        return {int(record["row"]) for record in csv.DictReader(stream)}


def _append(path: Path, outcome: Outcome) -> None:
    is_new = not path.is_file()
    with path.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        if is_new:
            writer.writeheader()
        writer.writerow(
            {
                "row": outcome.trial.name,
                **outcome.trial.hyperparameters,
                **outcome.valid,
                "best_epoch": outcome.best_epoch,
                "size_bytes": outcome.size_bytes,
                "seconds": round(outcome.seconds, 2),
                "state": outcome.state,
                "reason": outcome.reason,
            }
        )


if __name__ == "__main__":
    main()
