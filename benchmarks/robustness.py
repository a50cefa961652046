"""How often students change their label though functions do what they did, without and with `edits` in training.

    python -m benchmarks.robustness --out OUT --work WORK --workers 2
    python -m benchmarks.robustness --out OUT --work WORK --device cuda --workers 16

Students of BigCloneBench and Devign are distilled from the published teachers of 3 MB, those of SVEN from the answers
of a model of words (`benchmarks.sven`); those of LeetCode's Python pairs learn from the problems that functions solve,
the teacher's answers weighing nothing. Each is distilled on the training functions alone, and on edited texts of them
too (`--edits`), with each seed. It is then asked for the label of each test input, and for that of the same input

- under five edits of `avatar_optuna.edits` (own edits), one of each kind: from five edits in training on, all of
  these kinds are trained on, by other texts; two edits in training are renamings alone;
- under five renamings that nothing is trained on: the variants of `../shared/data/robustness.tar.xz` (renamed), or,
  where that has none of the data, names of random syllables, which no edit of training gives (syllables).

A flip is an input whose label any of the five changes. `OUT/table.md` and `OUT/results.json` are written.

A difference is paired: of the same inputs and seeds, with a 95 % interval over resampled functions (a pair counts as
often as both of its functions together) and resampled seeds. Give the same command again to go on. `--prepare` makes
edited texts and the teachers' answers alone: a machine without tree-sitter finds them in `WORK/cache`, all
but names of syllables.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.decision import EVEN, Aim, Decision, decide
from avatar_optuna.distillation import Classifier
from avatar_optuna.distillation._distillation import edited_functions
from avatar_optuna.edits import Recipe, edited, recipes, variant
from avatar_optuna.metrics._resampling import weights
from avatar_optuna.tasks import Task
from benchmarks.drawn_figures import drawn_figure
from benchmarks.paper_table import HASHED
from benchmarks.sven import write_answers
from benchmarks.trials import Bench, Trial, over_seeds, run_trials

SHARED = Path(__file__).parents[2] / "shared"
_MEASURED_EDITS = 5
_DRAWS = 1000
_TEACHER = "teacher"
_AFTER = "-edits-"
_SYLLABLES = tuple(f"{consonant}{vowel}" for consonant in "bdfgklmnprstvz" for vowel in "aeiou")
_HASHED = ("hashed-91-KB-int8", "hashed-32-KB-int4")
Array = npt.NDArray[np.float64]
Answers = dict[str, list[list[float]]]
"""By probe: of its inputs, then of them under each variant, log-odds of the label 1, given where they are above 0."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A data set, its teacher, and how students of it are trained.

    Args:
        kind: Of the task.
        data: Folder below the shared data; also that of the renamed variants.
        teacher: Folder below the shared teachers, or the section `[teacher]`; None has a model of words answer
            (`benchmarks.sven`).
        hashed: Settings of distillation of hashed students.
        epochs: Of each student.
        transformer: Settings of transformers; None distils none.
        task: Further keys of `[task]`.
        has_renamed: Whether renamed variants of its test functions come with the data.
    """

    kind: str
    data: str
    teacher: str | Mapping[str, Any] | None
    hashed: Mapping[str, Any]
    epochs: int
    transformer: Mapping[str, Any] | None = None
    task: Mapping[str, Any] = field(default_factory=dict)
    has_renamed: bool = True


SUBJECTS = {
    "clones": Subject(
        kind="clone-detection",
        data="bigclonebench",
        teacher="compressor-codebert-clone-3mb",
        hashed={"hard_label_weight": 0.3, "token_dropout_prob": 0.1},
        transformer={"hard_label_weight": 0.3, "token_dropout_prob": 0.1},
        epochs=20,
    ),
    "defects": Subject(
        kind="vulnerability-prediction",
        data="devign",
        teacher="compressor-codebert-vulnerability-3mb",
        hashed={"token_dropout_prob": 0.1},
        transformer={"views": 8, "token_dropout_prob": 0.1},  # without views a transformer does not learn it
        epochs=30,
    ),
    "leetcode": Subject(
        kind="clone-detection",
        data="leetcode-clones",
        task={"language": "python", "group": "problem"},
        teacher={  # small, for a loss over vectors wants one: its answers weigh nothing beside labels
            "architecture": {
                "vocab_size": 4000,
                "num_hidden_layers": 1,
                "hidden_size": 64,
                "intermediate_size": 128,
                "num_attention_heads": 2,
            },
            "pair": "similarity",
            "epochs": 3,
            "learning_rate": 2e-3,
            "batch_size": 64,
            "max_sequence_length": 256,
        },
        hashed={
            "hard_label_weight": 1.0,
            "contrastive_weight": 0.5,
            "token_dropout_prob": 0.25,
            "temperature": 1.0,
            "threshold": "balanced_accuracy",
        },
        epochs=40,
        has_renamed=False,
    ),
    "sven": Subject(
        kind="vulnerability-prediction",
        data="sven-vulnerability",
        task={"pair": "pair", "language": "c"},  # those in Python, about half, and in C++ stay as they are
        teacher=None,
        hashed={"hard_label_weight": 0.5, "token_dropout_prob": 0.1},
        epochs=40,
        has_renamed=False,
    ),
}
_TRANSFORMER: Mapping[str, Any] = {
    "tokenizer": "BPE",
    "vocab_size": 1500,
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "attention_probs_dropout_prob": 0.1,
    "max_sequence_length": 400,
    "position_embedding_type": "absolute",
    "learning_rate": 2e-3,
    "batch_size": 32,
}


@dataclass(frozen=True, kw_only=True)
class Probe:
    """Inputs, and other texts of their functions under which no label should change.

    Args:
        name: In the tables.
        functions: Texts.
        inputs: Places of functions, shape (n, functions an input).
        labels: Shape (n,).
        variants: Texts of all functions, one after another.
    """

    name: str
    functions: Sequence[str]
    inputs: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    variants: Sequence[Sequence[str]]


def main() -> None:
    """Distil, ask, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {"torch": torch.__version__}
    text = ""
    for name in options.subjects:
        subject = SUBJECTS[name]
        bench = bench_of(subject, name, options)
        began = time.time()
        task, teacher = bench.load()
        print(f"{name}: teacher ready after {time.time() - began:.0f} s", flush=True)
        for count in options.edits:
            edited_functions(task, count, bench.cache)
        probes = [edited_probe(task, bench.cache)]
        probes.append(renamed_probe(subject, options.work) if subject.has_renamed else syllables_probe(task))
        teacher.soft_labels(bench.device)  # its vectors of the training functions
        if options.prepare:
            continue
        asked: dict[str, list[Answers]] = {}
        sizes: dict[str, int] = {}
        for outcome in distilled(bench, subject, options):
            directory = Path(outcome.directory)
            student = Classifier.load(directory)
            given = answers(student, probes, directory / "scores.json", bar_of(student, task, subject))
            asked.setdefault(outcome.trial.name, []).append(given)
            sizes[outcome.trial.name] = outcome.size_bytes
        if (model := teacher.classifier) is not None:
            path = bench.work / "teacher_scores.json"
            asked[_TEACHER] = [answers(model, probes, path, bar_of(model, task, subject))]
            sizes[_TEACHER] = 4 * model.num_parameters
        document[name] = {model: [dict(given) for given in seeds] for model, seeds in asked.items()}
        text += table(name, task, probes, asked, sizes) + table_of_edits(task, probes[0], asked)
        (options.out / "results.json").write_text(json.dumps(document))
        (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", nargs="*", default=list(SUBJECTS), choices=list(SUBJECTS))
    parser.add_argument(
        "--edits", type=int, nargs="*", default=[9], help="of each training function, of the students after: one each"
    )
    parser.add_argument("--only", nargs="*", help="names of students")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="in place of each subject's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that distil at once")
    parser.add_argument("--budget-s", type=float, default=1e9, help="begin no epoch after so many seconds")
    parser.add_argument("--max-train", type=int, help="training inputs, for a quick try")
    parser.add_argument("--prepare", action="store_true", help="make edited texts and teachers' answers, train nothing")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    return parser.parse_args()


