"""The best student of each size: drawn at random, chosen on validation, distilled anew with three seeds, tested once.

    python -m benchmarks.sizes --kind clone-detection --data DIR --teacher DIR --workers 8 --out OUT --work WORK

For each budget of bytes, students of each family in float32, int8 or int4 that use at least six tenths of it are drawn
from the ranges below and distilled with one seed; with `--landscape`, the students of the task in `landscape.jsonl`
that the budget holds are candidates too, by the figures that stand there. The best by validation, of whichever family,
is then distilled with three further seeds, and their answers for the test split are read.

Prints how many candidates of each family there were and what the best of them has on validation, then a row a budget:
bytes, the mean of the seeds on validation and test, and the paired differences to the teacher and to TF-IDF with
logistic regression, in points of `--metric`, with 95 % intervals over resampled functions (of `ordered_pairs`: over
resampled fixes) and seeds. Give the same command again to go on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.costs import TaskShape, flops, size_bytes
from avatar_optuna.distillation import Classifier, Teacher
from avatar_optuna.students import FAMILIES, Configuration
from avatar_optuna.tasks import Task, baseline_logits
from avatar_optuna.view import metric_title
from benchmarks.drawn_figures import METRICS, drawn_figure, interval
from benchmarks.trials import Bench, Outcome, Trial, add_run_options, over_seeds, run_trials

LANDSCAPE = Path(__file__).parent / "data" / "landscape.jsonl"
BUDGETS_BYTES = (3_000_000, 1_000_000, 100_000, 35_000, 12_500)
_LEAST_SHARE = 0.6  # of a budget that a student uses


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What a student of a family is drawn from.

    Args:
        choices: Each as likely as it is often named.
        limits: Of whole numbers, drawn by their logarithms.
    """

    choices: Mapping[str, Sequence[Any]]
    limits: Mapping[str, tuple[int, int]]


