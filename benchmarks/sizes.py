"""The best student of each size: drawn at random, chosen on validation, distilled anew with three seeds, tested once.

    python -m benchmarks.sizes --kind clone-detection --data DIR --teacher DIR --workers 8 --out OUT --work WORK

For each budget of bytes, hashed students in float32, int8 or int4 that use at least six tenths of it are drawn from the
ranges below and distilled with one seed. The best by validation is then distilled with three further seeds, and their
answers for the test split are read. Prints a row a budget: bytes, the mean of the seeds on validation and test, and the
paired differences to the teacher and to TF-IDF with logistic regression, with 95 % intervals over resampled functions
and seeds. Give the same command again to go on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avatar_optuna.costs import TaskShape
from avatar_optuna.distillation import Classifier, Teacher
from avatar_optuna.students import FAMILIES, Configuration
from avatar_optuna.tasks import Task, baseline_predictions
from benchmarks.paper_table import Right, mean_with_interval, resampled
from benchmarks.trials import Bench, Outcome, Trial, add_run_options, over_seeds, run_trials

BUDGETS_BYTES = (3_000_000, 1_000_000, 100_000, 35_000, 12_500)
_LEAST_SHARE = 0.6  # of a budget that a student uses
_CHOICES: Mapping[str, Sequence[Any]] = {
    "grams": ("tokens", "token-bigrams", "token-bigrams", "byte-4-grams"),
    "pooling": ("mean", "mean", "mean+max"),
    "num_hidden_layers": (0, 1, 1, 2),
    "hidden_dropout_prob": (0.0, 0.0, 0.1),
    "learning_rate": (3e-2, 1e-2, 1e-2),
    "batch_size": (32, 64),
    "precision": ("float32", "int8", "int4", "int4"),
    "max_sequence_length": (512, 1024),
}
_RANGES = {"buckets": (256, 16_384), "width": (4, 128), "intermediate_size": (16, 128)}  # drawn by their logarithms


def main() -> None:
    """Draw, distil, choose, distil anew, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        task={"kind": options.kind, "data": options.data, **options.task},
        teacher=options.teacher if isinstance(options.teacher, dict) else {"checkpoint": options.teacher},
        device=options.device,
        work=options.work / "students",
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )
    task, teacher = bench.load()
    teacher.logits("test")
    drawn = {
        budget: draws(task.shape, budget, options.draws, options.epochs, options.settings) for budget in options.budgets
    }
    everyone = [trial for trials in drawn.values() for trial in trials]
    tried = distilled(bench, everyone, options.workers)
    best = {
        budget: max(found, key=lambda outcome: outcome.valid["balanced_accuracy"]).trial
        for budget, trials in drawn.items()
        if (found := [tried[trial.name, 0] for trial in trials if (trial.name, 0) in tried])
    }
    chosen = distilled(bench, over_seeds(best.values(), options.seeds), options.workers)
    (options.out / "outcomes.json").write_text(
        json.dumps([outcome.to_dict() for outcome in (*tried.values(), *chosen.values())])
    )
    text = table(task, teacher, best, chosen)
    (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="clone-detection")
    parser.add_argument("--data", required=True)
    parser.add_argument("--task", type=json.loads, default={}, metavar="JSON", help="further keys of [task]")
    parser.add_argument("--teacher", type=_teacher, required=True, help="a checkpoint, or the section as JSON")
    parser.add_argument("--budgets", type=int, nargs="*", default=list(BUDGETS_BYTES), help="bytes")
    parser.add_argument("--draws", type=int, default=16, help="students tried for each budget")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument(
        "--settings",
        type=json.loads,
        default={"hard_label_weight": 0.3, "token_dropout_prob": 0.1},
        metavar="JSON",
        help="keys of [distillation]",
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    add_run_options(parser)
    return parser.parse_args()


def _teacher(text: str) -> Any:
    return json.loads(text) if text.startswith("{") else text


def draws(
    task_shape: TaskShape, budget_bytes: int, count: int, epochs: int, settings: Mapping[str, Any]
) -> list[Trial]:
    """Students of the family `hashed` whose files take most of a budget."""
    rng = np.random.default_rng(budget_bytes)
    found: list[Trial] = []
    while len(found) < count:
        student = drawn_student(rng)
        if _LEAST_SHARE * budget_bytes <= size_bytes(student, task_shape) <= budget_bytes:
            name = f"hashed-{budget_bytes}-{len(found)}"
            values = student.to_dict()
            found.append(Trial(name=name, family="hashed", epochs=epochs, settings=settings, hyperparameters=values))
    return found


def drawn_student(rng: np.random.Generator) -> Configuration:
    """One configuration, whatever its size."""
    values = {name: choices[int(rng.integers(len(choices)))] for name, choices in _CHOICES.items()}
    sizes = {name: round(float(np.exp(rng.uniform(*np.log(limits))))) for name, limits in _RANGES.items()}
    return FAMILIES.get("hashed").configure(**values, **sizes)


def size_bytes(student: Configuration, task_shape: TaskShape) -> int:
    """By the formula that the budget of a study is held to."""
    return int(sum(student.family.size_terms(student, task_shape).values()))


def distilled(bench: Bench, trials: Sequence[Trial], workers: int) -> dict[tuple[str, int], Outcome]:
    """Those that were finished, by name and seed."""
    done = {}
    for outcome in run_trials(bench, trials, min(workers, len(trials))) if trials else ():
        trial = outcome.trial
        print(
            trial.name, trial.seed, outcome.state, outcome.reason, outcome.size_bytes, dict(outcome.valid), flush=True
        )
        if outcome.state == "done":
            done[trial.name, trial.seed] = outcome
    return done


def table(task: Task, teacher: Teacher, best: Mapping[int, Trial], chosen: Mapping[tuple[str, int], Outcome]) -> str:
    """A Markdown row a budget."""
    weights = resampled(task, 500)
    labels = task.test.labels
    reference: list[Right] = [teacher.logits("test").argmax(1) == labels]
    plain: list[Right] = [baseline_predictions(task)["test"] == labels]
    lines = ["| at most | student | bytes | validation, balanced % | test, % | to the teacher | to TF-IDF |"]
    lines.append("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for name, right in (("teacher", reference), ("TF-IDF", plain)):
        lines.append(f"| | {name} | | | {_interval(right, None, weights)} | | |")
    for budget, trial in best.items():
        outcomes = [outcome for (name, _), outcome in chosen.items() if name == trial.name]
        if not outcomes:
            continue
        rights = [_right(task, outcome) for outcome in outcomes]
        valid = np.mean([100 * outcome.valid["balanced_accuracy"] for outcome in outcomes])
        cells = [
            f"{budget:,}",
            FAMILIES.get("hashed").describe(FAMILIES.get("hashed").configure(**trial.hyperparameters)),
            f"{outcomes[0].size_bytes:,}",
            f"{valid:.2f}",
            _interval(rights, None, weights),
            _interval(rights, reference, weights),
            _interval(rights, plain, weights),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _right(task: Task, outcome: Outcome) -> Right:
    classifier = Classifier.load(Path(outcome.directory))
    logits = classifier.predict_logits(task.test.functions, task.test.inputs, batch_size=64)
    return np.asarray(logits.argmax(1) == task.test.labels)


def _interval(rights: Sequence[Right], beside: Sequence[Right] | None, weights: Any) -> str:
    mean, low, high = mean_with_interval(rights, beside, weights)
    sign = "" if beside is None else "+"
    return f"{mean:{sign}.2f} [{low:{sign}.1f}, {high:{sign}.1f}]"


if __name__ == "__main__":
    main()
