"""`avatar-optuna scan`: time, memory, recall of the search, and findings between packages that share no code.

    python -m benchmarks.scan STUDENT [FOLDER ...] [--jobs 2]

Without folders: this Python's standard library, with every function and with those that `scan` takes unless told
otherwise. Prints Markdown. Times are of the whole command in a process of its own, memory is the peak of it or of its
largest worker. Recall: of the pairs that the head calls clones, of 2,000 functions with all others, how many are among
the candidates, at several thresholds. With two folders or more, the head is asked about all pairs of
functions of the first two, to compare what is found with what was expected.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avatar_optuna.inference import ExportedStudent, load_student
from avatar_optuna.languages import language_named
from avatar_optuna.scan import (
    CutOptions,
    FileFinder,
    FunctionTable,
    encode_files,
    fit_projection,
    nearest_pairs,
    scores,
    tail_margin,
)
from avatar_optuna.scan._scores import random_pairs
from avatar_optuna.scan._search import distinct_rows

_QUERIES = 2_000
_AT_ONCE = 50
NEIGHBOURS = (10, 20, 50)
RATES = (1.0, 10.0, 100.0)


@dataclass(frozen=True, kw_only=True)
class Timed:
    """A command that was run.

    Args:
        seconds: Wall time.
        processor_s: Time of the processor, workers included.
        peak_mb: Largest resident memory of its process, and of a worker.
        report: What it wrote as JSON.
    """

    seconds: float
    processor_s: float
    peak_mb: float
    report: dict[str, Any]


def run_scan(student: Path, folder: Path, words: Sequence[str]) -> Timed:
    """Run `scan` in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "report.json"
        command = [sys.executable, "-m", "avatar_optuna", "scan", str(student), str(folder)]
        started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen([*command, "-f", "json", "--out", str(out), *words])
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        if status:
            raise SystemExit(f"{' '.join(command)} failed")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return Timed(
            seconds=seconds,
            processor_s=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
            peak_mb=usage.ru_maxrss / 1e3,  # wait4 counts the workers that it waited for
            report=json.loads(out.read_text()),
        )


def table_of(student: Path, folder: Path, jobs: int) -> FunctionTable:
    """The functions of a folder, as `scan` takes them."""
    language = language_named(load_student(student).language)
    files = FileFinder(languages=[language]).find(folder)
    return encode_files(student, files, CutOptions(), jobs=jobs, update=lambda done: None)


def margins_of(student: ExportedStudent, vectors: npt.NDArray[np.float32]) -> dict[float, float]:
    """The threshold for each of `RATES` false findings in 1,000 functions."""
    count = len(vectors)
    values = scores(student.logits, vectors, random_pairs(count, 1_000_000, np.random.default_rng(0)))
    return {rate: tail_margin(values, rate * count / 1000 / (count * (count - 1) / 2)) for rate in RATES}


def recall(
    student: ExportedStudent, vectors: npt.NDArray[np.float32], margins: Sequence[float], threads: int
) -> dict[tuple[int, float], tuple[int, int]]:
    """By neighbours and margin: pairs of 2,000 functions with all others that the search gives, and that there are."""
    count, rng = len(vectors), np.random.default_rng(0)
    left, right = fit_projection(student.logits, vectors, rng).sides(vectors)
    keys = {n: _keys(nearest_pairs(left, right, neighbours=n, threads=threads), count) for n in NEIGHBOURS}
    queries = np.sort(rng.permutation(count)[:_QUERIES])
    counts = {(n, margin): np.zeros(2, dtype=np.int64) for n in NEIGHBOURS for margin in margins}
    for start in range(0, len(queries), _AT_ONCE):
        some = queries[start : start + _AT_ONCE]
        pairs = np.stack([np.repeat(some, count), np.tile(np.arange(count), len(some))], axis=1)
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
        values = scores(student.logits, vectors, pairs)
        for (neighbours, margin), counted in counts.items():
            matches = _keys(pairs[values >= margin], count)
            counted += int(np.isin(matches, keys[neighbours]).sum()), len(matches)
    return {key: (int(counted[0]), int(counted[1])) for key, counted in counts.items()}


def _keys(pairs: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    return np.asarray(pairs[:, 0] * count + pairs[:, 1])


def between(
    student: ExportedStudent, first: npt.NDArray[np.float32], second: npt.NDArray[np.float32], margin: float
) -> int:
    """Pairs of a function of one package and one of another that the head scores at the margin: all are asked."""
    both = np.concatenate([first, second])
    found = 0
    for row in range(len(first)):
        pairs = np.stack([np.full(len(second), row), np.arange(len(first), len(both))], axis=1)
        found += int((scores(student.logits, both, pairs) >= margin).sum())
    return found


def main() -> None:
    """Run the command on folders, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", type=Path)
    parser.add_argument("folders", type=Path, nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--without-recall", action="store_true")
    options = parser.parse_args()
    folders = options.folders or [Path(sysconfig.get_path("stdlib"))]
    jobs = ("--jobs", str(options.jobs))
    print(
        "| folder | functions | files | s | s of the processor | peak MB | pairs asked | copies | groups | by chance |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for folder in folders:
        every = ("--min-lines", "0", "--min-tokens", "0")
        for name, words in ((folder.name, ()), (f"{folder.name}, every function", every)):
            timed = run_scan(options.student, folder, [*jobs, *words])
            report = timed.report
            copies = sum(finding["kind"] == "copies" for finding in report["findings"])
            expected = report["threshold"]["expected_false"]
            print(
                f"| {name} | {report['functions']:,} | {report['files']:,} | {timed.seconds:.1f} | "
                f"{timed.processor_s:.1f} | {timed.peak_mb:.0f} | {report['compared']:,} | {copies} | "
                f"{len(report['findings']) - copies} | {'' if expected is None else f'{expected:.1f}'} |",
                flush=True,
            )
    if options.without_recall:
        return
    student = load_student(options.student)
    vectors: dict[Path, npt.NDArray[np.float32]] = {}
    margins: dict[Path, dict[float, float]] = {}
    print("\n| folder | expected by chance in 1,000 | " + " | ".join(f"{n} neighbours" for n in NEIGHBOURS) + " |")
    print("| --- | ---: | " + " | ".join("---:" for _ in NEIGHBOURS) + " |")
    for folder in folders:
        table = table_of(options.student, folder, options.jobs)
        vectors[folder] = table.vectors[distinct_rows(table.digests)[0]]
        margins[folder] = margins_of(student, vectors[folder])
        counts = recall(student, vectors[folder], list(margins[folder].values()), options.jobs)
        for rate, margin in margins[folder].items():
            cells = (counts[neighbours, margin] for neighbours in NEIGHBOURS)
            shown = " | ".join(f"{found:,} of {total:,}" for found, total in cells)
            print(f"| {folder.name} | {rate:g} | {shown} |", flush=True)
    if len(folders) > 1:
        first, second = folders[:2]
        size = len(vectors[first]) * len(vectors[second])
        print(f"\n{size:,} pairs of a function of {first.name} and one of {second.name}:")
        for folder in (first, second):
            count = len(vectors[folder])
            expected = count / 1000 / (count * (count - 1) / 2) * size
            found = between(student, vectors[first], vectors[second], margins[folder][1.0])
            print(f"at the threshold of {folder.name} {expected:.1f} were expected, {found} found", flush=True)


if __name__ == "__main__":
    main()
