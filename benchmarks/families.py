"""Families of students beside each other on BigCloneBench: about the same bytes, the same head, the same recipe.

    python -m benchmarks.families --out OUT --work WORK
    python -m benchmarks.families --out OUT --work WORK --device cuda --workers 8

A transformer of one layer, hashed tokens and hashed token bigrams of 100 to 130 KB in float32 are distilled from the
published teacher of 3 MB: symmetric head, at most 256 tokens or buckets of a function, true labels weigh 0.3, a tenth
of the tokens is hidden. Each is tried with the learning rates of `STUDENTS`; that with the best balanced accuracy on
validation is taken for further seeds, whose answers for the test split are read once, and under the five renamed
variants of `../shared/data/robustness.tar.xz`, which nothing is trained on.

Prints a row a model: balanced accuracy on validation and test, then accuracy on the test pairs that have variants, what
the mean of the variants loses, and flips (pairs whose label any variant changes). Rows of differences are to the
transformer. In brackets 95 % intervals over resampled functions (a pair counts as often as both of its functions
together) and seeds. Give the same command again to go on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.distillation import Classifier
from avatar_optuna.tasks import Split
from benchmarks.headline import device_name
from benchmarks.robustness import (
    SHARED,
    SUBJECTS,
    Answers,
    Array,
    Probe,
    answers,
    drawn,
    flips,
    labels_of,
    renamed_probe,
    resampled,
    right,
)
from benchmarks.trials import Bench, Outcome, Trial, add_run_options, over_seeds, run_trials

_SUBJECT = SUBJECTS["clones"]
_RECIPE = {"hard_label_weight": 0.3, "token_dropout_prob": 0.1}
_SAME: Mapping[str, Any] = {
    "num_hidden_layers": 1,
    "intermediate_size": 64,
    "hidden_dropout_prob": 0.0,
    "max_sequence_length": 256,
    "batch_size": 32,
    "precision": "float32",
}
_HASHED: Mapping[str, Any] = {**_SAME, "buckets": 2_000, "width": 12, "pooling": "mean+max"}
_TRANSFORMER: Mapping[str, Any] = {
    **_SAME,
    "tokenizer": "BPE",
    "vocab_size": 1_500,
    "hidden_size": 16,
    "hidden_act": "gelu",
    "num_attention_heads": 2,
    "attention_probs_dropout_prob": 0.0,
    "position_embedding_type": "absolute",
    "pair_head": "symmetric",
}
BASE = "transformer"
STUDENTS: Mapping[str, tuple[str, Mapping[str, Any], Sequence[float]]] = {
    BASE: ("transformer", _TRANSFORMER, (1e-3, 3e-3)),
    "hashed tokens": ("hashed", {**_HASHED, "grams": "tokens"}, (1e-2, 3e-2)),
    "hashed token bigrams": ("hashed", {**_HASHED, "grams": "token-bigrams"}, (1e-2, 3e-2)),
}
"""By name in the table: the family, its hyperparameters, and the learning rates that are tried."""
_TEACHER = "teacher"
_CHANGE = 4  # the place of the change in `figures_of`


def main() -> None:
    """Try learning rates, distil, ask, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        task={"kind": _SUBJECT.kind, "data": str(SHARED / "data" / _SUBJECT.data), "max_train": options.max_train},
        teacher={"checkpoint": str(SHARED / "teachers" / _SUBJECT.teacher)},
        device=options.device,
        work=options.work / "students",
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )
    task, teacher = bench.load()
    assert teacher.classifier is not None
    tried = finished(bench, over_seeds(candidates(options.only, options.epochs), options.tried_seeds), options.workers)
    chosen = over_seeds(best(tried), options.seeds)
    outcomes = finished(bench, chosen, options.workers)
    probes = [
        split_probe("validation", task.valid),
        split_probe("test", task.test),
        renamed_probe(_SUBJECT, options.work),
    ]
    asked = {_TEACHER: [answers(teacher.classifier, probes, bench.work / "teacher_scores.json")]}
    for outcome in sorted(outcomes, key=lambda outcome: outcome.trial.seed):
        directory = Path(outcome.directory)
        given = answers(Classifier.load(directory), probes, directory / "scores.json")
        asked.setdefault(kind_of(outcome.trial), []).append(given)
    sizes = {kind_of(outcome.trial): outcome.size_bytes for outcome in outcomes}
    sizes[_TEACHER] = 4 * teacher.classifier.num_parameters
    head = f"{device_name(options.device)}, {options.epochs} epochs\n"
    text = f"{head}\n{table_of_rates(tried)}\n{table(probes, asked, sizes)}"
    document = {
        "tried": [one.to_dict() for one in tried],
        "chosen": [one.to_dict() for one in outcomes],
        "asked": asked,
    }
    (options.out / "results.json").write_text(json.dumps(document))
    (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(STUDENTS), choices=list(STUDENTS), help="students")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--tried-seeds", type=int, nargs="*", default=[0, 4], help="with each learning rate")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3], help="with the chosen rate")
    parser.add_argument("--max-train", type=int, help="training inputs, for a quick try")
    add_run_options(parser)
    return parser.parse_args()


def candidates(names: Sequence[str], epochs: int) -> list[Trial]:
    """Each student with each learning rate."""
    return [
        Trial(
            name=f"{name.replace(' ', '-')}_{rate:g}_{epochs}",
            family=family,
            epochs=epochs,
            settings=_RECIPE,
            hyperparameters={**values, "learning_rate": rate},
        )
        for name, (family, values, rates) in STUDENTS.items()
        if name in names
        for rate in rates
    ]


