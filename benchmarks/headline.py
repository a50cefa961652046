"""What the headline scripts share: the command line, the runs, the table."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar_optuna.distillation import Classifier, Teacher
from avatar_optuna.storage import open_storage
from avatar_optuna.tasks import Task
from avatar_optuna.view import DistilledStudent, StudyView, read_view
from benchmarks.trials import (
    Bench,
    Outcome,
    Trial,
    latencies,
    longest_function,
    metrics,
    over_seeds,
    read_trials,
    run_trials,
)

BUDGETS = (("3MB", 3_000_000), ("1MB", 1_000_000), ("0.5MB", 500_000))  # bytes of weights
FASTER = 5  # the teacher takes at least so many times a chosen student's time
SHARED = Path(__file__).parents[2] / "shared"


def arguments(description: str | None, *, data: str, teacher: str) -> argparse.Namespace:
    """The command line of a headline script."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", default=str(SHARED / "data" / data))
    parser.add_argument("--teacher", default=str(SHARED / "teachers" / teacher))
    parser.add_argument("--trials", type=Path, help="JSON lines of students, in place of the built-in ones")
    parser.add_argument("--study-name", help="take the best students that this study distilled")
    parser.add_argument("--storage", help="URL of that study's database")
    parser.add_argument("--only", nargs="*", help="names of the students to distil")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, help="in place of each student's own")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that share the device")
    parser.add_argument("--budget-s", type=float, default=1e9, help="begin no epoch after this many seconds")
    parser.add_argument("--max-train", type=int, help="for a quick try: training inputs")
    parser.add_argument("--no-test", action="store_true", help="explore: validation alone")
    parser.add_argument("--latency-repeats", type=int, default=50)
    parser.add_argument("--out", type=Path, required=True, help="folder for results.json and results.md")
    parser.add_argument("--work", type=Path, help="folder for students, checkpoints and caches (default: below --out)")
    return parser.parse_args()


def run(options: argparse.Namespace, kind: str, built_in: Sequence[Trial]) -> None:
    """Distil, evaluate and print; results stand in the output folder after every finished student."""
    started = time.time()
    work = options.work if options.work is not None else options.out / "work"
    options.out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "true")
    bench = Bench(
        task={"kind": kind, "data": options.data, "max_train": options.max_train},
        teacher={"checkpoint": options.teacher},
        device=options.device,
        work=work / "students",
        cache=work / "cache",
        deadline=started + options.budget_s,
    )
    task, teacher = bench.load()
    print(f"teacher ready after {time.time() - started:.0f} s on {device_name(options.device)}", flush=True)
    trials = described(options, built_in)
    trials = [trial for trial in trials if not options.only or trial.name in options.only]
    if options.epochs is not None:
        trials = [Trial(**{**vars(trial), "epochs": options.epochs}) for trial in trials]
    rows: list[dict[str, Any]] = []
    reference = reference_row(task, teacher, with_test=not options.no_test)
    for outcome in run_trials(bench, over_seeds(trials, options.seeds), options.workers):
        row = student_row(outcome, task, with_test=not options.no_test)
        rows.append(row)
        shown = {
            key: row.get(key) for key in ("name", "seed", "state", "reason", "size_bytes", "seconds", "best_epoch")
        }
        print(json.dumps({**shown, **{k: v["accuracy"] for k, v in row.items() if k in ("valid", "test")}}), flush=True)
        write(options, reference, rows, started)
    if not options.no_test:
        time_students(options, teacher, task, rows, reference)
    write(options, reference, rows, started)
    print((options.out / "results.md").read_text())


def described(options: argparse.Namespace, built_in: Sequence[Trial]) -> list[Trial]:
    """The students to distil: of a file, of a study's search, or the script's own."""
    if options.trials:
        return read_trials(options.trials)
    if not options.study_name:
        return list(built_in)
    view = read_view(open_storage(options.storage), options.study_name)
    chosen: list[Trial] = []
    for (name, budget_bytes), like in zip(BUDGETS, built_in, strict=False):
        found = chosen_trial(view, name, budget_bytes, like)
        if found is not None and found.hyperparameters not in [trial.hyperparameters for trial in chosen]:
            chosen.append(found)
    return chosen


def chosen_trial(view: StudyView, name: str, budget_bytes: int, like: Trial) -> Trial | None:
    """The distilled student of a study that is best on validation within a budget, at most a fifth of its teacher's
    latency where they were timed side by side; distilled anew as `like` is."""

    def is_within(student: DistilledStudent) -> bool:
        is_fast = student.times_less_than.get("teacher", {}).get("latency", FASTER) >= FASTER
        return student.size_bytes <= budget_bytes and is_fast

    within = [student for student in view.students if is_within(student)]
    if not within:
        return None
    best = within[0]  # the most effective first
    print(f"{name}: job {best.job} of {view.name}, {best.size_bytes:,} bytes", flush=True)
    hyperparameters = best.hyperparameters.to_dict()
    return Trial(name=name, epochs=like.epochs, settings=like.settings, hyperparameters=hyperparameters)