def bench_of(subject: Subject, name: str, options: argparse.Namespace) -> Bench:
    """What the students of a subject share."""
    work = options.work / name
    section = {"kind": subject.kind, "data": str(SHARED / "data" / subject.data), **subject.task}
    return Bench(
        task={**section, "max_train": options.max_train},
        teacher=teacher_of(subject, section, work),
        device=options.device,
        work=work,
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )


def teacher_of(subject: Subject, section: Mapping[str, Any], work: Path) -> Mapping[str, Any]:
    """The section `[teacher]`, for a section `[task]`."""
    if isinstance(subject.teacher, str):
        return {"checkpoint": str(SHARED / "teachers" / subject.teacher)}
    if subject.teacher is not None:
        return subject.teacher
    folder = work / "answers"
    if not (folder / "soft_labels_train.npy").is_file():  # the last that is written
        write_answers(section, folder)
    return {"soft_labels": str(folder)}


def distilled(bench: Bench, subject: Subject, options: argparse.Namespace) -> Iterator[Any]:
    """Students that were finished, in order; hashed ones on the processor, where they are trained faster."""
    hashed = [trial for trial in HASHED if trial.name in _HASHED]
    transformer = Trial(name="transformer-2x32", epochs=1, hyperparameters=_TRANSFORMER)
    outcomes = []
    for trials, device, settings in (
        (hashed, "cpu", subject.hashed),
        ([transformer], bench.device, subject.transformer),
    ):
        before = [
            replace(trial, settings=dict(settings), epochs=options.epochs or subject.epochs)
            for trial in trials
            if settings is not None and (not options.only or trial.name in options.only)
        ]
        after = [
            replace(trial, name=after_name(trial.name, count), settings={**trial.settings, "edits": count})
            for count in options.edits
            for trial in before
        ]
        queued = over_seeds([*before, *after], options.seeds)
        for outcome in run_trials(replace(bench, device=device), queued, options.workers) if queued else ():
            print(outcome.trial.name, outcome.trial.seed, outcome.state, outcome.reason, outcome.seconds, flush=True)
            outcomes += [outcome] if outcome.state == "done" else []
    yield from sorted(outcomes, key=lambda outcome: (outcome.trial.name, outcome.trial.seed))


