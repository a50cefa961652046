"""Time and memory of `avatar-optuna data` by the number of pairs.

    python -m benchmarks.data_audit --data DIR --pairs 63569 1000000 --layout parquet

Draws so many training pairs of the functions of DIR (CodeXGLUE's layout), with DIR's own validation and test pairs, and
audits them in a process of its own. The baseline of the ratios is the smallest number of pairs. In a layout other than
`indexed`, which is that of DIR, each row holds both functions.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from pyarrow.parquet import ParquetWriter

T = TypeVar("T")
_SCHEMA = pa.schema({"code1": pa.string(), "code2": pa.string(), "label": pa.int64()})


def main() -> None:
    """Write, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="+", default=[60_000, 1_000_000])
    parser.add_argument("--layout", choices=("indexed", "jsonl", "csv", "parquet", "save_to_disk"), default="indexed")
    options = parser.parse_args()
    print("| training pairs | seconds | times | peak memory, MB | times |\n| ---: | ---: | ---: | ---: | ---: |")
    first: tuple[float, float] | None = None
    for count in sorted(options.pairs):
        with tempfile.TemporaryDirectory() as folder:
            seconds, megabytes = audited(written(options.data, Path(folder), count, options.layout))
        first = first or (seconds, megabytes)
        ratios = seconds / first[0], megabytes / first[1]
        print(f"| {count:,} | {seconds:.1f} | {ratios[0]:.1f} | {megabytes:.0f} | {ratios[1]:.1f} |", flush=True)


def written(data: Path, folder: Path, count: int, layout: str) -> Path:
    """A study file over so many training pairs, drawn with repetition from those of the data."""
    pairs = {name: (data / f"{name}.txt").read_text().splitlines() for name in ("train", "valid", "test")}
    drawn = np.random.default_rng(0).integers(len(pairs["train"]), size=count)
    train = (pairs["train"][place] for place in drawn)
    if layout == "indexed":
        for name in ("data.jsonl", "valid.txt", "test.txt"):
            shutil.copyfile(data / name, folder / name)
        with (folder / "train.txt").open("w") as out:
            out.writelines(f"{line}\n" for line in train)
    else:
        records = map(json.loads, (data / "data.jsonl").read_text().splitlines())
        functions = {str(record["idx"]): record["func"] for record in records}
        for name, lines in (("train", train), ("valid", pairs["valid"]), ("test", pairs["test"])):
            _write_rows(_rows(lines, functions), folder / name, layout)
    study = folder / "study.toml"
    study.write_text(
        f'name = "audited"\n[task]\nkind = "clone-detection"\ndata = "{folder}"\n[teacher]\nsoft_labels = "none"\n'
    )
    return study


def _rows(lines: Iterable[str], functions: dict[str, str]) -> Iterator[dict[str, object]]:
    for line in lines:
        first, second, label = line.split("\t")
        yield {"code1": functions[first], "code2": functions[second], "label": int(label)}


def _write_rows(rows: Iterator[dict[str, object]], stem: Path, layout: str) -> None:
    if layout == "jsonl":
        with stem.with_suffix(".jsonl").open("w") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
    elif layout == "csv":
        with stem.with_suffix(".csv").open("w", newline="") as out:
            writer = csv.DictWriter(out, ["code1", "code2", "label"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        _write_tables((pa.Table.from_pylist(list(some)) for some in _batched(rows, 1_000)), stem, layout)


def _batched(entries: Iterator[T], count: int) -> Iterator[list[T]]:
    while some := list(islice(entries, count)):
        yield some


def _write_tables(tables: Iterator[pa.Table], stem: Path, layout: str) -> None:
    """In row groups of 10,000 for Parquet, in batches of 1,000, as `datasets` has them, for `save_to_disk`."""
    if layout == "parquet":
        with ParquetWriter(stem.with_suffix(".parquet"), _SCHEMA) as writer:
            for some in _batched(tables, 10):
                writer.write_table(pa.concat_tables(some), row_group_size=10_000)
        return
    stem.mkdir()
    with pa.OSFile(str(stem / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, _SCHEMA) as out:
        for table in tables:
            out.write_table(table)
    (stem / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')


def audited(study: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of the command."""
    began = time.monotonic()
    command = [sys.executable, "-m", "avatar_optuna", "data", str(study), "--cache", str(study.parent), "-f", "json"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"the audit failed: {status}")
    return time.monotonic() - began, usage.ru_maxrss / 1000


if __name__ == "__main__":
    main()