def reference_row(task: Task, teacher: Teacher, *, with_test: bool) -> dict[str, Any]:
    """The teacher's own figures."""
    names = ("valid", "test") if with_test else ("valid",)
    return {name: metrics(task.splits[name].labels, teacher.logits(name)) for name in names}


def student_row(outcome: Outcome, task: Task, *, with_test: bool) -> dict[str, Any]:
    """A student's figures; the test split is read only once it is finished."""
    row: dict[str, Any] = {
        "name": outcome.trial.name,
        "seed": outcome.trial.seed,
        "state": outcome.state,
        "reason": outcome.reason,
        "trial": {**vars(outcome.trial)},
        "history": [{k: r[k] for k in ("epoch", "loss", "valid", "seconds")} for r in outcome.history],
        "size_bytes": outcome.size_bytes,
        "seconds": outcome.seconds,
        "best_epoch": outcome.best_epoch,
        "directory": outcome.directory,
    }
    if outcome.state == "done":
        classifier = Classifier.load(outcome.directory, device="cuda" if torch.cuda.is_available() else "cpu")
        for name in ("valid", "test") if with_test else ("valid",):
            split = task.splits[name]
            logits = classifier.predict_logits(split.functions, split.inputs, batch_size=64)
            row[name] = metrics(split.labels, logits)
            row[f"{name}_right"] = (logits.argmax(1) == split.labels).astype(int).tolist()
    return row


def time_students(
    options: argparse.Namespace, teacher: Teacher, task: Task, rows: Sequence[dict[str, Any]], reference: dict[str, Any]
) -> None:
    """Latency of one seed of each student beside the teacher, on one CPU thread, in this process."""
    published = Classifier.load(options.teacher, task_shape=task.shape)
    function = longest_function(published, task.test.functions)
    firsts = {row["name"]: row["directory"] for row in reversed(rows) if row["state"] == "done"}
    classifiers = {"": published, **{name: Classifier.load(directory) for name, directory in firsts.items()}}
    times = latencies(classifiers, function, threads=1, repeats=options.latency_repeats)
    reference["latency_ms"] = times[""]
    reference["size_bytes"] = sum(path.stat().st_size for path in Path(options.teacher).glob("*.safetensors"))
    for row in rows:
        if row["name"] in times:
            row["latency_ms"] = times[row["name"]]


def write(
    options: argparse.Namespace, reference: Mapping[str, Any], rows: Sequence[dict[str, Any]], started: float
) -> None:
    """Write results.json and results.md."""
    document = {
        "device": device_name(options.device),
        "torch": torch.__version__,
        "seconds": time.time() - started,
        "teacher": reference,
        "students": rows,
    }
    (options.out / "results.json").write_text(json.dumps(document, default=str))
    (options.out / "results.md").write_text(table(reference, rows))


def table(reference: Mapping[str, Any], rows: Sequence[dict[str, Any]]) -> str:
    """A markdown row a student, its seeds together: mean and standard deviation."""
    lines = [
        "| student | bytes | valid, % | valid balanced, % | test, % | to teacher, points [test, 95 %] | F1, % | ms |"
        " teacher's ms / ms | epochs' s |",
        "| --- |" + 9 * " ---: |",
    ]
    lines.append(_line("teacher", [reference], reference))
    for name in dict.fromkeys(row["name"] for row in rows):
        seeds = [row for row in rows if row["name"] == name and row["state"] == "done"]
        unfinished = [row for row in rows if row["name"] == name and row["state"] != "done"]
        if seeds:
            lines.append(_line(f"{name} ({len(seeds)} seeds)", seeds, reference))
        lines += [f"| {name} seed {row['seed']} | {row['state']}: {row['reason']} ||||||||" for row in unfinished]
    return "\n".join(lines) + "\n"


def _line(name: str, seeds: Sequence[Mapping[str, Any]], reference: Mapping[str, Any]) -> str:
    def figure(split: str, key: str, scale: float = 100) -> str:
        values = [scale * row[split][key] for row in seeds if split in row]
        return f"{np.mean(values):.2f} ± {np.std(values):.2f}" if values else ""

    size, times = seeds[0].get("size_bytes", ""), seeds[0].get("latency_ms")
    ratio = f"{reference['latency_ms'] / times:.1f}" if times and "latency_ms" in reference else ""
    seconds = f"{np.mean([row.get('seconds', 0) for row in seeds]):.0f}"
    gap = ""
    if "test" in reference and all("test" in row for row in seeds):
        gaps = [100 * (row["test"]["accuracy"] - reference["test"]["accuracy"]) for row in seeds]
        low, high = (100 * bound for bound in seeds[0]["test"]["accuracy_interval"])
        gap = f"{np.mean(gaps):+.2f} [seed 0: {low:.1f}, {high:.1f}]"
    figures = [
        figure("valid", "accuracy"),
        figure("valid", "balanced_accuracy"),
        figure("test", "accuracy"),
        gap,
        figure("test", "f1"),
    ]
    return f"| {name} | {size} | " + " | ".join([*figures, f"{times:.2f}" if times else "", ratio, seconds]) + " |"


def device_name(device: str) -> str:
    """The device in words."""
    if device.startswith("cuda"):
        return f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"
    return f"CPU, {os.cpu_count()} cores, torch {torch.__version__}"
