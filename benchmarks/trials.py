"""Many small students at once: worker processes that share one device, resumable, with a deadline.

The scripts beside this file describe students; this module distils them and says how they did. A trial that is stopped
by the deadline leaves its checkpoint and goes on when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar_optuna.distillation import Classifier, EpochRecord, Teacher, TrainedStudent, distil
from avatar_optuna.exceptions import AvatarError
from avatar_optuna.settings import DistillationSettings, TaskSettings, TeacherSettings
from avatar_optuna.students import FAMILIES
from avatar_optuna.tasks import Task, load_task
from avatar_optuna.teachers import load_teacher


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One student to distil.

    Args:
        name: Unique with the seed.
        hyperparameters: All of the family.
        epochs: Passes over the training functions.
        seed: Of weights, order and dropout.
        settings: Values of `DistillationSettings` that differ from the defaults.
        family: Of the student.
    """

    name: str
    hyperparameters: Mapping[str, Any]
    epochs: int
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    family: str = "transformer"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What the trials of a script share.

    Args:
        task: The section `[task]`, by value.
        teacher: The section `[teacher]`, by value.
        device: cpu, cuda or cuda:N.
        work: Folder for students and checkpoints.
        cache: Folder for tokenizers and the teacher's vectors.
        deadline: Seconds since the epoch after which no further training epoch is begun.
        metric: By which the best epoch is chosen.
    """

    task: Mapping[str, Any]
    teacher: Mapping[str, Any]
    device: str
    work: Path
    cache: Path
    deadline: float
    metric: str = "balanced_accuracy"

    def load(self) -> tuple[Task, Teacher]:
        """The task and the teacher with its answers for the training and validation splits; prints its epochs."""
        task = load_task(TaskSettings(**self.task))
        settings = TeacherSettings(**self.teacher)
        teacher = load_teacher(settings, task, cache_dir=self.cache, device=self.device, on_epoch=_print_epoch)
        for split_name in ("train", "valid"):
            teacher.logits(split_name)
        return task, teacher


def _print_epoch(record: EpochRecord) -> None:
    figures = " ".join(f"{name} {value:.4f}" for name, value in record.valid.items())
    print(f"teacher epoch {record.epoch}/{record.epochs} {figures} {record.seconds:.1f} s", flush=True)


class OutOfTimeError(Exception):
    """The deadline has passed; the checkpoint stands."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a trial ended: done, unfinished (out of time) or failed with a reason."""

    trial: Trial
    state: str
    reason: str = ""
    valid: Mapping[str, float] = field(default_factory=dict)
    best_epoch: int = 0
    history: Sequence[Mapping[str, Any]] = ()
    seconds: float = 0.0
    size_bytes: int = 0
    directory: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


_loaded: tuple[Bench, Task, Teacher] | None = None


def _start_worker(bench: Bench) -> None:
    global _loaded
    torch.set_num_threads(1)
    _loaded = (bench, *bench.load())


def _run(trial: Trial) -> Outcome:
    """Distil one trial in this worker, or find it done."""
    assert _loaded is not None
    bench, task, teacher = _loaded
    directory = bench.work / f"{trial.name}-seed{trial.seed}"
    found = directory / "outcome.json"
    if found.is_file():
        return _read(found)

    def on_epoch(record: EpochRecord) -> None:
        if record.is_best or record.epoch % 5 == 0:
            place = f"{trial.name} seed {trial.seed} epoch {record.epoch}/{record.epochs}"
            figures = f"valid {record.valid['accuracy']:.4f} balanced {record.valid['balanced_accuracy']:.4f}"
            print(f"{place} loss {record.loss:.4f} {figures} {record.seconds:.1f} s", flush=True)
        if time.time() > bench.deadline and record.epoch < record.epochs:
            raise OutOfTimeError

    if time.time() > bench.deadline:
        return Outcome(trial=trial, state="unfinished", reason="out of time before it began")
    try:
        done = distil(
            hyperparameters=FAMILIES.get(trial.family).configure(**trial.hyperparameters),
            task=task,
            teacher=teacher,
            settings=DistillationSettings(**trial.settings),
            epochs=trial.epochs,
            seed=trial.seed,
            device=bench.device,
            out_dir=directory,
            cache_dir=bench.cache,
            on_epoch=on_epoch,
            metric=bench.metric,
        )
    except OutOfTimeError:
        return Outcome(trial=trial, state="unfinished", reason="out of time")
    except AvatarError as error:
        return Outcome(trial=trial, state="failed", reason=str(error))
    outcome = _outcome(trial, done)
    found.write_text(json.dumps(outcome.to_dict()))
    return outcome


