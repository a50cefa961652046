"""Many students of one study file, drawn by Z3 and distilled in full by one `avatar-optuna worker`.

`python -m benchmarks.students_at_once STUDY.toml --students 100 --devices 'cuda:0*16' --limit-s 300` prints how many
were finished when, and where their time went; `--out FILE` appends a JSON object a student, with its curve.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.feasibility import Feasibility, draw
from avatar_optuna.pool import Pool
from avatar_optuna.schema import Job, JobResult, distilled_name
from avatar_optuna.settings import load_study_file
from avatar_optuna.storage import open_storage
from avatar_optuna.study import AvatarStudy, create_study
from avatar_optuna.tasks import task_shape_of


def main() -> None:
    """Draw, queue, work off, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--students", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the draw; a collection wants another each time")
    parser.add_argument("--devices", default="cuda:0*16")
    parser.add_argument("--limit-s", type=float, default=300.0, help="the worker is stopped after this many seconds")
    parser.add_argument("--work", type=Path, required=True, help="folder for database, artifacts and caches")
    parser.add_argument("--task", default="", help="name of task and data, for --out")
    parser.add_argument("--out", type=Path, help="JSON lines to append the finished students to")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    options.work.mkdir(parents=True, exist_ok=True)
    study = queued(options)
    began = time.monotonic()
    words = ["--study-name", study.name, "--devices", options.devices, "--cache", str(options.work / "cache"), "--once"]
    worker = subprocess.Popen([sys.executable, "-m", "avatar_optuna", "worker", "--storage", url(options.work), *words])
    while worker.poll() is None:
        time.sleep(1.0)
        elapsed = time.monotonic() - began
        if int(elapsed) % 15 == 0:
            print(f"{elapsed:5.0f} s  {counted(study)}", flush=True)
        if elapsed > options.limit_s:
            worker.send_signal(signal.SIGTERM)
            worker.wait(timeout=60)
    print(f"{time.monotonic() - began:.1f} s in all: {counted(study)}")
    trials = finished(study)
    print(where_time_went(trials))
    if options.out is not None:
        with options.out.open("a", encoding="utf-8") as out:
            rows = (row(trial, options.task, options.study.stem, options.devices) for trial in trials)
            out.writelines(json.dumps(row) + "\n" for row in rows)


def url(folder: Path) -> str:
    """Of the database."""
    return f"sqlite:///{folder / 'studies.db'}"


def queued(options: argparse.Namespace) -> AvatarStudy:
    """A study with the students in its queue; one that is there is taken up."""
    settings = load_study_file(options.study)
    study = create_study(settings, open_storage(url(options.work)), artifacts=str(options.work / "artifacts"))
    feasibility = Feasibility(
        space=settings.space, constraints=settings.constraints, task_shape=task_shape_of(settings.task)
    )
    students = draw(feasibility, options.students, seed=options.seed)
    jobs = [
        Job(key=f"front/{options.seed}/{index}", purpose="front", hyperparameters=student, epochs=epochs)
        for epochs in [settings.distillation.epochs]
        for index, student in enumerate(students)
    ]
    Pool(study.storage, study.name).enqueue(jobs)
    return study


def trials_of(study: AvatarStudy) -> list[FrozenTrial]:
    """The jobs."""
    return optuna.load_study(study_name=distilled_name(study.name), storage=study.storage).get_trials(deepcopy=False)


def finished(study: AvatarStudy) -> list[FrozenTrial]:
    """The jobs that are done."""
    return [trial for trial in trials_of(study) if trial.state is TrialState.COMPLETE]


def counted(study: AvatarStudy) -> str:
    """Jobs by state."""
    counts = Counter(trial.state.name.lower() for trial in trials_of(study))
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))


def where_time_went(trials: list[FrozenTrial]) -> str:
    """A table of seconds a student: in all, in parts of its job, and in epochs."""
    results = [JobResult.from_trial(trial) for trial in trials]
    if not results:
        return "no student was finished"
    total = np.array([result.seconds for result in results])
    epochs = np.array([sum(entry["seconds"] for entry in result.history) for result in results])
    rows = [("a student, in all", total), ("its epochs, validation included", epochs), ("the rest", total - epochs)]
    for part in sorted({part for result in results for part in result.parts_seconds}):
        rows.append((f"its {part}", np.array([result.parts_seconds.get(part, np.nan) for result in results])))
    lines = ["| seconds | mean | median | most |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {name} | {v.mean():.1f} | {np.median(v):.1f} | {v.max():.1f} |" for name, v in rows]
    return "\n".join(lines)


def row(trial: FrozenTrial, task: str, space: str, devices: str) -> dict[str, object]:
    """A student as a line of `benchmarks/data/landscape.jsonl`; its README says what each key is."""
    result, job = JobResult.from_trial(trial), Job.from_trial(trial)
    figures = ("accuracy", "balanced_accuracy", "f1")
    return {
        "task": task,
        "space": space,
        "family": job.hyperparameters.family.name,
        "name": job.key,
        "hyperparameters": job.hyperparameters.to_dict(),
        "size_bytes": result.size_bytes,
        "flops": result.flops,
        "best_epoch": result.best_epoch,
        "seconds": round(result.seconds, 1),
        "valid": {name: round(result.valid[name], 4) for name in figures},
        "test": {name: round(result.test[name], 4) for name in figures},
        "train_loss": [round(entry["loss"], 4) for entry in result.history],
        "valid_accuracy": [round(entry["valid"]["accuracy"], 4) for entry in result.history],
        "valid_balanced_accuracy": [round(entry["valid"]["balanced_accuracy"], 4) for entry in result.history],
        "valid_loss": [round(entry["valid"]["loss"], 4) for entry in result.history],
        "epoch_seconds": [round(entry["seconds"], 2) for entry in result.history],
        "device": devices,
    }


if __name__ == "__main__":
    main()
