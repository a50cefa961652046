"""Time and memory of `avatar-optuna data` by the number of pairs.

    python -m benchmarks.data_audit --data DIR --pairs 63569 1000000

Draws so many training pairs of the functions of DIR (CodeXGLUE's layout), with DIR's own validation and test pairs, and
audits them in a process of its own. The baseline of the ratios is the smallest number of pairs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np


def main() -> None:
    """Write, audit, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, nargs="+", default=[60_000, 1_000_000])
    options = parser.parse_args()
    print("| training pairs | seconds | times | peak memory, MB | times |\n| ---: | ---: | ---: | ---: | ---: |")
    first: tuple[float, float] | None = None
    for count in sorted(options.pairs):
        with tempfile.TemporaryDirectory() as folder:
            seconds, megabytes = audited(written(options.data, Path(folder), count))
        first = first or (seconds, megabytes)
        ratios = seconds / first[0], megabytes / first[1]
        print(f"| {count:,} | {seconds:.1f} | {ratios[0]:.1f} | {megabytes:.0f} | {ratios[1]:.1f} |", flush=True)


def written(data: Path, folder: Path, count: int) -> Path:
    """A study file over so many training pairs, drawn with repetition from those of the data."""
    for name in ("data.jsonl", "valid.txt", "test.txt"):
        shutil.copyfile(data / name, folder / name)
    lines = (data / "train.txt").read_text().splitlines()
    generator = np.random.default_rng(0)
    with (folder / "train.txt").open("w") as out:
        for at in range(0, count, 100_000):
            rows = generator.integers(len(lines), size=min(100_000, count - at))
            out.writelines(f"{lines[row]}\n" for row in rows)
    study = folder / "study.toml"
    study.write_text(
        f'name = "audited"\n[task]\nkind = "clone-detection"\ndata = "{folder}"\n[teacher]\nsoft_labels = "none"\n'
    )
    return study


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
