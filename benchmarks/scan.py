"""`avatar-optuna scan`: time, memory, recall of the search, and findings between packages that share no code.

    python -m benchmarks.scan STUDENT [FOLDER ...] [--jobs 2]

Without folders: this Python's standard library, with every function and with those that `scan` takes unless told
otherwise. Prints Markdown. Times are of the whole command in a process of its own, memory is the peak of it or of its
largest worker. Recall: of the pairs that the head calls clones, of 2,000 functions with all others, how many are among
the candidates; and the same among 2,000 functions alone. With two folders or more, the head is asked about all pairs of
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
from avatar_optuna.scan import (
    CutOptions,
    FileFinder,
    FunctionTable,
    all_pairs,
    encode_files,
    fit_projection,
    nearest_pairs,
    scores,
)
from avatar_optuna.scan._search import distinct_rows
from avatar_optuna.syntax import language_named

_QUERIES = 2_000
_AT_ONCE = 50
NEIGHBOURS = (10, 20, 50)


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


def recall(
    student: ExportedStudent, vectors: npt.NDArray[np.float32], margin: float, neighbours: int, threads: int
) -> tuple[int, int]:
    """Pairs of 2,000 functions with all others at the margin: how many the search gives, and how many there are."""
    count, rng = len(vectors), np.random.default_rng(0)
    left, right = fit_projection(student.logits, vectors, rng).sides(vectors)
    keys = _keys(nearest_pairs(left, right, neighbours=neighbours, threads=threads), count)
    queries = np.sort(rng.permutation(count)[:_QUERIES])
    found = total = 0
    for start in range(0, len(queries), _AT_ONCE):
        some = queries[start : start + _AT_ONCE]
        pairs = np.stack([np.repeat(some, count), np.tile(np.arange(count), len(some))], axis=1)
        pairs = np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1)
        matches = pairs[scores(student.logits, vectors, pairs) >= margin]
        total += len(matches)
        found += int(np.isin(_keys(matches, count), keys).sum())
    return found, total


def recall_among(
    student: ExportedStudent, vectors: npt.NDArray[np.float32], margin: float, neighbours: int
) -> tuple[int, int]:
    """The same of all pairs among 2,000 functions alone."""
    rng = np.random.default_rng(0)
    some = vectors[np.sort(rng.permutation(len(vectors))[:_QUERIES])]
    left, right = fit_projection(student.logits, some, rng).sides(some)
    keys = _keys(nearest_pairs(left, right, neighbours=neighbours), len(some))
    pairs = all_pairs(len(some))
    matches = pairs[scores(student.logits, some, pairs) >= margin]
    return int(np.isin(_keys(matches, len(some)), keys).sum()), len(matches)


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
    margins = {}
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
            margins.setdefault(folder, report["threshold"]["margin"])
    if options.without_recall:
        return
    student = load_student(options.student)
    vectors = {}
    print("\n| folder | neighbours | found of 2,000 with all | found among 2,000 |\n| --- | ---: | ---: | ---: |")
    for folder in folders:
        table = table_of(options.student, folder, options.jobs)
        vectors[folder] = table.vectors[distinct_rows(table.digests)[0]]
        for neighbours in NEIGHBOURS:
            whole = recall(student, vectors[folder], margins[folder], neighbours, options.jobs)
            alone = recall_among(student, vectors[folder], margins[folder], neighbours)
            print(f"| {folder.name} | {neighbours} | {whole[0]} of {whole[1]} | {alone[0]} of {alone[1]} |", flush=True)
    if len(folders) > 1:
        first, second = folders[:2]
        size = len(vectors[first]) * len(vectors[second])
        print(f"\n{size:,} pairs of a function of {first.name} and one of {second.name}:")
        for folder in (first, second):
            count = len(vectors[folder])
            expected = count / 1000 / (count * (count - 1) / 2) * size
            found = between(student, vectors[first], vectors[second], margins[folder])
            print(f"at the threshold of {folder.name} {expected:.1f} were expected, {found} found", flush=True)


if __name__ == "__main__":
    main()