def kind_of(trial: Trial) -> str:
    """Which of `STUDENTS` it is."""
    return trial.name.split("_")[0].replace("-", " ")


def finished(bench: Bench, trials: Sequence[Trial], workers: int) -> list[Outcome]:
    """The outcomes of those that were finished; hashed ones on the processor, where they are trained faster."""
    outcomes = []
    for family, device in (("transformer", bench.device), ("hashed", "cpu")):
        own = [trial for trial in trials if trial.family == family]
        for outcome in run_trials(replace(bench, device=device), own, min(workers, len(own))) if own else ():
            trial = outcome.trial
            print(trial.name, trial.seed, outcome.state, outcome.reason, f"{outcome.seconds:.0f} s", flush=True)
            outcomes += [outcome] if outcome.state == "done" else []
    return outcomes


def by_trial(tried: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The seeds of each student and learning rate."""
    found: dict[str, list[Outcome]] = {}
    for outcome in sorted(tried, key=lambda outcome: (outcome.trial.name, outcome.trial.seed)):
        found.setdefault(outcome.trial.name, []).append(outcome)
    return found


def valid_of(seeds: Sequence[Outcome]) -> list[float]:
    """Balanced accuracy on validation of each seed."""
    return [outcome.valid["balanced_accuracy"] for outcome in seeds]


def best(tried: Sequence[Outcome]) -> list[Trial]:
    """Of each student, the learning rate with the best balanced accuracy on validation, in the mean of the seeds."""
    order = sorted(by_trial(tried).values(), key=lambda seeds: float(np.mean(valid_of(seeds))))
    return list({kind_of(seeds[0].trial): seeds[0].trial for seeds in order}.values())


def split_probe(name: str, split: Split) -> Probe:
    """The inputs of a split, unchanged."""
    inputs = split.inputs.astype(np.int64)
    return Probe(name=name, functions=split.functions, inputs=inputs, labels=split.labels, variants=())


def table_of_rates(tried: Sequence[Outcome]) -> str:
    """A Markdown row a student and learning rate."""
    lines = [
        "| student | learning rate | validation, balanced %, each seed | best epochs |",
        "| --- | ---: | ---: | ---: |",
    ]
    for seeds in by_trial(tried).values():
        trial = seeds[0].trial
        valid = ", ".join(f"{100 * value:.2f}" for value in valid_of(seeds))
        epochs = ", ".join(str(outcome.best_epoch) for outcome in seeds)
        lines.append(f"| {kind_of(trial)} | {trial.hyperparameters['learning_rate']:g} | {valid} | {epochs} |")
    return "\n".join(lines) + "\n"


def table(probes: Sequence[Probe], asked: Mapping[str, Sequence[Answers]], sizes: Mapping[str, int]) -> str:
    """A Markdown row a model, and one for each student's differences to the transformer."""
    head = ["model", "bytes", "seeds", "validation, balanced %", "test, balanced %"]
    head += ["where renamed: accuracy before, %", "after, %", "change, points", "flips, %"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    weights = [with_own(probe) for probe in probes]
    figures = {name: [figures_of(probes, given) for given in seeds] for name, seeds in asked.items()}
    for name, seeds in figures.items():
        lines.append([name, f"{sizes[name]:,}", str(len(seeds)), *cells(probes, weights, seeds, None)])
    for name in (name for name in figures if name not in (_TEACHER, BASE) and BASE in figures):
        count = min(len(figures[name]), len(figures[BASE]))
        beside = cells(probes, weights, figures[name][:count], figures[BASE][:count])
        lines.append([f"{name} less {BASE}", "", str(count), *beside])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def figures_of(probes: Sequence[Probe], given: Answers) -> list[Array]:
    """Of each input, shape (n,): right on validation, on test; where renamed before, after, the change, and flips."""
    *splits, renamed = probes
    before = right(given, renamed)
    after = (labels_of(given, renamed)[1:] == renamed.labels).mean(axis=0)
    return [*(right(given, probe) for probe in splits), before, after, after - before, flips(given, renamed)]


def cells(
    probes: Sequence[Probe],
    weights: Sequence[Array],
    own: Sequence[Sequence[Array]],
    base: Sequence[Sequence[Array]] | None,
) -> list[str]:
    """The figures of a model's seeds, or their paired differences to those of another, in points with intervals."""
    written = []
    for place, values in enumerate(zip(*own, strict=True)):
        probe = min(place, len(probes) - 1)
        weight = balanced(weights[probe], probes[probe].labels) if probe < len(probes) - 1 else weights[probe]
        below = 0.0 if base is None else np.stack([seed[place] for seed in base])
        points = 100 * (np.stack(values) - below)  # (seeds, n)
        value = float((points @ weight[0]).mean())
        low, high = np.percentile(resampled(points, weight[1:]), [2.5, 97.5])
        sign = "+" if base is not None or place == _CHANGE else ""
        written.append(f"{value:{sign}.2f} [{low:{sign}.1f}, {high:{sign}.1f}]")
    return written


def with_own(probe: Probe) -> Array:
    """Weights (1 + draws, inputs) that sum to 1: of the inputs as they are, then of functions drawn anew."""
    every = drawn(probe)
    return np.concatenate([np.full((1, every.shape[1]), 1 / every.shape[1]), every])


def balanced(weight: Array, labels: npt.NDArray[np.int64]) -> Array:
    """Weights by which a mean over inputs becomes the mean of the means of the two labels, shape (draws, inputs)."""
    parts = [weight * (labels == label) for label in (0, 1)]
    return np.asarray(sum(part / (2 * part.sum(axis=1, keepdims=True)) for part in parts))


if __name__ == "__main__":
    main()