_PRECISIONS = ("float32", "int8", "int4", "int4")
RANGES: Mapping[str, Ranges] = {
    "hashed": Ranges(
        choices={
            "grams": ("tokens", "token-bigrams", "token-bigrams", "byte-4-grams"),
            "pooling": ("mean", "mean", "mean+max"),
            "num_hidden_layers": (0, 1, 1, 2),
            "hidden_dropout_prob": (0.0, 0.0, 0.1),
            "learning_rate": (3e-2, 1e-2, 1e-2),
            "batch_size": (32, 64),
            "precision": _PRECISIONS,
            "max_sequence_length": (512, 1024),
        },
        limits={"buckets": (256, 16_384), "width": (4, 128), "intermediate_size": (16, 128)},
    ),
    "transformer": Ranges(
        choices={
            "tokenizer": ("BPE", "Unigram", "WordPiece", "Word"),
            "num_hidden_layers": (1, 1, 2, 3),
            "hidden_size": (8, 16, 24, 32, 48, 64, 96, 128),
            "hidden_act": ("gelu", "relu"),
            "hidden_dropout_prob": (0.0,),
            "num_attention_heads": (2, 4),
            "attention_probs_dropout_prob": (0.0,),
            "max_sequence_length": (128, 256, 400),
            "position_embedding_type": ("absolute", "absolute", "relative_key"),
            "learning_rate": (1e-3, 2e-3, 3e-3),
            "batch_size": (64,),
            "precision": _PRECISIONS,
            "pair_head": ("symmetric",),
        },
        limits={"vocab_size": (300, 16_000), "intermediate_size": (16, 512)},
    ),
}
"""By family: the shapes, and the recipes that `studies/LOG.md` recommends."""


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
        metric=options.metric,
    )
    task, teacher = bench.load()
    teacher.logits("test")
    drawn = {
        budget: [
            Trial(
                name=f"{family}-{budget}-{number}",
                family=family,
                epochs=options.epochs,
                settings=options.settings,
                hyperparameters=student.to_dict(),
            )
            for family in options.families
            for number, student in enumerate(draws(family, task.shape, budget, options.draws, options.max_flops))
        ]
        for budget in options.budgets
    }
    tried = distilled(bench, [trial for trials in drawn.values() for trial in trials], options.workers)
    known = list(landscape_candidates(options)) if options.landscape else []
    candidates = {
        budget: [
            *(Candidate.of(tried[trial.name, 0], options.metric) for trial in trials if (trial.name, 0) in tried),
            *(candidate for candidate in known if candidate.size_bytes <= budget),
        ]
        for budget, trials in drawn.items()
    }
    best = {budget: max(found, key=lambda one: one.valid).trial for budget, found in candidates.items() if found}
    chosen = distilled(bench, over_seeds(best.values(), options.seeds), options.workers)
    (options.out / "outcomes.json").write_text(
        json.dumps([outcome.to_dict() for outcome in (*tried.values(), *chosen.values())])
    )
    text = table_of_candidates(candidates) + "\n" + table(task, teacher, best, chosen, options.metric)
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
    parser.add_argument("--families", nargs="*", default=list(RANGES), choices=list(RANGES))
    parser.add_argument("--draws", type=int, default=16, help="students of each family tried for each budget")
    parser.add_argument("--max-flops", type=float, default=1e9, help="of one input of a student that is drawn")
    parser.add_argument("--landscape", action="store_true", help="students of landscape.jsonl are candidates too")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--metric", default="balanced_accuracy", choices=METRICS, help="that chooses and is reported")
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


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A student that was distilled with one seed.

    Args:
        trial: That distils it.
        size_bytes: Of its file.
        valid: Its figure on validation, a fraction.
    """

    trial: Trial
    size_bytes: int
    valid: float

    @classmethod
    def of(cls, outcome: Outcome, metric: str) -> Candidate:
        """One that was distilled here."""
        return cls(trial=outcome.trial, size_bytes=outcome.size_bytes, valid=outcome.valid[metric])


def landscape_candidates(options: argparse.Namespace) -> Iterator[Candidate]:
    """Students of the task in `landscape.jsonl`, of the families asked for, where the figure is known."""
    task = f"{options.kind}/{Path(options.data).name}"
    for row in map(json.loads, LANDSCAPE.read_text().splitlines()):
        if row["task"] == task and row["family"] in options.families and options.metric in row["valid"]:
            trial = Trial(
                name=f"{row['space']}-{row['name']}".replace("/", "-"),
                family=row["family"],
                epochs=options.epochs,
                settings=options.settings,
                hyperparameters=row["hyperparameters"],
            )
            yield Candidate(trial=trial, size_bytes=row["size_bytes"], valid=row["valid"][options.metric])


def draws(
    family: str, task_shape: TaskShape, budget_bytes: int, count: int, max_flops: float
) -> Iterator[Configuration]:
    """Students of a family whose files take most of a budget."""
    rng = np.random.default_rng(budget_bytes)
    while count:
        student = drawn_student(family, rng)
        fits = _LEAST_SHARE * budget_bytes <= size_bytes(student, task_shape) <= budget_bytes
        if fits and flops(student, task_shape) <= max_flops:
            yield student
            count -= 1


def drawn_student(family: str, rng: np.random.Generator) -> Configuration:
    """One configuration, whatever its size."""
    ranges = RANGES[family]
    values = {name: choices[int(rng.integers(len(choices)))] for name, choices in ranges.choices.items()}
    whole = {name: round(float(np.exp(rng.uniform(*np.log(limits))))) for name, limits in ranges.limits.items()}
    return FAMILIES.get(family).configure(**values, **whole)


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


def table_of_candidates(candidates: Mapping[int, Sequence[Candidate]]) -> str:
    """A Markdown row for each budget and family: how many were tried, and the best of them on validation."""
    lines = ["| at most | family | candidates | bytes of the best | its validation, % |"]
    lines.append("| ---: | --- | ---: | ---: | ---: |")
    for budget, found in candidates.items():
        for family in sorted({one.trial.family for one in found}):
            own = [one for one in found if one.trial.family == family]
            best = max(own, key=lambda one: one.valid)
            lines.append(f"| {budget:,} | {family} | {len(own)} | {best.size_bytes:,} | {100 * best.valid:.2f} |")
    return "\n".join(lines) + "\n"


def table(
    task: Task, teacher: Teacher, best: Mapping[int, Trial], chosen: Mapping[tuple[str, int], Outcome], metric: str
) -> str:
    """A Markdown row a budget."""
    reference = [drawn_figure(task, teacher.logits("test"), metric)]
    plain = [drawn_figure(task, baseline_logits(task)["test"], metric)]
    lines = [
        f"| at most | student | bytes | validation, {metric_title(metric)}, % | test, % | to the teacher | to TF-IDF |"
    ]
    lines.append("| ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    lines += [f"| | {name} | | | {interval(one)} | | |" for name, one in (("teacher", reference), ("TF-IDF", plain))]
    for budget, trial in best.items():
        outcomes = [outcome for (name, _), outcome in chosen.items() if name == trial.name]
        if not outcomes:
            continue
        figures = [drawn_figure(task, test_logits(task, outcome), metric) for outcome in outcomes]
        valid = np.mean([100 * outcome.valid[metric] for outcome in outcomes])
        family = FAMILIES.get(trial.family)
        cells = [
            f"{budget:,}",
            family.describe(family.configure(**trial.hyperparameters)),
            f"{outcomes[0].size_bytes:,}",
            f"{valid:.2f}",
            interval(figures),
            interval(figures, reference),
            interval(figures, plain),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_logits(task: Task, outcome: Outcome) -> npt.NDArray[Any]:
    """Of the test inputs, shape (n, labels)."""
    classifier = Classifier.load(Path(outcome.directory))
    return classifier.predict_logits(task.test.functions, task.test.inputs, batch_size=64)


if __name__ == "__main__":
    main()
