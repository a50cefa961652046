"""How often students change their label though functions do what they did, without and with `edits` in training.

    python -m benchmarks.robustness --out OUT --work WORK --workers 2
    python -m benchmarks.robustness --out OUT --work WORK --device cuda --workers 16

Students of BigCloneBench and Devign are distilled from the published teachers of 3 MB twice with each seed, on the
training functions and on their edited texts too. Each is then asked for the label of each test input, and for that of
the same input under five edits (`avatar_optuna.edits`: other edits than those of training) and under the five renamed
variants of `../shared/data/robustness.tar.xz`, which nothing is trained on. A flip is an input whose label any of the
five changes. `OUT/table.md` and `OUT/results.json` are written.

A difference is paired: of the same inputs and seeds, with a 95 % interval over resampled functions (a pair counts as
often as both of its functions together) and resampled seeds. Give the same command again to go on. `--prepare` makes
edited texts and the teachers' answers alone: a machine without tree-sitter finds them in `WORK/cache`.
"""

from __future__ import annotations

import argparse
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avatar_optuna.distillation import Classifier
from avatar_optuna.distillation._distillation import edited_functions
from avatar_optuna.edits import edited
from avatar_optuna.metrics._resampling import weights
from avatar_optuna.tasks import Task
from benchmarks.paper_table import HASHED
from benchmarks.trials import Bench, Trial, over_seeds, run_trials