def after_name(name: str, edits: int) -> str:
    """What a student that learns from so many edited texts of each function is called."""
    return f"{name}{_AFTER}{edits}"


def before_name(name: str) -> str | None:
    """The student beside which one that learns from edits is shown; None for one that does not."""
    return name.split(_AFTER)[0] if _AFTER in name else None


def edited_probe(task: Task, cache: Path) -> Probe:
    """The test split under edits."""
    variants = edited(task.test.functions, task.language, count=_MEASURED_EDITS, cache_dir=cache)
    return _test_probe("own edits", task, variants)


def syllables_probe(task: Task) -> Probe:
    """The test split with other names of variables, such as no edit of training gives."""
    recipe = Recipe("syllables", syllables, statements=False)
    variants = [
        [variant(text, task.language, recipe, seed=seed) for text in task.test.functions]
        for seed in range(_MEASURED_EDITS)
    ]
    return _test_probe("syllables", task, variants)


def _test_probe(name: str, task: Task, variants: Sequence[Sequence[str]]) -> Probe:
    """The test split, with variants of its functions."""
    test = task.test
    inputs = test.inputs.astype(np.int64)
    return Probe(name=name, functions=test.functions, inputs=inputs, labels=test.labels, variants=variants)


def syllables(rng: np.random.Generator) -> Iterator[bytes]:
    """Names of four random syllables, without end."""
    while True:
        yield "".join(rng.choice(_SYLLABLES, size=4)).encode()


def renamed_probe(subject: Subject, work: Path) -> Probe:
    """The renamed variants of a part of the test split that come with the data."""
    folder = work / "robustness"
    if not folder.is_dir():
        with tarfile.open(SHARED / "data" / "robustness.tar.xz") as archive:
            archive.extractall(work, filter="data")
    read: Callable[[Path], list[Any]] = lambda path: [json.loads(line) for line in path.read_text().splitlines()]  # noqa: E731
    numbers = range(1, 6)
    if subject.kind == "clone-detection":
        originals = {row["idx"]: row["func"] for row in read(SHARED / "data" / subject.data / "data.jsonl")}
        renamed = {row["idx"]: row["func"] for row in read(folder / subject.data / "data.jsonl")}
        lines = [line.split() for line in (folder / subject.data / "test_0.txt").read_text().splitlines()]
        names, places = np.unique([line[:2] for line in lines], return_inverse=True)
        functions = [originals[name] for name in names]
        variants = [[renamed[f"{name}~{number}"] for name in names] for number in numbers]
        inputs, labels = places.reshape(-1, 2), [int(line[2]) for line in lines]
    else:
        rows = [read(folder / subject.data / f"test_{number}.jsonl") for number in (0, *numbers)]
        functions, *variants = ([row["func"] for row in own] for own in rows)
        inputs, labels = np.arange(len(functions))[:, None], [int(row["target"]) for row in rows[0]]
    return Probe(
        name="renamed",
        functions=functions,
        inputs=np.asarray(inputs, dtype=np.int64),
        labels=np.asarray(labels, dtype=np.int64),
        variants=variants,
    )


