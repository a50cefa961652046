"""What a GPU, or two, get out of slots: epochs a second of students of one study file, over the number of slots.

    python -m benchmarks.slots STUDY.toml --devices 'cuda:0*1' 'cuda:0*16' 'cuda:0*16,cuda:1*16' --work WORK

Each setting has a study of its own with the same students, drawn by Z3, and one `avatar-optuna worker`. Epochs are
counted from the end of the first to `--seconds` later, then the worker is stopped; jobs that end make room for others,
so that start, validation and measurement of students are in. Prints a row a setting, with the ratio to the first.

With `--kill AFTER_S` the worker of the last setting works off all students instead, and one of its processes is sent
SIGKILL after so many seconds: the last line says how many students are complete, and how many were begun again.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial, TrialState

from avatar_optuna.schema import ATTEMPTS, PROGRESS, JobResult
from avatar_optuna.study import AvatarStudy
from benchmarks.students_at_once import counted, queued, trials_of, url


def main() -> None:
    """Measure each setting, print the table; kill a process if that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path)
    parser.add_argument("--devices", nargs="+", required=True, help="settings; ratios are to the first")
    parser.add_argument("--students", type=int, default=200, help="in the queue of each setting")
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.add_argument("--seconds", type=float, default=60.0, help="that are counted")
    parser.add_argument("--kill", type=float, metavar="AFTER_S", help="what is said above")
    parser.add_argument("--work", type=Path, required=True, help="folder for databases, artifacts and the cache")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if options.kill is not None:
        print(killed(options))
        return
    print(
        "| slots | epochs a second | ratio | seconds until the first epoch |\n| --- | ---: | ---: | ---: |", flush=True
    )
    first = None
    for place, devices in enumerate(options.devices):
        rate, until_first_s = throughput(place, devices, options)
        first = first or rate
        print(f"| `{devices}` | {rate:.2f} | {rate / first:.1f} | {until_first_s:.0f} |", flush=True)


def throughput(place: int, devices: str, options: argparse.Namespace) -> tuple[float, float]:
    """Epochs a second, and the seconds that went by before the first epoch was done."""
    study, folder = study_of(place, options)
    began = time.monotonic()
    worker = started(study, devices, folder, options)
    try:
        while not (before := epochs_of(trials_of(study))):
            alive(worker)
            time.sleep(0.2)
        since = time.monotonic()
        time.sleep(options.seconds)
        alive(worker)
        done, elapsed = epochs_of(trials_of(study)) - before, time.monotonic() - since
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=120)
    return done / elapsed, since - began


def killed(options: argparse.Namespace) -> str:
    """What became of the students, one process of whose workers was killed."""
    study, folder = study_of(len(options.devices) - 1, options)
    began = time.monotonic()
    worker = started(study, options.devices[-1], folder, options)
    while not epochs_of(trials_of(study)):
        alive(worker)
        time.sleep(0.2)
    time.sleep(options.kill)
    victim = children(worker.pid)[-1]
    running = sum(trial.state is TrialState.RUNNING for trial in trials_of(study))
    os.kill(victim, signal.SIGKILL)
    print(f"a process was killed after {time.monotonic() - began:.0f} s, {running} students were at work", flush=True)
    code = worker.wait()
    again = sum(int(trial.user_attrs.get(ATTEMPTS, 0)) > 1 for trial in trials_of(study))
    seconds = time.monotonic() - began
    return f"the worker ended with {code} after {seconds:.0f} s: {counted(study)}; {again} students were begun again"


def study_of(place: int, options: argparse.Namespace) -> tuple[AvatarStudy, Path]:
    """A study of a setting, with its queue."""
    folder = options.work / str(place)
    folder.mkdir(parents=True, exist_ok=True)
    return queued(argparse.Namespace(**{**vars(options), "work": folder})), folder


def started(study: AvatarStudy, devices: str, folder: Path, options: argparse.Namespace) -> subprocess.Popen[bytes]:
    """Its worker; the cache is that of all settings."""
    words = ["--storage", url(folder), "--study-name", study.name, "--devices", devices]
    cache = ["--cache", str(options.work / "cache"), "--once"]
    return subprocess.Popen([sys.executable, "-m", "avatar_optuna", "worker", *words, *cache])


def alive(worker: subprocess.Popen[bytes]) -> None:
    """Refuse to wait for a worker that has ended."""
    if worker.poll() is not None:
        raise SystemExit(f"the worker ended with {worker.returncode} before it was measured; give it more students")


def epochs_of(trials: Sequence[FrozenTrial]) -> int:
    """That were trained in all jobs, those that run included."""
    done = [len(JobResult.from_trial(trial).history) for trial in trials if trial.state is TrialState.COMPLETE]
    at_work = [trial for trial in trials if trial.state is TrialState.RUNNING]
    return sum(done) + sum(int(trial.user_attrs.get(PROGRESS, {}).get("epoch", 0)) for trial in at_work)


def children(process: int) -> list[int]:
    """Processes that a process has begun and that live."""
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


if __name__ == "__main__":
    main()