def _outcome(trial: Trial, done: TrainedStudent) -> Outcome:
    return Outcome(
        trial=trial,
        state="done",
        valid=dict(done.valid_metrics),
        best_epoch=done.best_epoch,
        history=[record.to_dict() for record in done.history],
        seconds=done.seconds,
        size_bytes=done.size_bytes,
        directory=str(done.directory),
    )


def _read(path: Path) -> Outcome:
    values = json.loads(path.read_text())
    return Outcome(**{**values, "trial": Trial(**values["trial"])})


def run_trials(bench: Bench, trials: Sequence[Trial], workers: int) -> Iterator[Outcome]:
    """Distil trials in `workers` processes that share the device, and give each outcome as it comes.

    The caller has loaded `bench` once before, so that the workers find the teacher's answers in the cache.
    """
    context = multiprocessing.get_context("spawn")  # CUDA does not survive a fork
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=(bench,)) as pool:
        for future in as_completed([pool.submit(_run, trial) for trial in trials]):
            yield future.result()


def read_trials(path: Path) -> list[Trial]:
    """Trials of a JSON-lines file, one object of `Trial`'s fields a line."""
    return [Trial(**json.loads(line)) for line in path.read_text().splitlines() if line.strip()]


def over_seeds(trials: Iterable[Trial], seeds: Sequence[int]) -> list[Trial]:
    """Each trial once for each seed."""
    return [Trial(**{**asdict(trial), "seed": seed}) for seed in seeds for trial in trials]


def metrics(labels: np.ndarray[Any, Any], logits: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Accuracy with its 95 % Wilson interval, balanced accuracy, F1, precision and recall, as fractions."""
    predicted = logits.argmax(axis=1)
    right = predicted == labels
    hits = int(((predicted == 1) & (labels == 1)).sum())
    precision, recall = hits / max(1, int((predicted == 1).sum())), hits / max(1, int((labels == 1).sum()))
    return {
        "accuracy": float(right.mean()),
        "accuracy_interval": list(wilson(int(right.sum()), len(right))),
        "balanced_accuracy": float(np.mean([right[labels == label].mean() for label in (0, 1)])),
        "f1": 2 * precision * recall / max(1e-12, precision + recall),
        "precision": precision,
        "recall": recall,
    }


def wilson(successes: int, count: int, z: float = 1.959964) -> tuple[float, float]:
    """Wilson's score interval of a proportion."""
    share = successes / count
    centre = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z / (1 + z**2 / count) * ((share * (1 - share) / count + z**2 / (4 * count**2)) ** 0.5)
    return centre - half, centre + half


def latencies(cost_models: Mapping[str, Classifier], function: str, *, threads: int, repeats: int) -> dict[str, float]:
    """Median milliseconds of encoding one function, batch 1, on the CPU; the predictors take turns."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    batches = {name: cost_model.prepare([function]) for name, cost_model in cost_models.items()}
    times: dict[str, list[float]] = {name: [] for name in cost_models}
    with torch.inference_mode():
        for turn in range(repeats + 5):
            for name, cost_model in cost_models.items():
                start = time.perf_counter()
                cost_model.network.encode(*batches[name])
                if turn >= 5:
                    times[name].append(time.perf_counter() - start)
    torch.set_num_threads(before)
    return {name: 1000 * float(np.median(values)) for name, values in times.items()}


def longest_function(cost_model: Classifier, functions: Sequence[str]) -> str:
    """The first function that fills the predictor's whole sequence."""
    lengths = cost_model.tokens(functions).host_lengths
    return functions[int(lengths.argmax())]


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Options of every script that distils trials: where, by how many processes, until when, and into which folders."""
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=1, help="processes that distil at once")
    parser.add_argument("--budget-s", type=float, default=1e9, help="begin no epoch after so many seconds")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