def bar_of(classifier: Classifier, task: Task, subject: Subject) -> float:
    """Log-odds from which on a model gives the label 1: 0, or chosen on validation where the settings name an aim."""
    if "threshold" not in subject.hashed:
        return 0.0
    logits = classifier.predict_logits(task.valid.functions, task.valid.inputs, batch_size=64)
    return log_odds_of(decide(logits, task.valid.labels, Aim.parse(subject.hashed["threshold"])))


def log_odds_of(decision: Decision) -> float:
    """The threshold of a decision, of log-odds that its temperature does not divide."""
    threshold = EVEN if decision.threshold is None else decision.threshold
    return float(decision.temperature * (np.log(threshold) - np.log1p(-threshold)))


def answers(classifier: Classifier, probes: Sequence[Probe], path: Path, bar: float = 0.0) -> Answers:
    """By probe: the log-odds of its inputs less `bar`, then those under each variant; kept in a file."""
    if path.is_file():
        found: Answers = json.loads(path.read_text())
        return found
    given = {}
    for probe in probes:
        every = [
            classifier.predict_logits(texts, probe.inputs, batch_size=64)
            for texts in (probe.functions, *probe.variants)
        ]
        given[probe.name] = [(logits[:, 1] - logits[:, 0] - bar).astype(float).tolist() for logits in every]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(given))
    return given


def labels_of(given: Answers, probe: Probe) -> npt.NDArray[np.int64]:
    """Labels of the inputs as they are, then under each variant, shape (1 + variants, n)."""
    return (np.asarray(given[probe.name]) > 0).astype(np.int64)


def changed(given: Answers, probe: Probe) -> npt.NDArray[np.bool_]:
    """Whether a variant changes the label of an input, shape (variants, n)."""
    own, *others = labels_of(given, probe)
    return np.asarray(np.asarray(others) != own)


def flips(given: Answers, probe: Probe) -> Array:
    """Of each input, whether any variant changes its label, shape (n,)."""
    return changed(given, probe).any(axis=0).astype(np.float64)


def right(given: Answers, probe: Probe) -> Array:
    """Of each input, whether its label is right, shape (n,)."""
    return (labels_of(given, probe)[0] == probe.labels).astype(np.float64)


@dataclass(frozen=True)
class Drawn:
    """A figure of some seeds.

    Args:
        values: Shape (seeds,).
        draws: The same of resampled functions, shape (draws, seeds); NaN where a draw does not say.
    """

    values: Array
    draws: Array

    def less(self, other: Drawn) -> Drawn:
        """The differences, seed by seed, of the seeds that both have."""
        count = min(len(self.values), len(other.values))
        return Drawn(
            self.values[:count] - other.values[:count],
            self.draws[:, :count] - other.draws[:, :count],
        )


def table(
    name: str, task: Task, probes: Sequence[Probe], asked: Mapping[str, Sequence[Answers]], sizes: Mapping[str, int]
) -> str:
    """Rows of the teacher, where it can be asked, and of each student, before and after."""
    head = ["model", "bytes", "seeds", "accuracy, %", "points", "ROC-AUC, %", "points"]
    for probe in probes:
        head += [f"flips ({probe.name}), %", "points", "times as many"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    draws = [drawn(probe) for probe in probes]
    found = {model: figures_of(task, probes, draws, seeds) for model, seeds in asked.items()}
    for model in in_order(found):
        own, before = found[model], found.get(before_name(model) or "")
        cells = [model, f"{sizes[model]:,}", str(len(asked[model]))]
        for place, figure in enumerate(own):
            cells += [share(figure), difference(figure, before[place]) if before else ""]
            if place >= len(own) - len(probes):
                cells.append(ratio(figure, before[place]) if before else "")
        lines.append(cells)
    title = f"### {name}: {', '.join(described(probe) for probe in probes)}"
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in lines)]) + "\n\n"