SHARED = Path(__file__).parents[2] / "shared"
_MEASURED_EDITS = 5
_DRAWS = 1000
_HASHED = ("hashed-91-KB-int8", "hashed-32-KB-int4")
Array = npt.NDArray[np.float64]
Answers = dict[str, list[list[int]]]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A data set, its teacher, and how students of it are trained.

    Args:
        kind: Of the task.
        data: Folder below the shared data; also that of the renamed variants.
        teacher: Folder below the shared teachers.
        hashed: Settings of distillation of hashed students.
        transformer: Of transformers.
        epochs: Of each student.
    """

    kind: str
    data: str
    teacher: str
    hashed: Mapping[str, Any]
    transformer: Mapping[str, Any]
    epochs: int


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
    document: dict[str, Any] = {"torch": torch.__version__, "edits": options.edits}
    text = ""
    for name in options.subjects:
        subject = SUBJECTS[name]
        bench = bench_of(subject, name, options)
        began = time.time()
        task, teacher = bench.load()
        assert teacher.classifier is not None
        print(f"{name}: teacher ready after {time.time() - began:.0f} s", flush=True)
        edited_functions(task, options.edits, bench.cache)
        probes = [edited_probe(task, bench.cache), renamed_probe(subject, options.work)]
        teacher.soft_labels(bench.device)  # its vectors of the training functions
        if options.prepare:
            continue
        asked: dict[str, list[Answers]] = {}
        sizes = {"teacher": 4 * teacher.classifier.num_parameters}
        for outcome in distilled(bench, subject, options):
            directory = Path(outcome.directory)
            given = answers(Classifier.load(directory), probes, directory / "answers.json")
            asked.setdefault(outcome.trial.name, []).append(given)
            sizes[outcome.trial.name] = outcome.size_bytes
        asked["teacher"] = [answers(teacher.classifier, probes, bench.work / "teacher.json")]
        document[name] = {model: [dict(given) for given in seeds] for model, seeds in asked.items()}
        text += table(name, probes, asked, sizes, options.edits)
        (options.out / "results.json").write_text(json.dumps(document))
        (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subjects", nargs="*", default=list(SUBJECTS), choices=list(SUBJECTS))
    parser.add_argument("--edits", type=int, default=9, help="of each training function, of the students after")
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
    return Bench(
        task={"kind": subject.kind, "data": str(SHARED / "data" / subject.data), "max_train": options.max_train},
        teacher={"checkpoint": str(SHARED / "teachers" / subject.teacher)},
        device=options.device,
        work=options.work / name,
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
    )


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
            if not options.only or trial.name in options.only
        ]
        after = [
            replace(trial, name=after_name(trial.name), settings={**trial.settings, "edits": options.edits})
            for trial in before
        ]
        queued = over_seeds([*before, *after], options.seeds)
        for outcome in run_trials(replace(bench, device=device), queued, options.workers) if queued else ():
            print(outcome.trial.name, outcome.trial.seed, outcome.state, outcome.reason, outcome.seconds, flush=True)
            outcomes += [outcome] if outcome.state == "done" else []
    yield from sorted(outcomes, key=lambda outcome: (outcome.trial.name, outcome.trial.seed))


def after_name(name: str) -> str:
    """What a student that learns from edits is called."""
    return f"{name}-edits"


def edited_probe(task: Task, cache: Path) -> Probe:
    """The test split under edits."""
    test = task.test
    variants = edited(test.functions, task.language, count=_MEASURED_EDITS, cache_dir=cache)
    return Probe(
        name="own edits",
        functions=test.functions,
        inputs=test.inputs.astype(np.int64),
        labels=test.labels,
        variants=variants,
    )


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


def answers(classifier: Classifier, probes: Sequence[Probe], path: Path) -> Answers:
    """By probe: the labels of its inputs, then those under each variant; kept in a file."""
    if path.is_file():
        found: Answers = json.loads(path.read_text())
        return found
    given = {}
    for probe in probes:
        every = [
            classifier.predict_logits(texts, probe.inputs, batch_size=64).argmax(1)
            for texts in (probe.functions, *probe.variants)
        ]
        given[probe.name] = [labels.astype(int).tolist() for labels in every]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(given))
    return given


def flips(given: Answers, probe: Probe) -> Array:
    """Of each input, whether any variant changes its label, shape (n,)."""
    own, *others = np.asarray(given[probe.name])
    return np.asarray((np.asarray(others) != own).any(axis=0), dtype=np.float64)


def right(given: Answers, probe: Probe) -> Array:
    """Of each input, whether its label is right, shape (n,)."""
    return np.asarray(np.asarray(given[probe.name][0]) == probe.labels, dtype=np.float64)


def table(
    name: str,
    probes: Sequence[Probe],
    asked: Mapping[str, Sequence[Answers]],
    sizes: Mapping[str, int],
    edits: int,
) -> str:
    """Rows of the teacher and of each student, before and after."""
    head = ["model", "bytes", "seeds", "accuracy, %", "points"]
    for probe in probes:
        head += [f"flips ({probe.name}), %", "points", "times as many"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    pairs = [(model, after_name(model)) for model in asked if after_name(model) in asked]
    draws = [drawn(probe) for probe in probes]
    for model in ("teacher", *(each for pair in pairs for each in pair)):
        before = next((asked[first] for first, second in pairs if second == model), None)
        own = list(asked[model])
        count = min(len(own), len(before)) if before is not None else len(own)
        cells = [model, f"{sizes[model]:,}", str(len(own))]
        rights = np.stack([right(given, probes[0]) for given in own])
        known = None if before is None else np.stack([right(given, probes[0]) for given in before[:count]])
        cells += [share(rights, draws[0]), difference(rights[:count], known, draws[0])]
        for probe, weight in zip(probes, draws, strict=True):
            flipped = np.stack([flips(given, probe) for given in own])
            known = None if before is None else np.stack([flips(given, probe) for given in before[:count]])
            cells += [share(flipped, weight), difference(flipped[:count], known, weight)]
            cells += [ratio(flipped[:count], known, weight)]
        lines.append(cells)
    title = f"### {name}: {edits} edits of each training function; {', '.join(described(p) for p in probes)}"
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in lines)]) + "\n\n"


def described(probe: Probe) -> str:
    """How much a probe holds, and how many of its functions each variant changes."""
    changed = [np.mean([a != b for a, b in zip(probe.functions, v, strict=True)]) for v in probe.variants]
    return f"{probe.name}: {len(probe.labels):,} inputs, {100 * np.mean(changed):.0f} % of the texts changed"


def drawn(probe: Probe) -> Array:
    """Weights (draws, inputs) that sum to 1, of functions drawn anew."""
    every = np.concatenate(list(weights(probe.inputs, draws=_DRAWS)))
    return np.asarray(every / every.sum(axis=1, keepdims=True))


def resampled(values: Array, weight: Array) -> Array:
    """Means (draws,) of values (seeds, inputs) over resampled functions and the same resampled seeds each time."""
    seeds = np.random.default_rng(1).integers(len(values), size=(len(weight), len(values)))
    by_seed = weight @ values.T  # (draws, seeds)
    return np.asarray(np.take_along_axis(by_seed, seeds, axis=1).mean(axis=1))


def share(values: Array, weight: Array) -> str:
    """A mean in percent with its interval."""
    low, high = np.percentile(resampled(values, weight), [2.5, 97.5])
    return f"{100 * values.mean():.2f} [{100 * low:.1f}, {100 * high:.1f}]"


def difference(values: Array, before: Array | None, weight: Array) -> str:
    """Points of a paired difference with its interval."""
    if before is None:
        return ""
    low, high = np.percentile(resampled(values - before, weight), [2.5, 97.5])
    return f"{100 * (values - before).mean():+.2f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def ratio(values: Array, before: Array | None, weight: Array) -> str:
    """How many times as many as before, with its interval."""
    if before is None or not before.any():
        return ""
    low, high = np.percentile(resampled(values, weight) / np.maximum(resampled(before, weight), 1e-9), [2.5, 97.5])
    return f"{values.mean() / before.mean():.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    main()