def in_order(models: Iterable[str]) -> list[str]:
    """The teacher, then students, each before those that learn from edits."""
    return sorted(models, key=lambda model: (model != _TEACHER, model))


def figures_of(task: Task, probes: Sequence[Probe], draws: Sequence[Array], seeds: Sequence[Answers]) -> list[Drawn]:
    """Of a model's seeds: accuracy and ROC-AUC of the test split (which the first probe holds), flips of each probe."""
    areas = [area(task, given[probes[0].name][0]) for given in seeds]
    return [
        of_inputs([right(given, probes[0]) for given in seeds], draws[0]),
        Drawn(np.array([value for value, _ in areas]), np.stack([drawn for _, drawn in areas], axis=1)),
        *(
            of_inputs([flips(given, probe) for given in seeds], weight)
            for probe, weight in zip(probes, draws, strict=True)
        ),
    ]


def area(task: Task, log_odds: Sequence[float]) -> tuple[float, Array]:
    """ROC-AUC of the test split, and what it is in each draw."""
    return drawn_figure(task, np.stack([np.zeros(len(log_odds)), log_odds], axis=1), "roc_auc")


def of_inputs(seeds: Sequence[Array], weight: Array) -> Drawn:
    """Means over inputs of what each seed gives, shape (n,)."""
    values = np.stack(seeds)
    return Drawn(values.mean(axis=1), weight @ values.T)


def table_of_edits(task: Task, probe: Probe, asked: Mapping[str, Sequence[Answers]]) -> str:
    """A row a model: how many labels each of the own edits changes."""
    names = [recipe.name for recipe in recipes((), task.language)]
    lines = [f"| one edit changes the label, % | {' | '.join(names)} |", f"| --- |{' ---: |' * len(names)}"]
    for model in in_order(asked):
        means = 100 * np.mean([changed(given, probe).mean(axis=1) for given in asked[model]], axis=0)
        lines.append(f"| {model} | {' | '.join(f'{mean:.2f}' for mean in means)} |")
    return "\n".join(lines) + "\n\n"


def described(probe: Probe) -> str:
    """How much a probe holds, and how many of its functions each variant changes."""
    differ = [np.mean([a != b for a, b in zip(probe.functions, v, strict=True)]) for v in probe.variants]
    return f"{probe.name}: {len(probe.labels):,} inputs, {100 * np.mean(differ):.0f} % of the texts changed"


def drawn(probe: Probe) -> Array:
    """Weights (draws, inputs) that sum to 1, of functions drawn anew."""
    every = np.concatenate(list(weights(probe.inputs, draws=_DRAWS)))
    return np.asarray(every / every.sum(axis=1, keepdims=True))


def resampled(values: Array, weight: Array) -> Array:
    """Means (draws,) of values (seeds, inputs) over resampled functions and the same resampled seeds each time."""
    return over_seeds_drawn(weight @ values.T)


def over_seeds_drawn(draws: Array) -> Array:
    """Means (draws,) of draws (draws, seeds) over resampled seeds, the same each time."""
    seeds = np.random.default_rng(1).integers(draws.shape[1], size=draws.shape)
    return np.asarray(np.take_along_axis(draws, seeds, axis=1).mean(axis=1))


def share(figure: Drawn) -> str:
    """A mean in percent with its interval."""
    low, high = np.nanpercentile(over_seeds_drawn(figure.draws), [2.5, 97.5])
    return f"{100 * figure.values.mean():.2f} [{100 * low:.1f}, {100 * high:.1f}]"


def difference(figure: Drawn, before: Drawn) -> str:
    """Points of a paired difference with its interval."""
    found = figure.less(before)
    low, high = np.nanpercentile(over_seeds_drawn(found.draws), [2.5, 97.5])
    return f"{100 * found.values.mean():+.2f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def ratio(figure: Drawn, before: Drawn) -> str:
    """How many times as many as before, with its interval, of the seeds that both have."""
    count = min(len(figure.values), len(before.values))
    own, other = (over_seeds_drawn(one.draws[:, :count]) for one in (figure, before))
    if not before.values[:count].any():
        return ""
    low, high = np.nanpercentile(own / np.maximum(other, 1e-9), [2.5, 97.5])
    return f"{figure.values[:count].mean() / before.values[:count].mean():.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    main()
